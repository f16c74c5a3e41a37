import { COALESCES, DUMP, LATENCY, PDC_NOTES, waysEstimate, zenExitCosts, zenWalkCaches } from "./amd.js";
import { cacheLevel, cite, instructionCache, type Preset, tlbArray } from "./cite.js";
import { beyondTlb, hashedSlices, referencesOnly } from "./intel.js";

const CHIP = `${LATENCY}, Ryzen 9 7950X`;

export const zen4: Preset = {
  name: "zen4",
  title: "AMD Zen 4 (EPYC Genoa, 2022)",
  notes: [...PDC_NOTES],
  values: {
    vendor: cite("amd", DUMP),
    host: { addressBits: cite(52, "estimate: without the bits that memory encryption takes") },
    tlb: {
      l1d: [tlbArray(["4k", "2m", "1g"], cite(72, DUMP), cite(0, DUMP), COALESCES)],
      l1i: [tlbArray(["4k", "2m", "1g"], cite(64, DUMP), cite(0, DUMP))],
      l1s: [],
      l2: [
        tlbArray(["4k", "2m"], cite(3072, DUMP), waysEstimate(24), COALESCES),
        tlbArray(["1g"], cite(64, DUMP), cite(0, DUMP)),
      ],
      l2i: [tlbArray(["4k", "2m"], cite(512, DUMP), waysEstimate(4))],
      l2Inclusion: cite("none", "estimate: not published; filled by walks"),
      l2Cycles: cite(5, `${CHIP}: 512 KB at a stride of 4 KB takes 19, less 14 of the L2 cache`),
      l2iCycles: cite(5, "estimate: as for data"),
    },
    psc: zenWalkCaches(),
    clock: { walkers: cite(6, "as Zen 3: AnandTech, Zen 3 microarchitecture") },
    walk: {
      baseCycles: cite(
        15,
        "estimate: as on Zen 2; InstLatx64 NewMemLat Zen 4, Random_Full less Page_Random is then 5, 25 and 41 at 64, 128 and 512 MB, measured 19, 27 and 48",
      ),
      ...referencesOnly(),
    },
    caches: {
      l1: cacheLevel(cite(32 << 10, "InstLatx64: 32 KB"), cite(8, "estimate: 8-way"), cite(4, CHIP)),
      l2: cacheLevel(cite(1 << 20, "InstLatx64: 1 MB"), cite(8, "estimate: 8-way"), cite(14, CHIP)),
      l3: cacheLevel(
        cite(32 << 20, "estimate: the 32 MB that eight cores share"),
        cite(16, "estimate: 16-way"),
        beyondTlb(55, 5, CHIP),
        { hashMask: hashedSlices("estimate: hashed, as seen on Zen 2") },
      ),
      l1i: instructionCache("estimate: 32 KB, 8-way"),
      aliasCycles: cite(0, "estimate: not modelled"),
      memoryCycles: beyondTlb(375, 5, CHIP),
    },
    exits: zenExitCosts(),
  },
};
