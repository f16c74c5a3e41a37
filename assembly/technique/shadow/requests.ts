import { Counter, count } from "../../counters";
import { flushRequested, takeFlush } from "../../hypervisor/flush";
import { invalidateVpid } from "../../mmu/invalidation";
import { vpid } from "../../mmu/tags";
import { freeObsoleteRoots, loadRoot, releaseUnsyncRoots, syncRoot, useRoot } from "./roots";

/**
 * What must be done before the guest goes on, beside the flushes of hypervisor/flush.ts. KVM: `kvm_make_request`, `vcpu_enter_guest`.
 */
export const FREE_OBSOLETE: u32 = 1;
/** Synchronize the current root. */
export const SYNC: u32 = 2;
/** Flush for a new root. */
export const FLUSH_CURRENT: u32 = 8;
/** The guest flushed everything: synchronize all roots too. */
export const FLUSH_GUEST: u32 = 16;

let pending: u32 = 0;

export function request(what: u32): void {
  pending |= what;
}

export function isRequested(what: u32): bool {
  return (pending & what) !== 0;
}

function take(what: u32): bool {
  const asked = (pending & what) !== 0;
  pending &= ~what;
  return asked;
}

function flush(): void {
  count(Counter.tlb_flush);
  invalidateVpid(vpid, true);
}

/** Serves all requests and leaves the hardware with a root. */
export function enterGuest(): void {
  do {
    if (take(FREE_OBSOLETE)) freeObsoleteRoots();
    if (take(SYNC)) syncRoot();
    if (takeFlush()) {
      take(FLUSH_CURRENT);
      flush();
    }
    if (take(FLUSH_CURRENT)) flush();
    if (take(FLUSH_GUEST)) {
      /* INVPCID of all, CR4.PGE and their kin reach all address spaces. KVM: `kvm_vcpu_flush_tlb_guest`. */
      syncRoot();
      releaseUnsyncRoots();
      flush();
    }
    if (loadRoot()) invalidateVpid(vpid, true);
  } while (pending !== 0 || flushRequested());
  useRoot();
}
