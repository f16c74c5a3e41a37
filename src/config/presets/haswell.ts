import { cacheLevel, cite, instructionCache, type Preset, tlbArray } from "./cite.js";
import { AGESEN, exitCosts } from "./exits.js";
import {
  baseFromSurface,
  beyondTlb,
  DUMP,
  hashedSlices,
  intelWalkCaches,
  LATENCY,
  referencesOnly,
} from "./intel.js";

const CHIP = `${LATENCY}, i7-5820K`;

export const haswell: Preset = {
  name: "haswell",
  title: "Intel Haswell-EP (Xeon E5 v3, 2014)",
  notes: [
    "1 GiB pages have no entries in the second-level TLB.",
    "The L1 ITLB is one hyper-thread's share of the core's entries.",
    "The CPU has no 5-level paging; the PML5E caches serve guests and hosts that are replayed with it.",
  ],
  values: {
    vendor: cite("intel", DUMP),
    host: { addressBits: cite(46, "estimate: usual for Xeon E5") },
    tlb: {
      l1d: [
        tlbArray(["4k"], cite(64, DUMP), cite(4, DUMP)),
        tlbArray(["2m"], cite(32, DUMP), cite(4, DUMP)),
        tlbArray(["1g"], cite(4, DUMP), cite(4, DUMP)),
      ],
      l1i: [tlbArray(["4k"], cite(64, DUMP), cite(8, DUMP)), tlbArray(["2m"], cite(8, DUMP), cite(0, DUMP))],
      l1s: [],
      l2: [tlbArray(["4k", "2m"], cite(1024, DUMP), cite(8, DUMP))],
      l2i: [],
      l2Inclusion: cite("none", "estimate: not published; filled by walks"),
      l2Cycles: cite(
        8,
        "estimate: between the 7 (Golden Cove) and 9 (Skylake-SP) measured; this L2 cache is too small to show it",
      ),
      l2iCycles: cite(8, "estimate: as for data; the second level is shared"),
    },
    psc: intelWalkCaches(),
    clock: { walkers: cite(1, "estimate: two walkers came with Skylake") },
    walk: { baseCycles: baseFromSurface("Haswell-E", 25, 12), ...referencesOnly() },
    caches: {
      l1: cacheLevel(cite(32 << 10, "InstLatx64: 32 KB"), cite(8, "estimate: 8-way"), cite(4, CHIP)),
      l2: cacheLevel(cite(256 << 10, "InstLatx64: 256 KB"), cite(8, "estimate: 8-way"), cite(12, CHIP)),
      l3: cacheLevel(
        cite(16 << 20, "estimate: a power of two near the 15 MB of the i7-5820K"),
        cite(16, "estimate: gives a power-of-two number of sets"),
        beyondTlb(52, 8, CHIP),
        { hashMask: hashedSlices("estimate: slices are hashed, as seen on Skylake-SP") },
      ),
      l1i: instructionCache("estimate: 32 KB, 8-way"),
      aliasCycles: cite(0, "estimate: not modelled"),
      memoryCycles: beyondTlb(248, 8, CHIP),
    },
    exits: exitCosts(
      cite(784, `estimate: not published for Haswell; ${AGESEN}`),
      cite(755, "estimate: as on Skylake-SP, 1539 cycles for KVM's VMCALL less 784"),
    ),
  },
};
