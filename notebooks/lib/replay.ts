import { type ConfigRequest, type OpenOptions, type Result, resolveConfig, techniqueName } from "nestwalk";
import type { TraceFile } from "../../page/src/engine/messages.js";
import { replay as inWorkers, type Progress } from "../../page/src/engine/pool.js";

export interface ReplayOptions {
  open?: OpenOptions;
  /** Accesses to an interval; 0 for no intervals. */
  interval?: number;
  /** The cell's `invalidation`: when the cell is run again, the replay ends. */
  invalidation?: Promise<unknown>;
  /** Shown while it lasts. */
  progress?: HTMLProgressElement;
}

/** What `compare` of nestwalk gives for what `resolveConfig` makes of each machine, computed in Web Workers, so that the notebook goes on answering. */
export async function replay(
  trace: TraceFile,
  machines: ConfigRequest[],
  { open = {}, interval = 0, invalidation, progress }: ReplayOptions = {},
): Promise<Result> {
  const asked = { technique: machines.map((request) => techniqueName(resolveConfig(request))) };
  const show = (at: Progress) => {
    if (progress) progress.value = Math.min(...at.map((one) => one?.fraction ?? 0));
  };
  const work = inWorkers({ trace, open, machines, warmup: 0, intervals: interval, asked }, show);
  invalidation?.then(() => work.cancel());
  const result = await work.done;
  if (progress) progress.value = 1;
  return result;
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
