import { DUMP, LATENCY, PDC_NOTES, waysEstimate, zenExitCosts, zenWalkCaches } from "./amd.js";
import { cacheLevel, cite, instructionCache, type Preset, tlbArray } from "./cite.js";
import { beyondTlb, HASH_SEEN, hashedSlices, referencesOnly } from "./intel.js";

const CHIP = `${LATENCY}, EPYC 7742`;

const FIT = `estimate: fitted to ${CHIP}, 768, 1024 and 1536 pages at a stride of 16 KB: 65, 71 and 77 (model 67, 67 and 72)`;
/** Not part of any fit. */
const RESIDUAL =
  "Random_Full less Page_Random at a stride of 128 is then 24, 31 and 35 at 64, 128 and 256 MB, measured 23, 29 and 40";

export const zen2: Preset = {
  name: "zen2",
  title: "AMD Zen 2 (EPYC Rome, 2019)",
  notes: ["1 GiB pages have no entries in the second-level TLB.", ...PDC_NOTES],
  values: {
    vendor: cite("amd", DUMP),
    host: { addressBits: cite(48, "estimate: without the bits that memory encryption takes") },
    tlb: {
      l1d: [tlbArray(["4k", "2m", "1g"], cite(64, DUMP), cite(0, DUMP))],
      l1i: [tlbArray(["4k", "2m", "1g"], cite(64, DUMP), cite(0, DUMP))],
      l1s: [],
      l2: [tlbArray(["4k", "2m"], cite(2048, DUMP), waysEstimate(16))],
      l2i: [tlbArray(["4k", "2m"], cite(1024, DUMP), waysEstimate(8))],
      l2Inclusion: cite("none", "estimate: not published; filled by walks"),
      l2Cycles: cite(
        7,
        `${CHIP}: 512 KB at a stride of 4 KB takes 19, less 12 of the L2 cache; Chips and Cheese says 7 too`,
      ),
      l2iCycles: cite(7, "estimate: as for data"),
    },
    psc: zenWalkCaches(),
    clock: { walkers: cite(2, "WikiChip, Zen 2") },
    walk: {
      baseCycles: cite(15, `${FIT}; ${RESIDUAL}`),
      ...referencesOnly(),
    },
    caches: {
      l1: cacheLevel(cite(32 << 10, "InstLatx64: 32 KB"), cite(8, "estimate: 8-way"), cite(4, CHIP)),
      l2: cacheLevel(cite(512 << 10, "InstLatx64: 512 KB"), cite(8, "estimate: 8-way"), cite(12, CHIP)),
      l3: cacheLevel(
        cite(16 << 20, "estimate: the 16 MB that four cores share"),
        cite(16, "estimate: 16-way"),
        beyondTlb(48, 7, CHIP),
        { hashMask: hashedSlices(`${CHIP}: ${HASH_SEEN}`) },
      ),
      l1i: instructionCache("estimate: 32 KB, 8-way"),
      aliasCycles: cite(0, "estimate: not modelled"),
      memoryCycles: beyondTlb(614, 7, CHIP),
    },
    exits: zenExitCosts(),
  },
};
