import { FETCH } from "../workload.js";
import { faults, type Knob, pages, regions } from "./runs.js";

/** Knobs of walks and the clock. */
export const walkKnobs: Knob[] = [
  ["base cycles of a walk", pages(100), ["walk.baseCycles=0"], ["walk.baseCycles=35"], "cyclesWalk", "more"],
  [
    "cycles of a walk for a fetch",
    pages(100, { bits: FETCH }),
    ["walk.fetchCycles=0"],
    ["walk.fetchCycles=10"],
    "cyclesWalk",
    "more",
  ],
  [
    "those cycles for a read",
    pages(100),
    ["walk.fetchCycles=0"],
    ["walk.fetchCycles=10"],
    "cyclesWalk",
    "none",
  ],
  [
    "cycles of an upper entry",
    regions(100, 21),
    ["walk.upperCycles=0"],
    ["walk.upperCycles=27"],
    "cyclesWalk",
    "more",
  ],
  [
    "cycles of a second-stage walk for a table",
    regions(100, 21),
    ["walk.nestedCycles=0"],
    ["walk.nestedCycles=8"],
    "cyclesWalk",
    "more",
  ],
  [
    "cycles of an upper second-stage entry",
    pages(100, { scattered: true }),
    ["walk.hostUpperCycles=0"],
    ["walk.hostUpperCycles=32"],
    "cyclesWalk",
    "more",
  ],
  ["where walks enter the caches", pages(100), [], ["walk.cacheLevel=l2"], "tableLinesL1", "fewer"],
  ["accesses under way at once", pages(200), ["clock.window=1"], ["clock.window=64"], "cyclesTotal", "fewer"],
  [
    "walkers",
    pages(200),
    ["clock.window=64", "clock.walkers=1"],
    ["clock.window=64", "clock.walkers=4"],
    "cyclesTotal",
    "fewer",
  ],
  [
    "cycles between accesses",
    pages(10),
    ["clock.issueCycles=1"],
    ["clock.issueCycles=4"],
    "cyclesIssue",
    "more",
  ],
  [
    "accessed flags set by walks that fault",
    faults(4),
    [],
    ["walk.eagerAccessed=true"],
    "accessedSet",
    "more",
  ],
];
