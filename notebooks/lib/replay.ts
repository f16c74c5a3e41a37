import { type ConfigRequest, type Result, resolveConfig, techniqueName } from "nestwalk";
import type { Opening, TraceFile } from "../../page/src/engine/messages.js";
import { replay as inWorkers, type Progress } from "../../page/src/engine/pool.js";

export interface ReplayOptions {
  open?: Opening;
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
  const configs = machines.map(resolveConfig);
  const asked = { technique: configs.map(techniqueName) };
  const intervals = interval === 0 ? {} : { intervals: interval };
  const show = (at: Progress) => {
    if (progress) progress.value = Math.min(...at.map((one) => one?.fraction ?? 0));
  };
  const stop = new AbortController();
  invalidation?.then(() => stop.abort());
  const tasks = [{ trace: trace.name, configs, asked, ...intervals }];
  const [result] = await inWorkers({ trace, open, tasks }, show, stop.signal);
  if (progress) progress.value = 1;
  return result!;
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
