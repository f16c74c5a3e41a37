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

const CHIP = `${LATENCY}, i9-12900K`;
const ADL =
  "InstLatx64 CPUID dump, i9-12900K and Granite Rapids (Sapphire Rapids and i5-12400 dumps report 64, 4-way)";

export const goldenCove: Preset = {
  name: "golden-cove",
  title: "Intel Golden Cove (Alder Lake 2021, Sapphire Rapids 2023)",
  notes: [
    "Latencies of L3 and memory are the client chip's; Sapphire Rapids' L3 is slower.",
    "4 KiB pages are spread over both second-level arrays by the address bit above their index.",
  ],
  values: {
    vendor: cite("intel", DUMP),
    host: { addressBits: cite(52, "estimate: Sapphire Rapids") },
    tlb: {
      l1d: [
        tlbArray(["4k"], cite(96, ADL), cite(6, ADL)),
        tlbArray(["2m"], cite(32, DUMP), cite(4, DUMP)),
        tlbArray(["1g"], cite(8, DUMP), cite(0, DUMP)),
      ],
      l1i: [
        tlbArray(["4k"], cite(256, DUMP), cite(8, DUMP)),
        tlbArray(["2m"], cite(32, DUMP), cite(8, DUMP)),
      ],
      l1s: [tlbArray(["4k", "2m", "1g"], cite(16, DUMP), cite(0, DUMP))],
      l2: [
        tlbArray(["4k", "2m"], cite(1024, DUMP), cite(8, DUMP)),
        tlbArray(["4k", "1g"], cite(1024, DUMP), cite(8, DUMP)),
      ],
      l2i: [],
      l2Inclusion: cite("none", "estimate: not published; filled by walks"),
      l2Cycles: cite(7, `${CHIP}: 512 KB at a stride of 4 KB takes 22, less 15 of the L2 cache`),
      l2iCycles: cite(7, "estimate: as for data; the second level is shared"),
    },
    psc: intelWalkCaches(),
    clock: { walkers: cite(4, "estimate: not confirmed by a manual") },
    walk: { baseCycles: baseFromSurface("Golden Cove", 16, 15), ...referencesOnly() },
    caches: {
      l1: cacheLevel(cite(48 << 10, "InstLatx64: 48 KB"), cite(12, "estimate: 12-way"), cite(5, CHIP)),
      l2: cacheLevel(
        cite(2 << 20, "InstLatx64: 2 MB (client 1.25 MB)"),
        cite(16, "estimate: 16-way"),
        cite(15, CHIP),
      ),
      l3: cacheLevel(
        cite(32 << 20, "estimate: a power of two near the 30 MB of the i9-12900K"),
        cite(16, "estimate: gives a power-of-two number of sets"),
        beyondTlb(64, 7, CHIP),
        { hashMask: hashedSlices("estimate: slices are hashed, as seen on Skylake-SP") },
      ),
      l1i: instructionCache("estimate: 32 KB, 8-way"),
      aliasCycles: cite(0, "estimate: not modelled"),
      memoryCycles: beyondTlb(303, 7, CHIP),
    },
    exits: exitCosts(
      cite(784, `estimate: not published for Golden Cove; ${AGESEN}`),
      cite(755, "estimate: as on Skylake-SP, 1539 cycles for KVM's VMCALL less 784"),
    ),
  },
};
