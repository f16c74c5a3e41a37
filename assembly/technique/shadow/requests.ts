import { Counter, count } from "../../counters";
import { invalidateVpid } from "../../mmu/invalidation";
import { vpid } from "../../mmu/tags";
import { freeObsoleteRoots, loadRoot, releaseUnsyncRoots, syncRoot, useRoot } from "./roots";

/**
 * What must be done before the guest goes on: flushes are asked for as often as something is dropped, and served
 * once, at VM entry. KVM: `kvm_make_request`, `vcpu_enter_guest`.
 */
export const FREE_OBSOLETE: u32 = 1;
/** Synchronize the current root. */
export const SYNC: u32 = 2;
export const FLUSH: u32 = 4;
/** Flush for a new root. */
export const FLUSH_CURRENT: u32 = 8;
/** The guest flushed everything: synchronize all roots too. */
export const FLUSH_GUEST: u32 = 16;

let pending: u32 = 0;

export function request(what: u32): void {
  pending |= what;
}

/** Asks for a flush of everything cached of the guest. KVM: `kvm_flush_remote_tlbs`. */
export function requestFlush(): void {
  count(Counter.remote_tlb_flush_requests);
  pending |= FLUSH;
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
    if (take(FLUSH)) {
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
  } while (pending !== 0);
  useRoot();
}
