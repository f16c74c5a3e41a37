import { requestFlush } from "../../hypervisor/flush";
import { Parameter, parameter } from "../../parameters";
import { install } from "./prefetch";
import { rootAt, rootFor, rootsKept } from "./roots";
import { childOf, ShadowPage, slotOf } from "./shadow-page";
import { isLeaf, isPresent } from "./spte";
import { syncEntry } from "./sync";
import { clearSlot } from "./zap";

/** The guest flushes one address: only pages that are not in sync can hold something old. */

/** Linux 6.1 drops the entry and installs what the guest's entry says now; later ones synchronize the entry. */
let drops = true;
/** The entry is dropped, whatever the guest's says now; its large pages in small pieces go with a whole flush. Xen: `sh_invlpg`. */
let onlyDrops = false;

export function configureInvalidate(): void {
  drops = parameter(Parameter.shadowKernel) < 612;
  onlyDrops = parameter(Parameter.shadowInvlpgDrops) !== 0;
}

/** Under one root. KVM: `FNAME(invlpg)` (6.1), `__kvm_mmu_invalidate_addr` (6.12). */
export function invalidateOn(root: ShadowPage, va: u64): void {
  let page = root;
  while (!page.isNone()) {
    const level = page.level();
    const slot = slotOf(va, level);
    const spte = page.spte(slot);
    const last = level === 1 || (isPresent(spte) && isLeaf(spte, level));
    if (onlyDrops) {
      if (last && page.direct()) requestFlush();
      else if (last && page.unsync) clearSlot(page, slot);
    } else if (drops) {
      if (last) {
        if (!page.unsync) return;
        if (clearSlot(page, slot)) requestFlush();
        install(page, slot, false);
      }
    } else if (page.unsync && spte !== 0) {
      if (syncEntry(page, slot)) requestFlush();
    }
    if (last || page.unsyncChildren === 0 || !isPresent(spte)) return;
    page = childOf(spte);
  }
}

/** INVLPG reaches global pages, whatever the PCID: all roots. */
export function invalidateAll(va: u64): void {
  invalidateOn(rootFor(va), va);
  for (let i: u32 = 1, n = rootsKept(); i < n; ++i) invalidateOn(rootAt(i), va);
}
