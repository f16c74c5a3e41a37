import { requestFlush } from "../../hypervisor/flush";
import { logStores, takePage } from "../../hypervisor/host-page";
import { Tracepoint, trace } from "../../tracepoints";
import { dropMappings, writeProtect } from "./rmap";

/** What the host does to the guest's memory, as the shadow pages hear of it. */

/** KVM: `kvm_unmap_gfn_range`. A large leaf goes with any page of its range. */
export function dropPage(gfn: u64): bool {
  let any = false;
  for (let level: u32 = 1; level <= 3; ++level) if (dropMappings(gfn, level)) any = true;
  return any;
}

/** The host takes pages away in one call, or shares them; the flush is served when the guest goes on. */
export function hostUnmap(gfn: u64, frames: u64, shared: bool): void {
  trace(Tracepoint.unmap_hva_range);
  let any = false;
  for (let i = gfn; i < gfn + frames; ++i) {
    if (dropPage(i)) any = true;
    takePage(i, shared);
  }
  if (any) requestFlush();
}

/** The host replaces a shared page, such as the zero page, by a copy. */
export function forgetCopied(gfn: u64): void {
  trace(Tracepoint.unmap_hva_range);
  if (dropPage(gfn)) requestFlush();
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
