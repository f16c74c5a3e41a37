import { cacheLevel, cite, instructionCache, type Preset, tlbArray } from "./cite.js";
import { AGESEN, exitCosts } from "./exits.js";
import {
  beyondTlb,
  DUMP,
  HASH_SEEN,
  hashedSlices,
  intelWalkCaches,
  LATENCY,
  referencesOnly,
} from "./intel.js";

const CHIP = `${LATENCY}, i9-7900X`;
/** Not part of any fit. */
const RESIDUAL =
  "Random_Full less Page_Random at a stride of 128 is then 18, 27 and 43 at 64, 128 and 512 MB, measured 26, 27 and 48";
const MANUAL = "Intel Optimization Reference Manual, Skylake";

export const skylakeSp: Preset = {
  name: "skylake-sp",
  title: "Intel Skylake-SP (Xeon Scalable, 2017)",
  notes: [
    "CPUID reports the second-level TLB as 6-way; the manual says 12-way, which is used here.",
    "The L1 ITLB is one hyper-thread's share of the core's 128 entries.",
    "The CPU has no 5-level paging; the PML5E caches serve guests and hosts that are replayed with it.",
  ],
  values: {
    vendor: cite("intel", DUMP),
    host: { addressBits: cite(46, "estimate: usual for Xeon Scalable") },
    tlb: {
      l1d: [
        tlbArray(["4k"], cite(64, DUMP), cite(4, DUMP)),
        tlbArray(["2m"], cite(32, DUMP), cite(4, DUMP)),
        tlbArray(["1g"], cite(4, DUMP), cite(4, DUMP)),
      ],
      l1i: [
        tlbArray(["4k"], cite(64, `${DUMP}, per thread`), cite(8, DUMP)),
        tlbArray(["2m"], cite(8, DUMP), cite(0, DUMP)),
      ],
      l1s: [],
      l2: [
        tlbArray(["4k", "2m"], cite(1536, DUMP), cite(12, `${MANUAL} and WikiChip; CPUID says 6`), {
          index: cite("hashed", `${CHIP}: at strides of 8 and 16 KB as many pages fit as at 4 KB`),
        }),
        tlbArray(["1g"], cite(16, DUMP), cite(4, DUMP)),
      ],
      l2i: [],
      l2Inclusion: cite("none", "estimate: not published; filled by walks"),
      l2Cycles: cite(9, `${CHIP}: 512 KB at a stride of 4 KB takes 23, less 14 of the L2 cache`),
      l2iCycles: cite(9, "estimate: as for data; the second level is shared"),
    },
    psc: intelWalkCaches(),
    clock: { walkers: cite(2, `${MANUAL}: two page walks in parallel`) },
    walk: {
      baseCycles: cite(
        7,
        `estimate: fitted to ${CHIP}, 2048 pages at a stride of 4 KB: 85 to 87 (model 86), 75 while all pages have entries; ${RESIDUAL}`,
      ),
      ...referencesOnly(),
    },
    caches: {
      l1: cacheLevel(cite(32 << 10, "InstLatx64: 32 KB"), cite(8, "estimate: 8-way"), cite(4, CHIP)),
      l2: cacheLevel(cite(1 << 20, "InstLatx64: 1 MB"), cite(16, "estimate: 16-way"), cite(14, CHIP)),
      l3: cacheLevel(
        cite(16 << 20, "estimate: a power of two near the 13.75 MB of the i9-7900X"),
        cite(16, "estimate: gives a power-of-two number of sets"),
        beyondTlb(75, 9, CHIP),
        { hashMask: hashedSlices(`${CHIP}: ${HASH_SEEN}`) },
      ),
      l1i: instructionCache("estimate: 32 KB, 8-way"),
      aliasCycles: cite(0, "estimate: not modelled"),
      memoryCycles: beyondTlb(281, 9, CHIP),
    },
    exits: exitCosts(
      cite(784, `estimate: not published for Skylake-SP; ${AGESEN}`),
      cite(
        755,
        "estimate: 1539 cycles for KVM's VMCALL on Skylake-SP (W. Li, kvm mailing list) less 784 for the hardware",
      ),
    ),
  },
};
