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

/**
 * Numbers from replayed pointer chases under nested paging (`conform silicon` repeats them; exp1 to exp4 are its
 * tables). A fitted one names the curves that decide it, their mean error with it and, in brackets, without it.
 */
const MEASURED = "measured curves of nested paging on Zen 5 (knee or plateau)";
const OPEN = "estimate: the curves do not determine it";
const fitted = (curves: string, residual: string) =>
  `estimate: fitted to measured curves of nested paging on Zen 5 (${curves}: ${residual})`;

const ALL = "all columns";
const L2_DTLB = fitted(
  "exp1f and exp2w s1g",
  "3.0 % over all columns; 9.7 % with LRU or tree-PLRU, 3.4 % random",
);
const L2_MARK = fitted(ALL, "3.0 % with 20 or 30 %; 6.1 % marking every fill, 5.3 % none");
const L2_ITLB = fitted("exp4 aliasret", "1.5 %; 3.6 % with 8 ways, 4.7 % random");
const DIRECTORY = fitted("exp2t pdpte and pml4e", "3.0 %; 3.1 % with 2048 entries, 4.0 % with 1024");
const PDPTES = fitted("exp2t pml4e, exp3 2^27", "3.0 %; 3.4 % apart from the PDEs");
const NESTED = fitted("exp3 2^27 and 2^30", "3.0 %; 3.2 % without; 256 to 1024 are equal");
const HOST_PDE = fitted("exp1w 4k_rand", "7.6 %; 7.8 % with 512 entries, 13.9 % always cached, 11.5 % never");
const CONSTANTS = "exp1w, exp2w and exp4: 4.0 %, others 3.0 %";
const PML4ES = fitted("exp2t pml4e_T16384", "2.7 %; 5.6 % with 16 entries, 4 to 6 % with other sizes");
const L2_CACHE = fitted("exp1w dense, exp3 2^30", "3.0 %; 3.7 % with LRU");

const nru = (percent: number, source: string) => ({
  policy: cite("nru" as const, source),
  fillMark: cite(percent, percent === 20 ? L2_MARK : fitted(ALL, "20 to 100 % and random equal")),
  index: cite("plain" as const, MEASURED),
});
const lru = (source: string) => ({
  policy: cite("lru" as const, source),
  index: cite("plain" as const, source),
});

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
          ...lru(fitted("exp1f 4k_rand", "2.2 %; 10.9 cycles at 100 pages, measured 9.4")),
          coalesce: cite(
            true,
            `${MEASURED}: a knee at 384 pages where the host's frames happen to be contiguous`,
          ),
        }),
      ],
      l1i: [tlbArray(["4k", "2m", "1g"], cite(64, DUMP), cite(0, DUMP), lru(L2_ITLB))],
      l1s: [],
      l2: [
        tlbArray(
          ["4k", "2m"],
          cite(4096, DUMP),
          cite(8, fitted("exp2w s2m and s32k", "3.0 %; 3.4 % with 16 ways")),
          nru(20, L2_DTLB),
        ),
        tlbArray(["1g"], cite(1024, `${DUMP} (8000_0021 EAX bit 14: times 32)`), cite(8, OPEN), lru(OPEN)),
      ],
      l2i: [tlbArray(["4k", "2m"], cite(2048, DUMP), cite(4, L2_ITLB), lru(L2_ITLB))],
      l2Inclusion: cite("none", "estimate: not published; filled by walks"),
      l2Cycles: cite(7, MEASURED),
      l2iCycles: cite(6, MEASURED),
    },
    psc: {
      physical: noEntryCache(),
      pde: ownCache(
        cite(1792, `${DIRECTORY}, 256 sets x 8 ways of which 7 are usable, shared with PDPTEs`),
        cite(7, `${DIRECTORY}; 4, 8 or 16 ways are equal`),
        nru(30, DIRECTORY),
      ),
      pdpte: placedCache("pde", `${PDPTES}; they share the array of the PDEs`),
      pml4e: ownCache(cite(64, MEASURED), cite(0, PML4ES), lru(PML4ES)),
      pml5e: ownCache(cite(64, OPEN), cite(0, OPEN), lru(OPEN)),
      hostPde: ownCache(cite(1024, HOST_PDE), cite(8, HOST_PDE), nru(30, HOST_PDE)),
      hostPdpte: ownCache(
        cite(512, `${OPEN}; always cached there, and so many hold 512 GiB`),
        cite(8, OPEN),
        lru(OPEN),
      ),
      hostPml4e: ownCache(cite(64, `${OPEN}; always cached there`), cite(0, OPEN), lru(OPEN)),
      hostPml5e: ownCache(cite(8, OPEN), cite(0, OPEN), lru(OPEN)),
      nested: ownCache(cite(512, NESTED), cite(8, NESTED), nru(30, NESTED)),
      nestedData: cite(
        false,
        fitted(
          "exp1w 2m",
          "4.4 %; 3.0 % over all columns either way; the host's leaf entry is read on every walk",
        ),
      ),
      leaves: cite(
        ["1g"],
        fitted(
          "exp2h huge1g, exp1w 2m",
          "1.6 % and 4.7 %; 5.7 % without 1 GiB leaves, 6.5 % with 2 MiB leaves",
        ),
      ),
    },
    clock: { walkers: cite(6, "estimate: 6 or more; as Zen 3 (AnandTech)") },
    walk: {
      baseCycles: cite(35, fitted(CONSTANTS, "determined to 2 cycles")),
      fetchCycles: cite(10, fitted("exp4 aliasret_s4k", "1.4 %")),
      upperCycles: cite(27, fitted("exp3 2^27 and 2^30", "27 and 8 weakly apart; their sum is 33 to 35")),
      nestedCycles: cite(8, fitted("exp3 2^27 and 2^30", "27 and 8 weakly apart; their sum is 33 to 35")),
      hostUpperCycles: cite(32, fitted("exp1w 4k_rand", "7.6 %")),
      cacheLevel: cite("l1", fitted("exp1f, exp2h huge2m, exp4 s4k", "3.0 %; 3.8 % past L1")),
      eagerAccessed: cite(false, "estimate: not published; flags are set when a walk succeeds"),
    },
    caches: {
      l1: cacheLevel(
        cite(48 << 10, "InstLatx64: 48 KB"),
        cite(12, fitted("exp1w dense", "1.7 %; 5.5 % with random replacement")),
        cite(4, MEASURED),
      ),
      l2: cacheLevel(cite(1 << 20, "InstLatx64: 1 MB"), cite(16, L2_CACHE), cite(14, MEASURED), {
        policy: cite("random", L2_CACHE),
        hashMask: cite(
          0b110000,
          fitted(
            "exp3 2^19 to 2^21",
            "3.0 %; 4.3 % with a plain index; bits 10 and 11 of the address are hashed",
          ),
        ),
      }),
      l3: cacheLevel(
        cite(32 << 20, `${MEASURED}: 15 to 20 MB seen, as other tenants share it`),
        cite(16, OPEN),
        cite(47, `${MEASURED}: 47 to 53 with the TLB's 7`),
        { hashMask: cite(0xffff_ffff, OPEN) },
      ),
      l1i: instructionCache("estimate: 32 KB, 8-way"),
      aliasCycles: cite(14, `${MEASURED}: many linear addresses of one line miss the way predictor`),
      memoryCycles: cite(450, fitted("exp1w above 100,000 nodes", "contaminated by other tenants")),
    },
    exits: zenExitCosts(),
  },
};
