import { requestFlush } from "../../hypervisor/flush";
import { Parameter, parameter } from "../../parameters";
import { accessBelow, frameOf, guestEntry, isInstallable, protectClean } from "./guest-entry";
import { remakeLeaf } from "./leaf";
import { excessOutOfSync, someOutOfSync } from "./out-of-sync";
import { writeProtect } from "./rmap";
import { ShadowPage } from "./shadow-page";
import { deviceEntry, deviceFrame, hostWritableBit, isDeviceEntry } from "./spte";
import { clearPath, collectUnsync, markSynced, nextUnsync } from "./unsync";
import { clearSlot } from "./zap";

/** Bringing shadow pages up to date with their tables. KVM: `mmu_sync_children`, `FNAME(sync_page)`, `FNAME(sync_spte)`. */

/** Linux 6.1, which makes every entry anew; later ones leave an entry with the same access alone. */
let remakesAll = true;
let syncsAll = false;

export function configureSync(): void {
  remakesAll = parameter(Parameter.shadowKernel) < 612;
  syncsAll = parameter(Parameter.shadowSyncAll) !== 0 && parameter(Parameter.shadowUnsyncPages) !== 0;
}

/** Brings one slot, which holds something, up to date; returns whether that asks for a flush. */
export function syncEntry(page: ShadowPage, slot: u32): bool {
  const entry = guestEntry(page, slot);
  if (!isInstallable(entry)) {
    clearSlot(page, slot);
    return true;
  }
  const gfn = frameOf(entry);
  const access = protectClean(accessBelow(page.access(), entry), entry);
  const spte = page.spte(slot);
  if (isDeviceEntry(spte)) {
    page.setSpte(slot, deviceFrame(spte) === gfn ? deviceEntry(gfn, access) : 0);
    return false;
  }
  if (gfn !== page.gfnAt(slot)) {
    clearSlot(page, slot);
    return true;
  }
  if (!remakesAll && access === page.accessAt(slot)) return false;
  page.setOrigin(slot, gfn, access);
  return remakeLeaf(page, slot, access, (spte & hostWritableBit) !== 0);
}

/** Brings every entry of a level-1 page up to date; empty slots stay empty. Returns whether that asks for a flush. */
export function syncEntries(page: ShadowPage): bool {
  let flush = false;
  for (let slot: u32 = 0; slot < 512; ++slot) {
    if (page.spte(slot) !== 0 && syncEntry(page, slot)) flush = true;
  }
  return flush;
}

/** Xen: `_sh_resync`. */
function resync(page: ShadowPage): void {
  writeProtect(page.gfn);
  markSynced(page);
  syncEntries(page);
  requestFlush();
}

/** Synchronizes what is out of sync beyond the limit. */
export function syncExcess(): void {
  for (let page = excessOutOfSync(); !page.isNone(); page = excessOutOfSync()) resync(page);
}

/** A load of CR3 synchronizes all that is out of sync, whatever the new root leads to. Xen: `sh_resync_all`. */
export function syncAll(): void {
  if (!syncsAll) return;
  for (let page = someOutOfSync(); !page.isNone(); page = someOutOfSync()) resync(page);
}

/** Synchronizes every unsync page below `top`, and protects their tables again. */
export function syncChildren(top: ShadowPage): void {
  let owed = false;
  while (collectUnsync(top)) {
    let changed = false;
    for (let page = nextUnsync(true); !page.isNone(); page = nextUnsync(false)) {
      if (writeProtect(page.gfn)) changed = true;
    }
    if (changed) {
      requestFlush();
      owed = false;
    }
    for (let page = nextUnsync(true); !page.isNone(); page = nextUnsync(false)) {
      markSynced(page);
      if (syncEntries(page)) owed = true;
      clearPath();
    }
  }
  if (owed) requestFlush();
}
