import { Counter, count } from "../counters";

/**
 * Flushes of what the hardware caches of the guest: asked for as often as something is taken away, and made once, before
 * the guest goes on. KVM: `kvm_flush_remote_tlbs`.
 */
let asked = false;

export function requestFlush(): void {
  count(Counter.remote_tlb_flush_requests);
  asked = true;
}

export function flushRequested(): bool {
  return asked;
}

/** Returns whether a flush was asked for; it is then the caller's to make. */
export function takeFlush(): bool {
  const was = asked;
  asked = false;
  return was;
}
