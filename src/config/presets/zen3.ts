import { COALESCES, DUMP, LATENCY, PDC_NOTES, waysEstimate, zenExitCosts, zenWalkCaches } from "./amd.js";
import { cacheLevel, cite, instructionCache, type Preset, tlbArray } from "./cite.js";
import { baseFromSurface, beyondTlb, hashedSlices, referencesOnly } from "./intel.js";

const CHIP = `${LATENCY}, Ryzen 9 5900X`;

export const zen3: Preset = {
  name: "zen3",
  title: "AMD Zen 3 (EPYC Milan, 2021)",
  notes: [...PDC_NOTES],
  values: {
    vendor: cite("amd", DUMP),
    host: { addressBits: cite(48, "estimate: without the bits that memory encryption takes") },
    tlb: {
      l1d: [tlbArray(["4k", "2m", "1g"], cite(64, DUMP), cite(0, DUMP), COALESCES)],
      l1i: [tlbArray(["4k", "2m", "1g"], cite(64, DUMP), cite(0, DUMP))],
      l1s: [],
      l2: [
        tlbArray(["4k", "2m"], cite(2048, DUMP), waysEstimate(16), COALESCES),
        tlbArray(["1g"], cite(64, DUMP), cite(0, DUMP)),
      ],
      l2i: [tlbArray(["4k", "2m"], cite(512, DUMP), waysEstimate(4))],
      l2Inclusion: cite("none", "estimate: not published; filled by walks"),
      l2Cycles: cite(
        7,
        `${CHIP}: 512 KB at a stride of 4 KB takes 20, less 13 measured for the L2 cache there`,
      ),
      l2iCycles: cite(7, "estimate: as for data"),
    },
    psc: zenWalkCaches(),
    clock: { walkers: cite(6, "AnandTech, Zen 3 microarchitecture") },
    walk: { baseCycles: baseFromSurface("Zen 3", 25, 12), ...referencesOnly() },
    caches: {
      l1: cacheLevel(cite(32 << 10, "InstLatx64: 32 KB"), cite(8, "estimate: 8-way"), cite(4, CHIP)),
      l2: cacheLevel(cite(512 << 10, "InstLatx64: 512 KB"), cite(8, "estimate: 8-way"), cite(12, CHIP)),
      l3: cacheLevel(
        cite(32 << 20, "estimate: the 32 MB that eight cores share"),
        cite(16, "estimate: 16-way"),
        beyondTlb(53, 7, CHIP),
        { hashMask: hashedSlices("estimate: hashed, as seen on Zen 2") },
      ),
      l1i: instructionCache("estimate: 32 KB, 8-way"),
      aliasCycles: cite(0, "estimate: not modelled"),
      memoryCycles: beyondTlb(319, 7, CHIP),
    },
    exits: zenExitCosts(),
  },
};
