import { Counter, count } from "../counters";
import { read32, read64 } from "../memory/physical";
import { TLB_SIZE_SHIFT } from "../mmu/tlb";
import { FRAME, SIZE_GROUP } from "../x86/entries";
import { KIND_EPT } from "../x86/format";
import { Dimension, SECOND_NESTED } from "./dimension";
import { host } from "./second";
import { composed } from "./translate";

/**
 * Four aligned 4 KiB pages whose entries lie side by side, agree in every attribute (accessed and dirty flags too, so
 * that one entry may stand for all) and map aligned, contiguous frames in every stage fit one TLB entry. AMD Software
 * Optimization Guide, family 19h, 2.9: "page table walker ... coalesces".
 */

/** Bits that software may use as it likes: they do not keep pages apart. SDM 3A tables 4-20, 3C table 29-7. */
const AVAILABLE: u64 = 0x07f0_0000_0000_0e00;
const EPT_AVAILABLE: u64 = 0x0ff0_0000_0000_0800;
const GROUP_BYTES: u64 = 1 << 14;

/** The four entries around the leaf that `d` has just read. */
function contiguous(d: Dimension): bool {
  if (d.level !== 1) return d.level > 1;
  const wide = d.format.entryShift === 3;
  const bytes: u64 = wide ? 8 : 4;
  const first = unchecked(d.hostAddresses[1]) & ~(bytes * 4 - 1);
  const ignored = d.format.kind === KIND_EPT ? EPT_AVAILABLE : AVAILABLE & (wide ? u64.MAX_VALUE : 0xe00);
  const base = (wide ? read64(first) : read32(first)) & ~ignored;
  if ((base & FRAME & (GROUP_BYTES - 1)) !== 0) return false;
  for (let i: u64 = 1; i < 4; ++i) {
    const at = first + i * bytes;
    if (((wide ? read64(at) : read32(at)) & ~ignored) !== base + (i << 12)) return false;
  }
  return true;
}

/** The TLB entry of the walk just made through `d`: for the whole group of its page, where that is possible. */
export function coalesce(d: Dimension): u64 {
  const data = composed.data;
  if (!contiguous(d)) return data;
  if (d.second === SECOND_NESTED) {
    /* The nested TLB answered: the second stage's entry was not read. */
    if ((host.result ^ composed.address) >> 12 !== 0) return data;
    if (!contiguous(host)) return data;
  }
  count(Counter.walksCoalesced);
  return (data & ~(GROUP_BYTES - 0x1000)) | ((<u64>SIZE_GROUP) << TLB_SIZE_SHIFT);
}
