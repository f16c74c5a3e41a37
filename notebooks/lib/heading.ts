import type { Result } from "nestwalk";
import { comparisonHeading, comparisonVerdicts } from "nestwalk/plot";
import { command } from "./command.js";
import { verdict } from "./verdict.js";

/** What was replayed, what came out, whether it can be believed, and how the command line gives it. */
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
  box.append(command(result));
  return box;
}
