/** What an access did, or would do, for a person to read: as data, and as text. */
export type { ExplainExports } from "./log.js";
export { type ProbedAccess, probe, readExplanation } from "./read.js";
export { explanationText, type TextOptions } from "./text/index.js";
export { stepText } from "./text/steps.js";
export {
  type ExplainOptions,
  explainAddress,
  explainTrace,
  type ProbeOptions,
  type Wanted,
} from "./trace.js";
export type * from "./types.js";
