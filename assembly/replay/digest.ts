import { hostAddressOf } from "../hypervisor/backing";
import { newMap64 } from "../memory/map64";
import { findPage } from "../memory/physical";
import { guest } from "../vcpu/registers";
import { ACCESSED, DIRTY } from "../x86/entries";
import { digestValue } from "./oracle";

/** Tables by the entries in eight bytes: 32-bit paging has two. */
const ONE_ENTRY: u64 = 1;
const TWO_ENTRIES: u64 = 2;
const FLAGS: u64 = ACCESSED | DIRTY;

/** The guest's table pages, numbered as they were announced. */
const pages = newMap64();
let frames: StaticArray<u64> = new StaticArray<u64>(1 << 10);
let used: i32 = 0;

export function noteTablePage(gfn: u64): void {
  if (pages.has(gfn)) return;
  pages.set(gfn, guest.format.entryShift === 2 ? TWO_ENTRIES : ONE_ENTRY);
  if (used === frames.length) {
    const grown = new StaticArray<u64>(used << 1);
    for (let i = 0; i < used; ++i) grown[i] = frames[i];
    frames = grown;
  }
  frames[used++] = gfn;
}

/**
 * What the guest can see at the end: the digest of all accesses and faults, then its tables with accessed and dirty
 * flags masked, which may differ with what a TLB still held.
 */
export function guestDigest(): u64 {
  let digest = digestValue();
  for (let i = 0; i < used; ++i) {
    const page = findPage(hostAddressOf(frames[i] << 12) >> 12);
    digest = (digest ^ frames[i]) * 0x100000001b3;
    if (page === 0) continue;
    const flags = pages.get(frames[i]) === TWO_ENTRIES ? FLAGS | (FLAGS << 32) : FLAGS;
    for (let at = page; at < page + 4096; at += 8) {
      digest = (digest ^ (load<u64>(at) & ~flags)) * 0x100000001b3;
      digest ^= digest >> 29;
    }
  }
  return digest;
}
