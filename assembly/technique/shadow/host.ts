import { requestFlush } from "../../hypervisor/flush";
import { logStores } from "../../hypervisor/host-page";
import { Tracepoint, trace } from "../../tracepoints";
import { dropMappings, writeProtect } from "./rmap";

/** What the host does to the guest's memory, as the shadow pages hear of it. */

/** KVM: `kvm_unmap_gfn_range`. A large leaf goes with any page of its range. */
export function dropPage(gfn: u64): bool {
  let any = false;
  for (let level: u32 = 1; level <= 3; ++level) if (dropMappings(gfn, level)) any = true;
  return any;
}

/** The host changes pages: their mappings go, with one flush, which is served when the guest goes on. */
export function dropPages(gfn: u64, frames: u64): void {
  trace(Tracepoint.unmap_hva_range);
  let any = false;
  for (let i = gfn; i < gfn + frames; ++i) if (dropPage(i)) any = true;
  if (any) requestFlush();
}

/** Every page is protected until its first store, and large leaves are broken up. KVM: `kvm_mmu_slot_apply_flags`. */
export function startDirtyLog(gfn: u64, frames: u64): void {
  logStores(gfn, frames);
  let changed = false;
  for (let i = gfn; i < gfn + frames; ++i) if (protectPage(i)) changed = true;
  if (changed) requestFlush();
}

/** Protects a page for the dirty log; returns whether that changed anything. */
export function protectPage(gfn: u64): bool {
  let changed = writeProtect(gfn, true);
  for (let level: u32 = 2; level <= 3; ++level) if (dropMappings(gfn, level)) changed = true;
  return changed;
}
