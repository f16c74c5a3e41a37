import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { compare } from "../src/compare.js";
import { resolveConfig } from "../src/config/index.js";
import { openFile } from "../src/node.js";
import { openTrace } from "../src/trace/index.js";
import {
  AT,
  access,
  addressOf,
  FETCH,
  figures,
  laps,
  mapPages,
  newGuest,
  PAGE,
  range,
  shuffledLaps,
} from "./hardware/workload.js";

/**
 * A test per knob of the hardware: the same accesses on two machines that differ in one key, and the counter that
 * must move.
 */

type Run = (set: readonly string[]) => Record<string, number>;
type Direction = "more" | "fewer" | "none";

/** Random pages of `n`, `times` n accesses. */
const pages =
  (
    n: number,
    options: {
      scattered?: boolean;
      stride?: number;
      bits?: number;
      level?: number;
      order?: "laps" | "hot";
    } = {},
  ): Run =>
  (set) => {
    const { scattered = false, stride = 1, level = 1, order } = options;
    const guest = newGuest(set);
    mapPages(
      guest,
      range(n).map((i) => i * stride),
      level,
      scattered,
    );
    const visits =
      order === "laps"
        ? laps(n, 12)
        : shuffledLaps(n, 12).map((page, i) => (order === "hot" && i % 2 === 0 ? 0 : page));
    access(
      guest,
      visits.map((i) => addressOf(i * stride, level)),
      options.bits,
    );
    expect(guest.brokenLaws()).toEqual([]);
    return figures(guest);
  };

/** One page in each of `n` regions of 2^shift bytes. */
const regions =
  (n: number, shift: number): Run =>
  (set) => {
    const stride = 2 ** (shift - 12);
    return pages(n, { stride })(set);
  };

/** Lines of one page, each read through several pages that map the same frame. */
const aliases: Run = (set) => {
  const guest = newGuest(set);
  mapPages(guest, [0]);
  for (let i = 1; i < 4; ++i) guest.map(AT + i * PAGE, 1, 0x100_0000);
  access(
    guest,
    shuffledLaps(4, 500).map((i) => addressOf(i)),
  );
  return figures(guest);
};

/** More lines than the first cache level holds. */
const lines =
  (n: number, bits?: number): Run =>
  (set) => {
    const guest = newGuest(set);
    mapPages(guest, range(n / 64));
    access(
      guest,
      shuffledLaps(n, 12).map((i) => AT + 64 * i),
      bits,
    );
    return figures(guest);
  };

const array = (more: object) => `=${JSON.stringify([{ pages: ["4k", "2m", "1g"], entries: 16, ...more }])}`;
const level2 = (more: object) =>
  `=${JSON.stringify([{ pages: ["4k", "2m"], entries: 64, ways: 4, ...more }])}`;
const tables = ["caches.l1.bytes=512", "caches.l1.ways=1", "caches.l2.bytes=4096", "caches.l2.ways=2"];

const knobs: [
  knob: string,
  run: Run,
  before: string[],
  after: string[],
  counter: string,
  direction: Direction,
][] = [
  [
    "entries of a TLB",
    pages(24),
    [`tlb.l1d${array({})}`],
    [`tlb.l1d${array({ entries: 32 })}`],
    "l1d.misses",
    "fewer",
  ],
  [
    "ways of a TLB",
    pages(8, { stride: 16 }),
    [`tlb.l1d${array({ ways: 2 })}`],
    [`tlb.l1d${array({ ways: 8 })}`],
    "l1d.misses",
    "fewer",
  ],
  [
    "random instead of LRU on a cycle",
    pages(20, { order: "laps" }),
    [`tlb.l1d${array({})}`],
    [`tlb.l1d${array({ policy: "random" })}`],
    "l1d.misses",
    "fewer",
  ],
  [
    "NRU instead of LRU on a cycle",
    pages(20, { order: "laps" }),
    [`tlb.l1d${array({})}`],
    [`tlb.l1d${array({ policy: "nru" })}`],
    "l1d.misses",
    "fewer",
  ],
  [
    "marking every fill of NRU, on a cycle",
    pages(24, { order: "laps" }),
    [`tlb.l1d${array({ policy: "nru" })}`],
    [`tlb.l1d${array({ policy: "nru", fillMark: 100 })}`],
    "l1d.misses",
    "more",
  ],
  [
    "tree-PLRU instead of FIFO beside a hot page",
    pages(40, { order: "hot" }),
    [`tlb.l1d${array({ policy: "fifo" })}`],
    [`tlb.l1d${array({ policy: "plru" })}`],
    "l1d.misses",
    "fewer",
  ],
  [
    "hashing the set index under a stride",
    pages(12, { stride: 16 }),
    [`tlb.l1d${array({ ways: 2 })}`],
    [`tlb.l1d${array({ ways: 2, index: "hashed" })}`],
    "l1d.misses",
    "fewer",
  ],
  [
    "page sizes of an array",
    pages(4, { level: 2 }),
    ["host.page=2m", 'tlb.l1d=[{"pages":["4k"],"entries":16}]'],
    [`tlb.l1d${array({})}`],
    "l1d.fills",
    "none",
  ],
  [
    "coalescing contiguous pages",
    pages(48),
    [`tlb.l1d${array({})}`],
    [`tlb.l1d${array({ coalesce: true })}`],
    "l1d.misses",
    "fewer",
  ],
  [
    "coalescing scattered pages",
    pages(48, { scattered: true }),
    [`tlb.l1d${array({})}`],
    [`tlb.l1d${array({ coalesce: true })}`],
    "l1d.misses",
    "none",
  ],
  [
    "coalescing in the second level",
    pages(200),
    [`tlb.l2${level2({})}`],
    [`tlb.l2${level2({ coalesce: true })}`],
    "walks",
    "fewer",
  ],
  [
    "an inclusive second level",
    pages(64, { stride: 16 }),
    [],
    ["tlb.l2Inclusion=inclusive"],
    "l1d.misses",
    "more",
  ],
  [
    "a victim second level",
    pages(72),
    [`tlb.l2${level2({ ways: 0 })}`],
    [`tlb.l2${level2({ ways: 0 })}`, "tlb.l2Inclusion=victim"],
    "walks",
    "fewer",
  ],
  ["cycles of the second level", pages(24), ["tlb.l2Cycles=7"], ["tlb.l2Cycles=9"], "cyclesTlb", "more"],
  [
    "cycles of the second level for fetches",
    pages(24, { bits: FETCH }),
    ["tlb.l2iCycles=7"],
    ["tlb.l2iCycles=9"],
    "cyclesTlb",
    "more",
  ],
  [
    "a second level for instructions",
    pages(100, { bits: FETCH }),
    [],
    ['tlb.l2i=[{"pages":["4k"],"entries":128,"ways":4}]'],
    "walks",
    "fewer",
  ],
  ["a PDE cache", pages(200), ["psc.pde.place=none", "psc.pdpte.place=own"], [], "tableReferences", "fewer"],
  ["a PDPTE cache", regions(60, 21), ["psc.pdpte.place=none"], [], "tableReferences", "fewer"],
  ["a PML4E cache", regions(60, 30), ["psc.pml4e.place=none"], [], "tableReferences", "fewer"],
  ["PDEs in the second-level TLB", pages(40, { stride: 513 }), [], ["psc.pde.place=l2"], "l2.misses", "more"],
  ["PDPTEs in the PDEs' array", regions(30, 30), [], ["psc.pdpte.place=pde"], "pdpte.misses", "more"],
  ["PML4Es in the PDPTEs' array", regions(30, 39), [], ["psc.pml4e.place=pdpte"], "pml4e.misses", "more"],
  ["a nested TLB", regions(100, 21), ["psc.nested.place=none"], [], "nestedWalks", "fewer"],
  [
    "a nested TLB in the second-level TLB",
    pages(50, { stride: 512 * 512 + 513 }),
    [],
    ["psc.nested.place=l2"],
    "l2.misses",
    "more",
  ],
  [
    "a nested TLB for data",
    pages(20, { bits: FETCH }),
    ["tlb.l2=[]"],
    ["tlb.l2=[]", "psc.nestedData=true"],
    "nestedWalks",
    "fewer",
  ],
  ["a cache of second-stage PDEs", pages(200), ["psc.hostPde.place=none"], [], "tableReferences", "fewer"],
  [
    "2 MiB leaves in the PDE cache",
    pages(20, { level: 2 }),
    ["tlb.l2=[]"],
    ["tlb.l2=[]", "psc.leaves=2m"],
    "tableReferences",
    "fewer",
  ],
  [
    "1 GiB leaves in the PDPTE cache",
    pages(20, { level: 3 }),
    ["tlb.l2=[]"],
    ["tlb.l2=[]", "psc.leaves=1g"],
    "tableReferences",
    "fewer",
  ],
  [
    "a page-walk cache by address",
    regions(100, 21),
    [],
    ["psc.physical.holds=guest", "psc.physical.entries=64"],
    "entryCacheHits",
    "more",
  ],
  [
    "a page-walk cache by address spares the caches",
    regions(100, 21),
    tables,
    [...tables, "psc.physical.holds=guest", "psc.physical.entries=128"],
    "cyclesWalk",
    "fewer",
  ],
  [
    "one that holds the second stage's entries",
    regions(100, 21),
    ["psc.hostPde.place=none", "psc.physical.holds=guest", "psc.physical.entries=512"],
    ["psc.hostPde.place=none", "psc.physical.holds=both", "psc.physical.entries=512"],
    "entryCacheHits",
    "more",
  ],
  [
    "its cycles",
    regions(100, 21),
    ["psc.physical.holds=guest", "psc.physical.entries=64"],
    ["psc.physical.holds=guest", "psc.physical.entries=64", "psc.physical.cycles=5"],
    "cyclesWalk",
    "more",
  ],
  [
    "its ways",
    regions(60, 30),
    ["psc.physical.holds=guest", "psc.physical.entries=256", "psc.physical.ways=1"],
    ["psc.physical.holds=guest", "psc.physical.entries=256"],
    "entryCacheHits",
    "more",
  ],
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
  [
    "no caches",
    pages(100),
    ["caches.referenceCycles=1"],
    ["caches.enabled=false", "caches.referenceCycles=1"],
    "tableLinesL1",
    "fewer",
  ],
  [
    "cycles of a reference without caches",
    pages(100),
    ["caches.enabled=false", "caches.referenceCycles=1"],
    ["caches.enabled=false", "caches.referenceCycles=9"],
    "cyclesWalk",
    "more",
  ],
  [
    "bytes of a cache",
    pages(2000),
    ["caches.l1.bytes=512"],
    ["caches.l1.bytes=65536"],
    "tableLinesL1",
    "more",
  ],
  [
    "ways of a cache",
    regions(24, 21),
    ["caches.l1.bytes=4096", "caches.l1.ways=1"],
    ["caches.l1.bytes=4096", "caches.l1.ways=64"],
    "tableLinesL1",
    "more",
  ],
  ["cycles of a cache", pages(100), ["caches.l1.cycles=4"], ["caches.l1.cycles=5"], "cyclesWalk", "more"],
  [
    "policy of a cache",
    pages(900, { stride: 8, order: "laps" }),
    ["caches.l1.bytes=16384", "caches.l1.ways=64"],
    ["caches.l1.bytes=16384", "caches.l1.ways=64", "caches.l1.policy=random"],
    "tableLinesL1",
    "more",
  ],
  [
    "fill mark of a cache",
    pages(900, { stride: 8, order: "laps" }),
    ["caches.l1.bytes=16384", "caches.l1.ways=64", "caches.l1.policy=nru"],
    ["caches.l1.bytes=16384", "caches.l1.ways=64", "caches.l1.policy=nru", "caches.l1.fillMark=100"],
    "tableLinesL1",
    "fewer",
  ],
  [
    "hashing a cache's index",
    regions(60, 21),
    ["caches.l1.bytes=16384", "caches.l1.ways=4"],
    ["caches.l1.bytes=16384", "caches.l1.ways=4", "caches.l1.hashMask=63"],
    "tableLinesL1",
    "more",
  ],
  [
    "an inclusive cache",
    pages(2000),
    ["caches.l2.bytes=4096", "caches.l2.ways=1"],
    ["caches.l2.bytes=4096", "caches.l2.ways=1", "caches.l2.inclusion=inclusive"],
    "tableLinesL1",
    "fewer",
  ],
  [
    "a victim cache",
    pages(2000),
    ["caches.l1.bytes=4096", "caches.l2.bytes=4096", "caches.l2.ways=64", "caches.l1.ways=64"],
    [
      "caches.l1.bytes=4096",
      "caches.l2.bytes=4096",
      "caches.l2.ways=64",
      "caches.l1.ways=64",
      "caches.l2.inclusion=victim",
    ],
    "tableLinesL2",
    "more",
  ],
  [
    "cycles of memory",
    pages(100),
    ["caches.memoryCycles=200"],
    ["caches.memoryCycles=400"],
    "cyclesWalk",
    "more",
  ],
  ["data in the caches", lines(6400), [], ["caches.data=true"], "cyclesData", "more"],
  ["data that competes with entries", lines(6400), [], ["caches.data=true"], "tableLinesL1", "fewer"],
  [
    "data of other linear pages",
    aliases,
    ["caches.data=true"],
    ["caches.data=true", "caches.aliasCycles=14"],
    "cyclesData",
    "more",
  ],
  [
    "lines with one linear page each",
    lines(64),
    ["caches.data=true"],
    ["caches.data=true", "caches.aliasCycles=14"],
    "cyclesData",
    "none",
  ],
  [
    "an instruction cache that is too small",
    lines(640, FETCH),
    ["caches.data=true"],
    ["caches.data=true", "caches.l1i.bytes=512", "caches.l1i.ways=1"],
    "cyclesData",
    "more",
  ],
  [
    "fetches without an instruction cache",
    lines(6400, FETCH),
    [],
    ["caches.data=true", "caches.l1i.bytes=0"],
    "cyclesData",
    "none",
  ],
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
];

/** A recorded guest, whose hypervisor writes and reads tables. */
async function recorded(set: readonly string[]): Promise<Record<string, number>> {
  const trace = await openTrace(
    await openFile(fileURLToPath(new URL("../traces/pcid.nwt", import.meta.url))),
  );
  const { machines } = await compare(trace, [resolveConfig({ set: [...set] })]);
  return machines[0]!.counters;
}

describe("the hypervisor's references in the caches", () => {
  it.each(["technique=shadow", "technique=nested"])(
    "leave walks less to fetch from memory: %s",
    async (technique) => {
      const without = await recorded([technique, "caches.hypervisor=false"]);
      const seen = await recorded([technique]);
      expect(seen.tableLinesMemory).toBeLessThan(without.tableLinesMemory!);
      expect(seen.tableReferences).toBe(without.tableReferences);
    },
  );
});

describe("turning a knob moves its counter", () => {
  it.each(knobs)("%s", (_, run, before, after, counter, direction) => {
    const a = run(before)[counter]!;
    const b = run(after)[counter]!;
    if (direction === "more") expect(b).toBeGreaterThan(a);
    else if (direction === "fewer") expect(b).toBeLessThan(a);
    else expect(b).toBe(a);
  });
});
