import { Counter, count } from "../../counters";
import { allocateTable } from "../../hypervisor/backing";
import { worked, workedAllocation } from "../../hypervisor/exits";
import { pageOf } from "../../memory/physical";
import { touchByHypervisor } from "../../mmu/cache";
import { FRAME } from "../../x86/entries";
import { accessOf, isDirect, levelOf } from "./role";

/**
 * A shadow page: 512 sptes in a host frame that the hardware walks, and what the hypervisor knows of it.
 * KVM: `struct kvm_mmu_page`.
 */
@unmanaged
export class ShadowPage {
  /** The guest table that it shadows; of a direct page, the first frame of the range that it maps. */
  gfn: u64;
  /** Places of the sptes that lead here (list.ts). */
  parents: u64;
  role: u32;
  /** The host frame, and where its content is. */
  frame: u32;
  entries: usize;
  /** By slot, the guest frame and the access that a leaf was made from: gfn << 8 | access. Indirect pages only. */
  origins: usize;
  /** Next page of the hash bucket; next of the list of free or doomed pages. */
  next: usize;
  /** Neighbours in the list of active pages. */
  newer: usize;
  older: usize;
  /** Slots that lead to a page that is not in sync or has such children: 512 bits, and how many are set. */
  unsyncSlots: usize;
  unsyncChildren: u32;
  /** Emulated stores to the table since a walk last came through. */
  flood: u32;
  /** vCPU roots, current and previous, that this page is. */
  rootCount: u32;
  /** The table may have been written since the page was made from it. */
  unsync: bool;
  /** Zapped; a root lives on until it is released. */
  invalid: bool;

  level(): u32 {
    return levelOf(this.role);
  }
  direct(): bool {
    return isDirect(this.role);
  }
  access(): u32 {
    return accessOf(this.role);
  }
  spte(slot: u32): u64 {
    return load<u64>(this.entries + ((<usize>slot) << 3));
  }
  setSpte(slot: u32, value: u64): void {
    store<u64>(this.entries + ((<usize>slot) << 3), value);
    touchByHypervisor(((<u64>this.frame) << 12) | ((<u64>slot) << 3));
    worked(1);
  }
  isNone(): bool {
    return changetype<usize>(this) === 0;
  }

  /** The guest frame that the leaf in `slot` maps. */
  gfnAt(slot: u32): u64 {
    if (this.direct()) return this.gfn + ((<u64>slot) << (9 * (this.level() - 1)));
    return load<u64>(this.origins + ((<usize>slot) << 3)) >> 8;
  }
  accessAt(slot: u32): u32 {
    if (this.direct()) return this.access();
    return <u32>load<u64>(this.origins + ((<usize>slot) << 3)) & 0xff;
  }
  setOrigin(slot: u32, gfn: u64, access: u32): void {
    if (!this.direct()) store<u64>(this.origins + ((<usize>slot) << 3), (gfn << 8) | access);
  }

  isUnsyncSlot(slot: u32): bool {
    return ((load<u64>(this.unsyncSlots + ((<usize>(slot >> 6)) << 3)) >> (slot & 63)) & 1) !== 0;
  }
  setUnsyncSlot(slot: u32): void {
    const at = this.unsyncSlots + ((<usize>(slot >> 6)) << 3);
    store<u64>(at, load<u64>(at) | ((<u64>1) << (slot & 63)));
    ++this.unsyncChildren;
  }
  clearUnsyncSlot(slot: u32): void {
    const at = this.unsyncSlots + ((<usize>(slot >> 6)) << 3);
    const bits = load<u64>(at);
    if (((bits >> (slot & 63)) & 1) === 0) return;
    store<u64>(at, bits & ~((<u64>1) << (slot & 63)));
    --this.unsyncChildren;
  }
}

export const NONE: ShadowPage = changetype<ShadowPage>(0);

/** The place of an spte: its page and its slot. */
export function placeOf(page: ShadowPage, slot: u32): u64 {
  return ((<u64>changetype<usize>(page)) << 9) | slot;
}
export function pageAt(place: u64): ShadowPage {
  return changetype<ShadowPage>(<usize>(place >> 9));
}
export function slotAt(place: u64): u32 {
  return <u32>place & 511;
}

/** Slot of `va` in a page of `level`. */
export function slotOf(va: u64, level: u32): u32 {
  return <u32>(va >> (12 + 9 * (level - 1))) & 511;
}

/** Shadow pages by host frame: the hypervisor's tables have the lowest frames. */
let byFrame: usize = 0;
let frames: u32 = 0;
/** Pages that were freed, with everything that belongs to them. */
let free: usize = 0;

/** The page that an spte leads to. */
export function childOf(spte: u64): ShadowPage {
  return changetype<ShadowPage>(load<usize>(byFrame + ((<usize>((spte & FRAME) >> 12)) << 2)));
}

function register(page: ShadowPage): void {
  if (page.frame >= frames) {
    const grown = max<u32>(frames << 1, page.frame + 512);
    const table = heap.alloc((<usize>grown) << 2);
    memory.fill(table, 0, (<usize>grown) << 2);
    if (frames !== 0) {
      memory.copy(table, byFrame, (<usize>frames) << 2);
      heap.free(byFrame);
    }
    byFrame = table;
    frames = grown;
  }
  store<usize>(byFrame + ((<usize>page.frame) << 2), changetype<usize>(page));
}

/** A page with empty slots, that belongs to nothing yet. */
export function newShadowPage(gfn: u64, role: u32): ShadowPage {
  let page: ShadowPage;
  if (free !== 0) {
    page = changetype<ShadowPage>(free);
    free = page.next;
    count(Counter.hypervisorTables);
  } else {
    page = new ShadowPage();
    page.frame = <u32>allocateTable();
    page.entries = pageOf(page.frame);
    page.unsyncSlots = heap.alloc(64);
    page.origins = 0;
    register(page);
  }
  if (!isDirect(role) && page.origins === 0) page.origins = heap.alloc(4096);
  memory.fill(page.unsyncSlots, 0, 64);
  page.gfn = gfn;
  page.role = role;
  page.parents = 0;
  page.next = 0;
  page.newer = 0;
  page.older = 0;
  page.unsyncChildren = 0;
  page.flood = 0;
  page.rootCount = 0;
  page.unsync = false;
  page.invalid = false;
  workedAllocation();
  return page;
}

export function freeShadowPage(page: ShadowPage): void {
  page.next = free;
  free = changetype<usize>(page);
}
