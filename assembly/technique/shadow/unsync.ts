import { Counter, count, subtract } from "../../counters";
import { Parameter, parameter } from "../../parameters";
import { Tracepoint, trace } from "../../tracepoints";
import { firstOf, nextOf, shadows } from "./cache";
import { listAt, listLength } from "./list";
import { configureOutOfSync, enterOutOfSync, leaveOutOfSync, limit } from "./out-of-sync";
import { childOf, NONE, pageAt, ShadowPage, slotAt } from "./shadow-page";
import { isLeaf, isPresent } from "./spte";
import { isTracked } from "./tracking";

/**
 * Level-1 pages whose table the guest may write freely until it flushes, and the trail of marks that leads to them
 * from every root. KVM: `mmu_try_to_unsync_pages`, `mark_unsync`, `mmu_unsync_walk`.
 */
let allowed = true;

export function configureUnsync(): void {
  allowed = parameter(Parameter.shadowUnsync) !== 0;
  configureOutOfSync();
}

/**
 * Whether a guest page may be mapped writable: not if it is an upper table; if it is a level-1 table, its shadow pages
 * go out of sync, which only a fault of the guest itself may cause.
 */
export function tryUnsync(gfn: u64, canUnsync: bool, prefetch: bool): bool {
  if (isTracked(gfn)) return false;
  if (limit !== 0 && isShadowedTwice(gfn)) return false;
  for (let page = firstOf(gfn); !page.isNone(); page = nextOf(page)) {
    if (!shadows(page, gfn)) continue;
    if (!canUnsync) return false;
    if (page.unsync) continue;
    if (prefetch || !allowed) return false;
    trace(Tracepoint.sp_unsynced_L1);
    count(Counter.mmu_unsync);
    page.unsync = true;
    enterOutOfSync(page);
    markParents(page);
  }
  return true;
}

/** Where pages out of sync are few, a table with several shadow pages stays in sync. Xen: `sh_unsync`. */
function isShadowedTwice(gfn: u64): bool {
  let seen = false;
  for (let page = firstOf(gfn); !page.isNone(); page = nextOf(page)) {
    if (!shadows(page, gfn)) continue;
    if (seen) return true;
    seen = true;
  }
  return false;
}

/** The trail is kept to a page that is not in sync or has such pages below. */
export function markSlot(page: ShadowPage, slot: u32): void {
  if (page.isUnsyncSlot(slot)) return;
  page.setUnsyncSlot(slot);
  if (page.unsyncChildren === 1) markParents(page);
}

function markParents(page: ShadowPage): void {
  const parents = page.parents;
  for (let i: u32 = 0, n = listLength(parents); i < n; ++i) {
    const place = listAt(parents, i);
    markSlot(pageAt(place), slotAt(place));
  }
}

export function markSynced(page: ShadowPage): void {
  trace(Tracepoint.sp_synced_L1);
  count(Counter.shadowPagesSynced);
  subtract(Counter.mmu_unsync, 1);
  page.unsync = false;
  leaveOutOfSync(page);
}

/** Pages found by one walk, each with its slot in the page above; a page comes before those below it. KVM: `struct kvm_mmu_pages`. */
const MOST: i32 = 16;
const foundPages = new StaticArray<usize>(MOST);
const foundSlots = new StaticArray<u32>(MOST);
let found: i32 = 0;

const FULL: i32 = -1;

function addFound(page: ShadowPage, slot: u32): bool {
  if (page.unsync) {
    for (let i = 0; i < found; ++i) if (unchecked(foundPages[i]) === changetype<usize>(page)) return false;
  }
  unchecked((foundPages[found] = changetype<usize>(page)));
  unchecked((foundSlots[found] = slot));
  return ++found === MOST;
}

/** Collects the next unsync pages below `top`; returns whether there are any. */
export function collectUnsync(top: ShadowPage): bool {
  found = 0;
  if (top.unsyncChildren === 0) return false;
  addFound(top, 0);
  return collectBelow(top) !== 0;
}

/** Number of unsync pages found below, or FULL. Marks that lead nowhere are cleared on the way. */
function collectBelow(page: ShadowPage): i32 {
  let leaves = 0;
  for (let word: u32 = 0; word < 8; ++word) {
    let bits = load<u64>(page.unsyncSlots + ((<usize>word) << 3));
    while (bits !== 0) {
      const slot = (word << 6) + <u32>ctz(bits);
      bits &= bits - 1;
      const spte = page.spte(slot);
      if (!isPresent(spte) || isLeaf(spte, page.level())) {
        page.clearUnsyncSlot(slot);
        continue;
      }
      const child = childOf(spte);
      if (child.unsyncChildren !== 0) {
        if (addFound(child, slot)) return FULL;
        const below = collectBelow(child);
        if (below < 0) return FULL;
        if (below === 0) page.clearUnsyncSlot(slot);
        leaves += below;
      } else if (child.unsync) {
        ++leaves;
        if (addFound(child, slot)) return FULL;
      } else {
        page.clearUnsyncSlot(slot);
      }
    }
  }
  return leaves;
}

/** The way from the page last given by `nextUnsync` up to the top: by level, the page above and the slot in it. */
const pathPages = new StaticArray<usize>(8);
const pathSlots = new StaticArray<u32>(8);
let cursor: i32 = 0;

/** Goes through the level-1 pages that were collected. */
export function nextUnsync(first: bool): ShadowPage {
  if (first) {
    const top = changetype<ShadowPage>(unchecked(foundPages[0]));
    const level = top.level();
    unchecked((pathPages[level - 1] = changetype<usize>(top)));
    unchecked((pathPages[level] = 0));
    cursor = 0;
  }
  while (++cursor < found) {
    const page = changetype<ShadowPage>(unchecked(foundPages[cursor]));
    const level = page.level();
    unchecked((pathSlots[level] = unchecked(foundSlots[cursor])));
    if (level === 1) return page;
    unchecked((pathPages[level - 1] = changetype<usize>(page)));
  }
  return NONE;
}

/** Clears the marks on the way to the page last given, as far up as nothing else needs them. */
export function clearPath(): void {
  let level: i32 = 1;
  while (true) {
    const above = changetype<ShadowPage>(unchecked(pathPages[level]));
    if (above.isNone()) return;
    above.clearUnsyncSlot(unchecked(pathSlots[level]));
    if (above.unsyncChildren !== 0) return;
    ++level;
  }
}
