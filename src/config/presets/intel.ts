import type { CpuConfig } from "../types.js";
import { type Cited, cite, noEntryCache, ownCache, placedCache } from "./cite.js";

/** What the Intel presets share. */

export const DUMP = "InstLatx64 CPUID dump, leaf 2 or 18h";
export const LATENCY = "InstLatx64 NewMemLat, measured cycles";
export const NOT_PUBLISHED = "estimate: not published";

/**
 * Base cost of a walk from a measured latency surface: what walks add to an access, less what the model adds for the
 * entry read. Both tests of the surface miss the first-level TLB, so the second level's cycles are not in it.
 */
export function baseFromSurface(chip: string, surface: number, l2: number) {
  return cite(
    surface - l2,
    `estimate: InstLatx64 NewMemLat ${chip}, Random_Full less Page_Random at 64 MB is ${surface}; less ${l2} for an entry in L2`,
  );
}

/** A latency read beyond the reach of the first-level TLB, less the second level's part of it. */
export function beyondTlb(measured: number, tlb: number, chip: string) {
  return cite(measured - tlb, `${chip}: about ${measured}, less ${tlb} for the second-level TLB`);
}

/** An L3 whose sets and slices are chosen by a hash of the whole address, as lines at a stride of 16 KB show. */
export function hashedSlices(source: string) {
  return cite(0xffff_ffff, source);
}
export const HASH_SEEN =
  "at a stride of 16 KB L3 holds 1536 lines and more, where a plain index would hold 1024";

/** Costs of a walk that nobody measured apart from its references. */
export function referencesOnly() {
  const source = "estimate: not measured; only the references of the walk cost cycles";
  return {
    fetchCycles: cite(0, source),
    upperCycles: cite(0, source),
    nestedCycles: cite(0, source),
    hostUpperCycles: cite(0, source),
    cacheLevel: cite("l1" as const, "estimate: a walk's references enter at the L1 data cache"),
    eagerAccessed: cite(false, "estimate: not published; flags are set when a walk succeeds"),
  };
}

const CHAMPSIM = "estimate: Intel publishes no sizes; ChampSim champsim_config.json has";

/**
 * Split paging-structure caches, one a level; those of EPT are given the same sizes. The nested TLB is the
 * second-level TLB, whose entries then hold guest-physical pages too.
 */
export function intelWalkCaches(): Cited<CpuConfig["psc"]> {
  const cache = (entries: number, ways: number, shape: string) =>
    ownCache(cite(entries, `${CHAMPSIM} ${shape}`), cite(ways, `${CHAMPSIM} ${shape}`));
  const pde = cache(32, 8, "PSCL2 of 4 sets x 8 ways");
  const pdpte = cache(8, 4, "PSCL3 of 2 sets x 4 ways");
  const pml4e = cache(4, 0, "PSCL4 of 1 set x 4 ways");
  const pml5e = cache(2, 0, "PSCL5 of 1 set x 2 ways");
  return {
    pde,
    pdpte,
    pml4e,
    pml5e,
    hostPde: pde,
    hostPdpte: pdpte,
    hostPml4e: pml4e,
    hostPml5e: pml5e,
    nested: placedCache(
      "l2",
      "Gandhi et al., Agile Paging, ISCA 2016, section VIII: the EPT TLB is the same TLB structure",
    ),
    nestedData: cite(false, `${NOT_PUBLISHED}; the combined entry already serves the data page`),
    leaves: cite([], `${NOT_PUBLISHED}; leaves belong to the TLB`),
    physical: noEntryCache(),
  };
}
