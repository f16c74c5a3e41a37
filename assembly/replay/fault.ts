import { Counter, count } from "../counters";
import { Purpose, setPurpose } from "../explain/log";
import { invalidateFault } from "../mmu/invalidation";
import { vpid } from "../mmu/tags";
import { currentPcid, guest, registers } from "../vcpu/registers";
import { SECOND_BACKING } from "../walk/dimension";
import { translateFirst } from "../walk/translate";
import { setWalker, Walker } from "../walk/walk";
import { FETCH, MODE_SUPERVISOR, MODE_SUPERVISOR_AC, MODE_USER, READ, USER, WRITE } from "../x86/access";
import { fault, Outcome, PF_FETCH, PF_USER, PF_WRITE } from "../x86/fault";
import { accessSlow } from "./access";
import { foldFault } from "./oracle";
import { distrustHints } from "./working-set";

/** The guest's tables walked without any effect, cache or cost: what the architecture says right now. */
export function probe(va: u64, access: u32): Outcome {
  const second = guest.second;
  const before = setWalker(Walker.probe);
  guest.second = SECOND_BACKING;
  setPurpose(Purpose.tables);
  const outcome = translateFirst(guest, registers, va, access);
  setPurpose(Purpose.access);
  guest.second = second;
  setWalker(before);
  return outcome;
}

/**
 * The recorded guest took a page fault: the access that caused it is made again, and must fault with the same error
 * code. A TLB entry that the architecture allows to be stale may hide it; a fresh walk then has to raise it.
 */
export function replayPageFault(cr2: u64, code: u64): void {
  const kind = code & PF_FETCH ? FETCH : code & PF_WRITE ? WRITE : READ;
  const user = (code & PF_USER) !== 0;
  const mode = user ? MODE_USER : registers.ac ? MODE_SUPERVISOR_AC : MODE_SUPERVISOR;
  const fresh = probe(cr2, kind | (user ? USER : 0));
  const raised = fresh === Outcome.pageFault && fault.errorCode === code;
  foldFault(raised ? code : 0, cr2);
  const outcome = accessSlow(cr2, kind, mode);
  distrustHints();
  if (outcome === Outcome.pageFault && fault.errorCode === code && fault.address === cr2) {
    count(Counter.faultsConfirmed);
  } else if (raised) {
    count(Counter.faultsStale);
    invalidateFault(vpid, currentPcid(), cr2);
  } else {
    count(Counter.faultsUnconfirmed);
  }
}
