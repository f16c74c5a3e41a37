import type { CpuConfig } from "../types.js";
import { type Cite, type Cited, cite, noEntryCache, ownCache, placedCache } from "./cite.js";
import { exitCosts } from "./exits.js";

/** What the presets of Zen 2, 3 and 4 share. */

export const DUMP = "InstLatx64 CPUID dump, leaf 8000_0005, 8000_0006 or 8000_0019";
export const LATENCY = "InstLatx64 NewMemLat, measured cycles";
/** Associativity codes of leaf 8000_0006 are classes ("8 to 15 ways"), not numbers. */
export const waysEstimate = (ways: number): Cite<number> =>
  cite(ways, `estimate: leaf 8000_0006 gives a class of associativity, not a number; ${ways}-way`);

const PDC =
  "AMD software optimization guide (by Chips and Cheese) and WikiChip: 64-entry page directory cache of PML4Es and PDPEs";
/** Four aligned, contiguous 4 KiB pages in one entry. */
export const COALESCES = {
  coalesce: cite(true, "AMD Software Optimization Guide, family 19h (from notes): aligned groups of 16 KiB"),
};
const UNPUBLISHED = "estimate: not published; as fitted for Zen 5";

/** PDEs in the second-level DTLB, PDPEs and PML4Es in the page directory cache. */
export function zenWalkCaches(): Cited<CpuConfig["psc"]> {
  const full = cite(0, "estimate: fully associative");
  const eight = cite(8, UNPUBLISHED);
  return {
    pde: placedCache(
      "l2",
      "AMD software optimization guide (by Chips and Cheese) and WikiChip: PDEs are kept in the L2 DTLB",
    ),
    pdpte: ownCache(cite(64, PDC), full),
    pml4e: placedCache("pdpte", PDC),
    pml5e: ownCache(cite(8, "estimate: not published"), full),
    hostPde: ownCache(cite(1024, UNPUBLISHED), eight),
    hostPdpte: ownCache(cite(512, UNPUBLISHED), eight),
    hostPml4e: ownCache(cite(64, UNPUBLISHED), full),
    hostPml5e: ownCache(cite(8, UNPUBLISHED), full),
    nested: ownCache(cite(512, UNPUBLISHED), eight),
    nestedData: cite(false, UNPUBLISHED),
    leaves: cite([], "estimate: not published; leaves belong to the TLB"),
    physical: noEntryCache(),
  };
}

/** Round trip and KVM together are about 1000 to 1600 cycles on Zen; half of the middle each. */
export function zenExitCosts() {
  const source =
    "estimate: from memory, 1000 to 1600 cycles for the round trip and KVM together; half of 1300";
  return exitCosts(cite(650, source), cite(650, source));
}

export const PDC_NOTES = ["One page directory cache of 64 entries holds PDPEs and PML4Es."];
