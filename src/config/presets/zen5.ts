import { DUMP, zenExitCosts } from "./amd.js";
import {
  cacheLevel,
  cite,
  instructionCache,
  noEntryCache,
  ownCache,
  type Preset,
  placedCache,
  tlbArray,
} from "./cite.js";

/** Fits: the structures with which replayed curves of nested paging on Zen 5 come out within 1.4 % (median). */
const MEASURED = "measured curves of nested paging on Zen 5 (knee or plateau)";
const FIT = "estimate: fitted to measured curves of nested paging on Zen 5";
const OPEN = "estimate: the curves do not determine it";

const nru = (percent: number) => ({
  policy: cite("nru" as const, `${FIT}; LRU, tree-PLRU and random do not reproduce them`),
  fillMark: cite(percent, FIT),
  index: cite("plain" as const, MEASURED),
});
const lru = { policy: cite("lru" as const, FIT), index: cite("plain" as const, FIT) };

export const zen5: Preset = {
  name: "zen5",
  title: "AMD Zen 5 (EPYC Turin, 2024)",
  notes: [
    "The structures were found by replaying measured curves of nested paging (dependent accesses, NPT, 4-level).",
    "Not expressed: the host frame of the root table comes with CR3 for free; here the nested TLB is asked for it, where it stays.",
    "The nested TLB and the host PDE cache are weakly determined: some hundreds of entries, and about a thousand.",
  ],
  values: {
    vendor: cite("amd", DUMP),
    host: { addressBits: cite(52, "estimate: without the bits that memory encryption takes") },
    tlb: {
      l1d: [
        tlbArray(["4k", "2m", "1g"], cite(96, DUMP), cite(0, DUMP), {
          ...lru,
          coalesce: cite(
            true,
            `${MEASURED}: a knee at 384 pages where the host's frames happen to be contiguous`,
          ),
        }),
      ],
      l1i: [tlbArray(["4k", "2m", "1g"], cite(64, DUMP), cite(0, DUMP), lru)],
      l2: [
        tlbArray(["4k", "2m"], cite(4096, DUMP), cite(8, FIT), nru(20)),
        tlbArray(["1g"], cite(1024, `${DUMP} (8000_0021 EAX bit 14: times 32)`), cite(8, OPEN), lru),
      ],
      l2i: [tlbArray(["4k", "2m"], cite(2048, DUMP), cite(4, FIT), lru)],
      l2Inclusion: cite("none", "estimate: not published; filled by walks"),
      l2Cycles: cite(7, MEASURED),
      l2iCycles: cite(6, MEASURED),
    },
    psc: {
      physical: noEntryCache(),
      pde: ownCache(
        cite(1792, `${FIT}: 256 sets x 8 ways of which 7 are usable, shared with PDPTEs`),
        cite(7, FIT),
        nru(30),
      ),
      pdpte: placedCache("pde", `${FIT}: PDPTEs share the array of the PDEs`),
      pml4e: ownCache(cite(64, MEASURED), cite(0, FIT), lru),
      pml5e: ownCache(cite(64, OPEN), cite(0, OPEN), lru),
      hostPde: ownCache(cite(1024, FIT), cite(8, FIT), nru(30)),
      hostPdpte: ownCache(cite(512, `${FIT}: always cached; so many hold 512 GiB`), cite(8, OPEN), lru),
      hostPml4e: ownCache(cite(64, `${FIT}: always cached`), cite(0, OPEN), lru),
      hostPml5e: ownCache(cite(8, OPEN), cite(0, OPEN), lru),
      nested: ownCache(cite(512, FIT), cite(8, FIT), nru(30)),
      nestedData: cite(false, `${FIT}: the host's leaf entry is read on every walk`),
      leaves: cite(
        ["1g"],
        `${FIT}: a guest's 1 GiB leaf is kept at the PDPTE level, a 2 MiB leaf is not kept`,
      ),
    },
    clock: { walkers: cite(6, "estimate: 6 or more; as Zen 3 (AnandTech)") },
    walk: {
      baseCycles: cite(35, `${FIT} (35 to 37)`),
      fetchCycles: cite(10, FIT),
      upperCycles: cite(27, FIT),
      nestedCycles: cite(8, FIT),
      hostUpperCycles: cite(32, FIT),
      cacheLevel: cite("l1", `${FIT}; past L1 the errors grow`),
      eagerAccessed: cite(false, "estimate: not published; flags are set when a walk succeeds"),
    },
    caches: {
      l1: cacheLevel(
        cite(48 << 10, "InstLatx64: 48 KB"),
        cite(12, `${FIT}: 64 sets x 12 ways`),
        cite(4, MEASURED),
      ),
      l2: cacheLevel(
        cite(1 << 20, "InstLatx64: 1 MB"),
        cite(16, `${FIT}: 1024 sets x 16 ways`),
        cite(14, MEASURED),
        {
          policy: cite("random", `${FIT}; LRU thrashes too early`),
          hashMask: cite(
            0b110000,
            `${FIT}: PTE lines of strides 2^19 to 2^21 all reach 1024 lines, so bits 10 and 11 of the address are hashed`,
          ),
        },
      ),
      l3: cacheLevel(
        cite(32 << 20, `${FIT}: 32768 sets x 16 ways`),
        cite(16, FIT),
        cite(47, `${MEASURED}: 47 to 53 with the TLB's 7`),
        { hashMask: cite(0xffff_ffff, `${FIT}: the whole index is hashed`) },
      ),
      l1i: instructionCache("estimate: 32 KB, 8-way"),
      aliasCycles: cite(14, `${MEASURED}: many linear addresses of one line miss the way predictor`),
      memoryCycles: cite(450, FIT),
    },
    exits: zenExitCosts(),
  },
};
