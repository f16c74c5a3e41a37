import type { Cycles } from "../result.js";

/** The parts that the cycles of a machine sum up from, and what they are called. */
export const cycleParts: readonly (readonly [part: Exclude<keyof Cycles, "total">, label: string])[] = [
  ["issue", "issue"],
  ["tlb", "second-level TLB"],
  ["walk", "page walks"],
  ["walkerQueue", "waiting for a walker"],
  ["data", "data"],
  ["exitHardware", "exits, hardware"],
  ["exitHandler", "exits, hypervisor"],
  ["kernel", "the played kernel"],
];
