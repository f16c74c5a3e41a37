import { type CompareOptions, compare, type Progress } from "../compare.js";
import type { MachineConfig } from "../config/index.js";
import type { CoreBuild } from "../core.js";
import type { Result } from "../result.js";
import type { TraceSource } from "../trace/source.js";

/** One comparison of a sweep: all that a worker needs to know, and nothing that cannot be sent to it. */
export interface Task {
  /** The name of the trace: a file, or a computed one. */
  trace: string;
  configs: MachineConfig[];
  core?: CoreBuild;
  warmup?: number;
  intervals?: number | "markers";
  asked: Record<string, unknown>;
}

/** Runs one comparison; the same in a worker and out of one, in Node and in a browser. */
export function runTask(
  task: Task,
  trace: TraceSource,
  onProgress?: (progress: Progress) => void,
): Promise<Result> {
  const { configs, core, warmup, intervals, asked } = task;
  const options: CompareOptions = { asked };
  if (core !== undefined) options.core = core;
  if (warmup !== undefined) options.warmup = warmup;
  if (intervals !== undefined) options.intervals = intervals;
  if (onProgress !== undefined) options.onProgress = onProgress;
  return compare(trace, configs, options);
}
