import { Parameter, parameter } from "../../parameters";
import { cr3, guest } from "../../vcpu/registers";
import { CR3_PCID } from "../../x86/control";
import { FRAME, PRESENT } from "../../x86/entries";
import { getPage, makeRoom } from "./cache";
import { shadow } from "./hardware";
import { FREE_OBSOLETE, isRequested } from "./requests";
import { rootRole, withQuadrant } from "./role";
import { NONE, ShadowPage } from "./shadow-page";
import { syncChildren } from "./sync";
import { commitZaps, prepareZap } from "./zap";

/**
 * The root that the hardware walks, and those of the address spaces before, each found again by the whole value of CR3.
 * KVM: `struct kvm_mmu_root_info`, `fast_pgd_switch`, `kvm_mmu_free_roots`.
 */
const MOST: u32 = 3;
/** 0 is the current root; the least recent is last. */
const pages = new StaticArray<usize>(<i32>MOST + 1);
const values = new StaticArray<u64>(<i32>MOST + 1);
/** Roots in use: 1 and the previous ones that are kept. */
let kept: u32 = 1;

export function configureRoots(): void {
  kept = 1 + min(parameter(Parameter.shadowPreviousRoots), MOST);
}

export function rootAt(i: u32): ShadowPage {
  return changetype<ShadowPage>(unchecked(pages[i]));
}
/** The current root and the previous ones. */
export function rootsKept(): u32 {
  return kept;
}
/** PCID that the root was loaded with. */
export function pcidOf(i: u32): u32 {
  return <u32>(unchecked(values[i]) & CR3_PCID);
}

/**
 * Under PAE, 32-bit paging and without paging the hardware uses PAE, and four pages of level 2 take the place of the
 * root; they are not kept for later. KVM: `mmu_alloc_shadow_roots`, `pae_root`.
 */
const quarters = new StaticArray<usize>(4);
let quartered = false;

function quarter(i: u32): ShadowPage {
  return changetype<ShadowPage>(unchecked(quarters[i]));
}

/** The page at which the walk of `va` begins; there is none below a PDPTE that is not present. */
export function rootFor(va: u64): ShadowPage {
  return quartered ? quarter(<u32>(va >> 30) & 3) : rootAt(0);
}

/** Whether the root was zapped, so that nothing may be entered below it. KVM: `is_page_fault_stale`. */
export function isRootObsolete(): bool {
  return quartered ? isRequested(FREE_OBSOLETE) : rootAt(0).invalid;
}

function setRoot(i: u32, page: ShadowPage, value: u64): void {
  unchecked((pages[i] = changetype<usize>(page)));
  unchecked((values[i] = value));
}

function usable(i: u32, value: u64): bool {
  const page = rootAt(i);
  return (
    !page.isNone() &&
    !page.invalid &&
    page.role === rootRole(guest.format.levels) &&
    unchecked(values[i]) === value
  );
}

/** A root that nobody uses stays cached as a shadow page, unless it was zapped meanwhile. */
function release(page: ShadowPage): void {
  if (!page.isNone() && --page.rootCount === 0 && page.invalid) prepareZap(page);
}

function releaseRoot(i: u32): void {
  const page = rootAt(i);
  setRoot(i, NONE, 0);
  release(page);
}

/** Lets the current root go. */
function releaseCurrent(): void {
  releaseRoot(0);
  if (!quartered) return;
  quartered = false;
  for (let i: u32 = 0; i < 4; ++i) release(quarter(i));
}

export function releaseCurrentRoot(): void {
  releaseCurrent();
  commitZaps();
}

export function releaseAllRoots(): void {
  releaseCurrent();
  for (let i: u32 = 1; i < kept; ++i) releaseRoot(i);
  commitZaps();
}

/** Makes the root of `value` current if it is a previous one. */
export function switchRoot(value: u64): bool {
  if (quartered) releaseCurrentRoot();
  if (rootAt(0).isNone()) {
    for (let i: u32 = 1; i < kept; ++i) {
      if (!usable(i, value)) continue;
      setRoot(0, rootAt(i), value);
      for (let j = i; j < kept - 1; ++j) setRoot(j, rootAt(j + 1), unchecked(values[j + 1]));
      setRoot(kept - 1, NONE, 0);
      return true;
    }
    return false;
  }
  if (usable(0, value)) return true;
  for (let i: u32 = 1; i < kept; ++i) {
    const page = rootAt(i);
    const its = unchecked(values[i]);
    setRoot(i, rootAt(0), unchecked(values[0]));
    setRoot(0, page, its);
    if (usable(0, value)) return true;
  }
  releaseRoot(0);
  commitZaps();
  return false;
}

/** The guest flushed a PCID that is not current: its roots must not be reused as they are. */
export function releaseRootsOf(pcid: u32): void {
  for (let i: u32 = 1; i < kept; ++i) {
    if (!rootAt(i).isNone() && pcidOf(i) === pcid) releaseRoot(i);
  }
  commitZaps();
}

/** KVM: `kvm_mmu_sync_prev_roots`. */
export function releaseUnsyncRoots(): void {
  for (let i: u32 = 1; i < kept; ++i) {
    const page = rootAt(i);
    if (!page.isNone() && page.unsyncChildren !== 0) releaseRoot(i);
  }
  commitZaps();
}

export function freeObsoleteRoots(): void {
  if (quartered || (!rootAt(0).isNone() && rootAt(0).invalid)) releaseCurrent();
  for (let i: u32 = 1; i < kept; ++i) {
    const page = rootAt(i);
    if (!page.isNone() && page.invalid) releaseRoot(i);
  }
  commitZaps();
}

/** KVM: `kvm_mmu_sync_roots`. */
export function syncRoot(): void {
  if (!quartered) {
    syncPage(rootAt(0));
    return;
  }
  for (let i: u32 = 0; i < 4; ++i) syncPage(quarter(i));
}

function syncPage(page: ShadowPage): void {
  if (!page.isNone() && page.unsyncChildren !== 0) syncChildren(page);
}

/** Gets the root of CR3 if there is none; returns whether it did. KVM: `kvm_mmu_load`. */
export function loadRoot(): bool {
  if (quartered || !rootAt(0).isNone()) return false;
  makeRoom();
  const levels = guest.format.levels;
  if (levels >= 4) {
    const page = getPage(guest.root >> 12, rootRole(levels));
    ++page.rootCount;
    setRoot(0, page, cr3);
  } else {
    quartered = true;
    for (let i: u32 = 0; i < 4; ++i) loadQuarter(i, levels);
  }
  syncRoot();
  return true;
}

function loadQuarter(i: u32, levels: u32): void {
  let gfn = guest.root >> 12;
  unchecked((quarters[i] = 0));
  if (levels === 0) {
    gfn = (<u64>i) << 18;
  } else if (levels === 3) {
    const pdpte = guest.pdptes[i];
    if (!(pdpte & PRESENT)) return;
    gfn = (pdpte & FRAME) >> 12;
  }
  const role = rootRole(2);
  const page = getPage(gfn, levels === 2 ? withQuadrant(role, i) : role);
  ++page.rootCount;
  unchecked((quarters[i] = changetype<usize>(page)));
}

/** Gives the hardware the current root. */
export function useRoot(): void {
  if (!quartered) {
    shadow.root = (<u64>rootAt(0).frame) << 12;
    return;
  }
  for (let i: u32 = 0; i < 4; ++i) {
    const page = quarter(i);
    shadow.pdptes[i] = page.isNone() ? 0 : ((<u64>page.frame) << 12) | PRESENT;
  }
}
