/** nestwalk as a library, in Node and in browsers. Files are in `nestwalk/node`. */
export { type CompareOptions, compare, type Progress, withMachines } from "./compare.js";
export type { PageSize } from "./config/index.js";
export * from "./config/index.js";
export { Core, type CoreBuild, type CoreExports, simdSupported } from "./core.js";
export * from "./explain/index.js";
export {
  counters,
  type Declared,
  type DeclaredCounter,
  type DeclaredExitReason,
  exitReasons,
  structureCells,
  structures,
} from "./generated/declarations.js";
export { version } from "./generated/version.js";
export { type Intervals, MOST_INTERVALS } from "./intervals.js";
export { Machine } from "./machine.js";
export { ReplayError } from "./replay-error.js";
export * from "./request/index.js";
export type {
  Cycles,
  ExitCount,
  Law,
  MachineResult,
  Oracle,
  Result,
  StructureCounts,
  TraceDescription,
} from "./result.js";
export * from "./trace/index.js";
export * from "./vary/index.js";
