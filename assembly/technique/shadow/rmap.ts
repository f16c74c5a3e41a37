import { Counter, count, peak, subtract } from "../../counters";
import { newMap64 } from "../../memory/map64";
import { WRITABLE } from "../../x86/entries";
import { listAdd, listAt, listLength, listRemove } from "./list";
import { pageAt, placeOf, ShadowPage, slotAt } from "./shadow-page";
import { mmuWritableBit } from "./spte";

/** For every guest page, the leaves that map it, by the size of the leaf. KVM: `kvm_rmap_head`. */
const lists = newMap64(1 << 12);
const LEVELS: u32 = 3;
/** A list longer than this is dropped whole. KVM: `RMAP_RECYCLE_THRESHOLD`. */
export const RMAP_LONGEST: u32 = 1000;

function keyOf(gfn: u64, level: u32): u64 {
  return (gfn >> (9 * (level - 1))) * 4 + level;
}

function gauge(level: u32): Counter {
  return level === 1 ? Counter.pages_4k : level === 2 ? Counter.pages_2m : Counter.pages_1g;
}

/** Enters a leaf that was just set; returns the length of the list it joined. */
export function rmapAdd(page: ShadowPage, slot: u32, gfn: u64): u32 {
  const level = page.level();
  const key = keyOf(gfn, level);
  const head = lists.get(key);
  const length = listLength(head);
  lists.set(key, listAdd(head, placeOf(page, slot)));
  count(gauge(level));
  peak(Counter.max_mmu_rmap_size, length);
  return length;
}

/** Empties a slot that holds a leaf. KVM: `drop_spte`. */
export function dropLeaf(page: ShadowPage, slot: u32): void {
  const level = page.level();
  const key = keyOf(page.gfnAt(slot), level);
  lists.set(key, listRemove(lists.get(key), placeOf(page, slot)));
  page.setSpte(slot, 0);
  subtract(gauge(level), 1);
}

/**
 * Makes every mapping of a guest page read-only; returns whether one was writable. A leaf stays restorable
 * (`mmuWritableBit`) when it is only the dirty log that protects it. KVM: `kvm_mmu_slot_gfn_write_protect`.
 */
export function writeProtect(gfn: u64, restorable: bool = false): bool {
  const clear = restorable ? WRITABLE : WRITABLE | mmuWritableBit;
  let changed = false;
  for (let level: u32 = 1; level <= LEVELS; ++level) {
    const head = lists.get(keyOf(gfn, level));
    for (let i = listLength(head); i > 0; --i) {
      const place = listAt(head, i - 1);
      const page = pageAt(place);
      const spte = page.spte(slotAt(place));
      if ((spte & clear) === 0) continue;
      page.setSpte(slotAt(place), spte & ~clear);
      changed = true;
    }
  }
  return changed;
}

/** Makes the 4 KiB leaves that only a dirty log protects writable; returns whether there was one. */
export function restoreWrites(gfn: u64): bool {
  const head = lists.get(keyOf(gfn, 1));
  let any = false;
  for (let i = listLength(head); i > 0; --i) {
    const place = listAt(head, i - 1);
    const page = pageAt(place);
    const spte = page.spte(slotAt(place));
    if ((spte & mmuWritableBit) === 0) continue;
    page.setSpte(slotAt(place), spte | WRITABLE);
    any = true;
  }
  return any;
}

/** Drops every leaf of `level` that maps a guest page; returns whether there was one. KVM: `kvm_zap_rmap`. */
export function dropMappings(gfn: u64, level: u32): bool {
  const key = keyOf(gfn, level);
  let any = false;
  while (true) {
    const head = lists.get(key);
    if (head === 0) return any;
    const place = listAt(head, 0);
    dropLeaf(pageAt(place), slotAt(place));
    any = true;
  }
}
