import { fileURLToPath } from "node:url";
import { compare } from "../../../src/compare.js";
import { resolveConfig } from "../../../src/config/index.js";
import { openFile } from "../../../src/node.js";
import { openTrace } from "../../../src/trace/index.js";
import type { Direction } from "./runs.js";

/** Knobs that show on recorded guests: 5-level paging, faults, and a hypervisor that reads and writes tables. */
export const recordedKnobs: [
  knob: string,
  guest: string,
  before: string[],
  after: string[],
  counter: string,
  direction: Direction,
][] = [
  [
    "the hypervisor's references in the caches: shadow",
    "traces/pcid",
    ["technique=shadow", "caches.hypervisor=false"],
    ["technique=shadow"],
    "tableLinesMemory",
    "fewer",
  ],
  [
    "the hypervisor's references in the caches: nested",
    "traces/pcid",
    ["technique=nested", "caches.hypervisor=false"],
    ["technique=nested"],
    "tableLinesMemory",
    "fewer",
  ],
  [
    "which walks make none the less",
    "traces/pcid",
    ["technique=nested", "caches.hypervisor=false"],
    ["technique=nested"],
    "tableReferences",
    "none",
  ],
  [
    "a PML5E cache",
    "tests/fixtures/la57-fork",
    ["technique=native", ...upper("none"), "psc.pml5e.place=none"],
    ["technique=native", ...upper("none")],
    "tableReferences",
    "fewer",
  ],
  [
    "a cache of second-stage PML5Es",
    "tests/fixtures/la57-fork",
    ["host.levels=5", ...hostUpper("none"), "psc.hostPml5e.place=none"],
    ["host.levels=5", ...hostUpper("none")],
    "tableReferences",
    "fewer",
  ],
];

function upper(place: string): string[] {
  return ["pde", "pdpte", "pml4e"].map((cache) => `psc.${cache}.place=${place}`);
}
function hostUpper(place: string): string[] {
  return ["hostPde", "hostPdpte", "hostPml4e"].map((cache) => `psc.${cache}.place=${place}`);
}

/** The counters of one machine that replays a recorded guest. */
export async function countersOf(guest: string, set: readonly string[]): Promise<Record<string, number>> {
  const file = fileURLToPath(new URL(`../../../${guest}.nwt`, import.meta.url));
  const { machines } = await compare(await openTrace(await openFile(file)), [
    resolveConfig({ set: [...set] }),
  ]);
  return machines[0]!.counters;
}
