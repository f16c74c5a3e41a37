import { type ConfigRequest, type Explanation, resolveConfig } from "nestwalk";
import type { Explain, TraceFile } from "../../page/src/engine/messages.js";
import { explain as inWorker } from "../../page/src/engine/pool.js";

export { accessText } from "../../page/src/walks/text.js";

/** What `explainTrace` of nestwalk gives for the machine, computed in a Web Worker. */
export function explain(
  trace: TraceFile,
  machine: ConfigRequest,
  options: Pick<Explain, "at" | "next" | "count">,
): Promise<Explanation[]> {
  return inWorker({ trace, open: {}, machine: resolveConfig(machine), ...options });
}
