import { Counter, count } from "../../counters";
import { requestFlush } from "../../hypervisor/flush";
import { Tracepoint, tracePage } from "../../tracepoints";
import { deactivate, forgetPage, removePage } from "./cache";
import { listAt, listRemove } from "./list";
import { FREE_OBSOLETE, request } from "./requests";
import { dropLeaf } from "./rmap";
import { childOf, freeShadowPage, pageAt, placeOf, ShadowPage, slotAt } from "./shadow-page";
import { isLeaf, isPresent } from "./spte";
import { untrack } from "./tracking";
import { clearPath, collectUnsync, markSynced, nextUnsync } from "./unsync";

/** Taking shadow pages and their entries away. KVM: `__kvm_mmu_prepare_zap_page`, `kvm_mmu_commit_zap_page`. */

/** Pages zapped that nothing refers to any more, linked by `older`; freed together, after one flush. */
let doomed: usize = 0;

/** Empties a slot: a leaf is dropped, a page below is unlinked and lives on. Returns whether the hardware knew it. */
export function clearSlot(page: ShadowPage, slot: u32): bool {
  const spte = page.spte(slot);
  if (!isPresent(spte)) {
    if (spte !== 0) page.setSpte(slot, 0);
    return false;
  }
  if (isLeaf(spte, page.level())) dropLeaf(page, slot);
  else unlinkChild(page, slot);
  return true;
}

function unlinkChild(page: ShadowPage, slot: u32): void {
  const child = childOf(page.spte(slot));
  child.parents = listRemove(child.parents, placeOf(page, slot));
  page.setSpte(slot, 0);
}

/** Unsync pages below go too, since nothing would find them at the next flush. */
function zapUnsyncBelow(page: ShadowPage): u32 {
  if (page.level() === 1) return 0;
  let zapped: u32 = 0;
  while (collectUnsync(page)) {
    for (let below = nextUnsync(true); !below.isNone(); below = nextUnsync(false)) {
      prepareZap(below);
      clearPath();
      ++zapped;
    }
  }
  return zapped;
}

/** Takes a page out of use; it is freed by `commitZaps`, a root when it is released. Returns how many unsync pages went along. */
export function prepareZap(page: ShadowPage): u32 {
  count(Counter.mmu_shadow_zapped);
  tracePage(Tracepoint.sp_zapped_L1, page.level(), page.direct());
  const along = zapUnsyncBelow(page);
  for (let slot: u32 = 0; slot < 512; ++slot) if (page.spte(slot) !== 0) clearSlot(page, slot);
  while (page.parents !== 0) {
    const place = listAt(page.parents, 0);
    page.parents = listRemove(page.parents, place);
    pageAt(place).setSpte(slotAt(place), 0);
  }
  if (!page.invalid) {
    if (!page.direct()) untrack(page);
    deactivate(page);
  }
  if (page.unsync) markSynced(page);
  if (page.rootCount === 0) {
    page.older = doomed;
    doomed = changetype<usize>(page);
    forgetPage();
  } else if (!page.invalid) {
    request(FREE_OBSOLETE);
  }
  page.invalid = true;
  return along;
}

/** Frees what was zapped, after a flush. Returns whether there was anything. */
export function commitZaps(): bool {
  if (doomed === 0) return false;
  requestFlush();
  while (doomed !== 0) {
    const page = changetype<ShadowPage>(doomed);
    doomed = page.older;
    removePage(page);
    freeShadowPage(page);
  }
  return true;
}
