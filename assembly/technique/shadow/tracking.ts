import { newMap64 } from "../../memory/map64";
import { ShadowPage } from "./shadow-page";

/**
 * What the shadowed tables forbid: stores to a table above level 1 must exit for as long as it is shadowed, and a
 * range that holds a shadowed table is not mapped by one large leaf. KVM: `kvm_page_track_add_page`,
 * `kvm_mmu_gfn_disallow_lpage`.
 */

/** Shadow pages above level 1, by guest frame. */
const upper = newMap64();
/** Shadow pages of any level by 2 MiB and by 1 GiB range: number of the range * 2 + (1 for 1 GiB). */
const ranges = newMap64();

function change(gfn: u64, level: u32, by: u64): void {
  if (level > 1) upper.set(gfn, upper.get(gfn) + by);
  const small = (gfn >> 9) << 1;
  const large = ((gfn >> 18) << 1) | 1;
  ranges.set(small, ranges.get(small) + by);
  ranges.set(large, ranges.get(large) + by);
}

export function track(page: ShadowPage): void {
  change(page.gfn, page.level(), 1);
}
export function untrack(page: ShadowPage): void {
  change(page.gfn, page.level(), <u64>-1);
}

export function isTracked(gfn: u64): bool {
  return upper.get(gfn) !== 0;
}

/** Whether the range of a leaf of `level` at `gfn` holds no shadowed table. */
export function allowsLeaf(gfn: u64, level: u32): bool {
  if (level === 1) return true;
  return (level === 2 ? ranges.get((gfn >> 9) << 1) : ranges.get(((gfn >> 18) << 1) | 1)) === 0;
}
