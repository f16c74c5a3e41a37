/** Comparisons with keys varied. `runTask` runs one of them wherever it is called; nestwalk/node has workers for many. */
export { type Axis, combinations, MOST_POINTS, parseAxes, type Setting } from "./axes.js";
export { type Point, VARY_SCHEMA, type VaryResult, varyResult } from "./result.js";
export { runTask, type Task } from "./run.js";
