import { isSynthName, type OpenOptions, openSynth, openTrace, type TraceSource } from "../trace/index.js";
import type { Task } from "../vary/run.js";
import { openFile } from "./files.js";

/** The trace of a task, computed or from its file. */
export async function openTask({ trace }: Task, open: OpenOptions): Promise<TraceSource> {
  return isSynthName(trace) ? openSynth(trace) : openTrace(await openFile(trace), open);
}
