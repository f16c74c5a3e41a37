import { hostFrameOf, isDevice } from "../../hypervisor/backing";
import { isDirtyLogged, isWritable } from "../../hypervisor/host-page";
import { Parameter, parameter } from "../../parameters";
import { ACCESSED, DIRTY, PRESENT, WRITABLE } from "../../x86/entries";
import { RIGHT_WRITE } from "../../x86/rights";
import { accessBelow, frameOf, guestEntry, isInstallable, protectClean } from "./guest-entry";
import { Asker, setLeaf } from "./leaf";
import { ShadowPage } from "./shadow-page";
import { isPresent } from "./spte";

/** Installing entries that no access has asked for yet. KVM: `FNAME(pte_prefetch)`, `__direct_pte_prefetch`. */

let group: u32 = 8;
/** The entries after the faulting one are installed, not the group's. Xen: `sh_prefetch`. */
let following = false;

export function configurePrefetch(): void {
  following = parameter(Parameter.shadowPrefetchFollowing) !== 0;
  const n = parameter(Parameter.shadowPrefetch);
  /* Groups are aligned, so their size is a power of two within a page. */
  group = n <= 1 ? 1 : min<u32>((<u32>1) << (31 - clz(n)), 512);
}

/** Installs the neighbours of a leaf that was just set. */
export function prefetch(page: ShadowPage, slot: u32): void {
  if (group === 1 || page.level() !== 1) return;
  if (following) {
    prefetchFollowing(page, slot);
    return;
  }
  const first = slot & ~(group - 1);
  if (page.direct()) {
    prefetchDirect(page, slot, first);
    return;
  }
  for (let i = first; i < first + group; ++i) {
    if (i === slot || isPresent(page.spte(i))) continue;
    if (!install(page, i, true)) return;
  }
}

/** Ends at a slot that is not empty and at an entry that needs a fault to get its accessed or dirty flag. */
function prefetchFollowing(page: ShadowPage, slot: u32): void {
  const end = min<u32>(slot + group, 512);
  for (let i = slot + 1; i < end; ++i) {
    if (page.spte(i) !== 0) return;
    if (page.direct()) {
      if (installRun(page, i, i + 1) === 0) return;
      continue;
    }
    const entry = guestEntry(page, i);
    if (!(entry & PRESENT)) continue;
    if (!(entry & ACCESSED) || (entry & (WRITABLE | DIRTY)) === WRITABLE) return;
    installEntry(page, i, entry, true);
  }
}

/**
 * Installs what the guest's entry maps, if it may be: present, accessed, and a page that the host has. `unlogged`: not
 * writable into a dirty log. KVM: `FNAME(prefetch_gpte)`.
 */
export function install(page: ShadowPage, slot: u32, unlogged: bool): bool {
  return installEntry(page, slot, guestEntry(page, slot), unlogged);
}

function installEntry(page: ShadowPage, slot: u32, entry: u64, unlogged: bool): bool {
  if (!isInstallable(entry)) return false;
  const gfn = frameOf(entry);
  const access = protectClean(accessBelow(page.access(), entry), entry);
  if (isDevice(gfn) || !isWritable(gfn)) return false;
  if (unlogged && access & RIGHT_WRITE && isDirtyLogged(gfn)) return false;
  setLeaf(page, slot, access, gfn, hostFrameOf(gfn), Asker.prefetch, false, true);
  return true;
}

/** A direct page's neighbours need no look at the guest: run by run of empty slots. */
function prefetchDirect(page: ShadowPage, slot: u32, first: u32): void {
  const end = first + group;
  let i = first;
  while (i < end) {
    if (i === slot || isPresent(page.spte(i))) {
      ++i;
      continue;
    }
    let last = i + 1;
    while (last < end && last !== slot && !isPresent(page.spte(last))) ++last;
    if (installRun(page, i, last) === 0) return;
    i = last;
  }
}

/** Installs slots from `from` for as long as the host has their pages; returns how many. KVM: `direct_pte_prefetch_many`. */
function installRun(page: ShadowPage, from: u32, end: u32): u32 {
  const access = page.access();
  if (access & RIGHT_WRITE && isDirtyLogged(page.gfnAt(from))) return 0;
  let i = from;
  for (; i < end; ++i) {
    const gfn = page.gfnAt(i);
    if (isDevice(gfn) || !isWritable(gfn)) break;
    setLeaf(page, i, access, gfn, hostFrameOf(gfn), Asker.prefetch, false, true);
  }
  return i - from;
}
