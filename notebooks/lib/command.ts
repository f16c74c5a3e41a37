import type { Result, VaryResult } from "nestwalk";
import { commandOf } from "nestwalk/plot";

/** The command line that gives the same numbers. */
export function command(outcome: Result | VaryResult): HTMLElement {
  const { trace } = "points" in outcome ? outcome.points[0]!.result : outcome;
  const box = document.createElement("pre");
  box.className = "command";
  for (const [i, text] of (commandOf(outcome.config, trace) ?? "").split(" ").entries()) {
    const word = document.createElement("span");
    word.textContent = text;
    box.append(i === 0 ? "" : " ", word);
  }
  return box;
}
