import { type Explanation, requestedMachines } from "nestwalk";
import type { Explain, TraceFile } from "../../page/src/engine/messages.js";
import { explain as inWorker } from "../../page/src/engine/pool.js";
import type { Request } from "./replay.js";

export { accessText } from "../../page/src/walks/text.js";

/** What `explainTrace` of nestwalk gives for the first machine that is asked for, computed in a Web Worker. */
export function explain(
  trace: TraceFile,
  request: Request,
  options: Pick<Explain, "at" | "next" | "count">,
): Promise<Explanation[]> {
  const [machine] = requestedMachines(request);
  return inWorker({ trace, open: {}, machine: machine!, ...options });
}
