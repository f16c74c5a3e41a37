import type { Result, VaryResult } from "nestwalk";
import type { TraceFile } from "../engine/messages.js";
import { termList } from "../intro.js";
import type { Request } from "../request.js";
import { downloads } from "./downloads.js";
import { Parts } from "./parts.js";
import { showSweep } from "./sweep.js";

export interface Shown {
  outcome: Result | VaryResult;
  request: Request;
  trace: TraceFile;
}

let parts: Parts | undefined;

/** Puts a result on the page, a part in each task; true when every figure is drawn, false when another took its place. */
export async function showResult(box: HTMLElement, shown: Shown): Promise<boolean> {
  parts?.close();
  const mine = new Parts(box, { trace: shown.trace, open: shown.request.open });
  parts = mine;
  box.replaceChildren();
  box.hidden = false;
  const { outcome } = shown;
  const taken = () => downloads(shown);
  const drawn =
    "points" in outcome ? await showSweep(mine, outcome, taken) : await mine.result(outcome, taken);
  if (drawn) box.append(termList());
  return drawn;
}
