import { newMap64 } from "../memory/map64";
import { FRAME } from "../x86/entries";

/**
 * Who a cached translation belongs to. A context is a small number for one combination of tags; entries carry the
 * number. Linear and combined mappings: VPID/ASID, PCID or "global", and the EPTRTA (0 for linear ones).
 * Guest-physical mappings: the EPTRTA alone (SDM 3C 29.4.1); under NPT, which has nothing to invalidate them but flushes
 * of an ASID, the ASID beside the root (APM 2 15.16.1; KVM: `svm_flush_tlb_asid`).
 */

/** In place of a PCID: a global page, valid under every PCID. */
export const ANY_PCID: u32 = 0x1000;
/** In place of a PCID: translations made with paging off. They count as PCID 0 (SDM 3A 4.10.1). */
export const NO_PAGING: u32 = 0x1001;
/** Instead of a VPID, or beside the ASID: a guest-physical mapping. */
export const GUEST_PHYSICAL: u32 = 0x1_0000;

/** Stands for the root of a second stage in a context: never 0, whichever page it is. */
export function rootTag(root: u64): u64 {
  return (root & FRAME) | 1;
}

const MOST: u32 = 0x7fff;

const vpids = new StaticArray<u32>(MOST + 1);
const pcids = new StaticArray<u32>(MOST + 1);
const eptrtas = new StaticArray<u64>(MOST + 1);
const known = newMap64();
let used: u32 = 0;

/** Number of the context, or 0 when none is left: the owner then flushes everything and calls `forgetContexts`. */
export function contextOf(vpid: u32, pcid: u32, eptrta: u64): u32 {
  /* VPID 17 bits, PCID 13 bits, EPTRTA bits 51:12 folded: the fold may collide, so candidates are compared. */
  let key = (((<u64>vpid) << 13) | pcid) ^ ((eptrta >> 12) * 0x9e3779b97f4a7c15);
  while (true) {
    const found = <u32>known.get(key);
    if (found === 0) break;
    if (
      unchecked(vpids[found]) === vpid &&
      unchecked(pcids[found]) === pcid &&
      unchecked(eptrtas[found]) === eptrta
    )
      return found;
    ++key;
  }
  if (used === MOST) return 0;
  ++used;
  vpids[used] = vpid;
  pcids[used] = pcid;
  eptrtas[used] = eptrta;
  known.set(key, used);
  return used;
}

export function contextCount(): u32 {
  return used;
}
export function contextVpid(context: u32): u32 {
  return unchecked(vpids[context]);
}
export function contextPcid(context: u32): u32 {
  return unchecked(pcids[context]);
}
export function contextEptrta(context: u32): u64 {
  return unchecked(eptrtas[context]);
}

export function forgetContexts(): void {
  used = 0;
  known.clear();
}
