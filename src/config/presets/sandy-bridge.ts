import { cacheLevel, cite, instructionCache, type Preset, tlbArray } from "./cite.js";
import { AGESEN, exitCosts } from "./exits.js";
import { hashedSlices, intelWalkCaches, referencesOnly } from "./intel.js";

const AGILE = "Gandhi et al., Agile Paging, ISCA 2016, the machine of table IV: Xeon E5-2430";
const LATENCY =
  "The Tech Report, Core i7-3960X review (Sandy Bridge-E), measured cycles of L1, L2 and L3: 4, 12, 30";
const MEMORY = "estimate: from memory of Sandy Bridge-EN; the paper does not give it";

export const sandyBridge: Preset = {
  name: "sandy-bridge",
  title: "Intel Sandy Bridge-EN (Xeon E5-2430, 2012), the machine of Agile Paging",
  notes: [
    "The second-level TLB holds 4 KiB pages only; large pages have the first level alone.",
    "The CPU has no 5-level paging; the PML5E caches serve guests and hosts that are replayed with it.",
  ],
  values: {
    vendor: cite("intel", AGILE),
    host: { addressBits: cite(46, "estimate: usual for Xeon E5") },
    tlb: {
      l1d: [
        tlbArray(["4k"], cite(64, AGILE), cite(4, AGILE)),
        tlbArray(["2m"], cite(32, AGILE), cite(4, AGILE)),
        tlbArray(["1g"], cite(4, AGILE), cite(0, AGILE)),
      ],
      l1i: [
        tlbArray(["4k"], cite(128, AGILE), cite(4, AGILE)),
        tlbArray(["2m"], cite(8, AGILE), cite(0, AGILE)),
      ],
      l1s: [],
      l2: [tlbArray(["4k"], cite(512, AGILE), cite(4, AGILE))],
      l2i: [],
      l2Inclusion: cite("none", "estimate: not published; filled by walks"),
      l2Cycles: cite(7, MEMORY),
      l2iCycles: cite(7, "estimate: as for data; the second level is shared"),
    },
    psc: intelWalkCaches(),
    clock: { walkers: cite(1, "estimate: two walkers came with Skylake") },
    walk: { baseCycles: cite(0, "estimate: not measured"), ...referencesOnly() },
    caches: {
      l1: cacheLevel(cite(32 << 10, MEMORY), cite(8, MEMORY), cite(4, LATENCY)),
      l2: cacheLevel(cite(256 << 10, MEMORY), cite(8, MEMORY), cite(12, LATENCY)),
      l3: cacheLevel(
        cite(16 << 20, "estimate: a power of two near the 15 MB of the E5-2430"),
        cite(16, "estimate: gives a power-of-two number of sets"),
        cite(30, LATENCY),
        { hashMask: hashedSlices("estimate: slices are hashed, as seen on Skylake-SP") },
      ),
      l1i: instructionCache(MEMORY),
      aliasCycles: cite(0, "estimate: not modelled"),
      memoryCycles: cite(200, MEMORY),
    },
    exits: exitCosts(
      cite(784, AGESEN),
      cite(755, "estimate: as on Skylake-SP, 1539 cycles for KVM's VMCALL less 784"),
    ),
  },
};
