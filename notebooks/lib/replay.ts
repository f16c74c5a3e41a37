import { type ReplayRequest, type Result, replayOutcome, type VaryResult } from "nestwalk";
import type { Opening, TraceFile } from "../../page/src/engine/messages.js";
import { replay as inWorkers, type Progress, plan, prepare } from "../../page/src/engine/pool.js";
import { labels } from "../../page/src/request.js";

/* Controls are called as the page calls them, and so sentences call them. */
prepare(labels);

/** What `nestwalk compare` is asked: techniques, `set`, `hostPage` and the like. */
export type Request = Omit<ReplayRequest, "command">;

export interface ReplayOptions {
  open?: Opening;
  /** The cell's `invalidation`: when the cell is run again, the replay ends. */
  invalidation?: Promise<unknown>;
  /** Shown while it lasts. */
  progress?: HTMLProgressElement;
}

/**
 * What `nestwalk compare` gives, computed in Web Workers, so that the notebook goes on answering. A trace without bytes is one
 * that is computed: { name: "synth:table-updates" }.
 */
export function replay(trace: TraceFile, request: Request, options: ReplayOptions = {}): Promise<Result> {
  return outcome(trace, request, options) as Promise<Result>;
}

/** What `nestwalk compare --vary KEY=V1,V2,...` gives: a result for each combination of the values. */
export function vary(
  trace: TraceFile,
  request: Request & Required<Pick<Request, "vary">>,
  options: ReplayOptions = {},
): Promise<VaryResult> {
  return outcome(trace, request, options) as Promise<VaryResult>;
}

async function outcome(
  trace: TraceFile,
  request: Request,
  { open = {}, invalidation, progress }: ReplayOptions,
): Promise<Result | VaryResult> {
  const stop = new AbortController();
  invalidation?.then(() => stop.abort());
  const show = (at: Progress) => {
    if (progress) progress.value = Math.min(...at.map((one) => one?.fraction ?? 0));
  };
  const planned = await plan({ command: "compare", ...request }, trace.name, stop.signal);
  const results = await inWorkers({ trace, open, tasks: planned.tasks }, show, stop.signal);
  if (progress) progress.value = 1;
  return replayOutcome(planned, results);
}

/** A bar for `replay`. */
export function progressBar(): HTMLProgressElement {
  const bar = document.createElement("progress");
  bar.max = 1;
  bar.value = 0;
  bar.setAttribute("aria-label", "Replay");
  bar.style.width = "100%";
  return bar;
}
