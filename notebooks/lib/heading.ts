import type { Result } from "nestwalk";
import { comparisonHeading, comparisonVerdicts } from "nestwalk/plot";
import { verdict } from "./verdict.js";

/** What was replayed, what came out, and whether it can be believed. */
export function heading(result: Result): HTMLElement {
  const box = document.createElement("div");
  const [title, ...lines] = comparisonHeading(result);
  const head = document.createElement("h2");
  head.textContent = title!.text;
  box.append(head, verdict(result));
  for (const { text } of [...lines, ...comparisonVerdicts(result)]) {
    const line = document.createElement("p");
    line.textContent = text;
    box.append(line);
  }
  return box;
}
