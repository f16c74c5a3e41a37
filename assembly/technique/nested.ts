import { Counter, count, ExitReason } from "../counters";
import { isDevice } from "../hypervisor/backing";
import { exit, workedEmulation } from "../hypervisor/exits";
import { createSecondStage, mapDevice, mapGuestPage } from "../hypervisor/second-stage";
import { guestPsc, hostPsc } from "../mmu/psc";
import { setHardware, setVirtualTags } from "../mmu/tags";
import { guest, readPdptesFromMemory, registers, selectMode } from "../vcpu/registers";
import { SECOND_NESTED } from "../walk/dimension";
import { host, resetPml } from "../walk/second";
import { fault, Outcome, PF_RESERVED } from "../x86/fault";
import { KIND_EPT } from "../x86/format";
import { Resolution, setEmulatedAddress } from "./resolution";

/**
 * Two-dimensional paging: the hardware walks the guest's tables, and each address in them through the second stage.
 * Page faults, CR3 and INVLPG stay in the guest; what exits is a second stage without a mapping.
 */

export function startNested(): void {
  guest.second = SECOND_NESTED;
  guest.psc = guestPsc;
  host.psc = hostPsc;
  setHardware(guest, registers);
  setVirtualTags(1, createSecondStage());
  resetPml(0);
  readPdptesFromMemory(host.format.kind !== KIND_EPT);
  selectMode();
}

/** A second-stage refusal: violation, misconfiguration, nested page fault or a full log. */
export function resolveNested(outcome: Outcome): Resolution {
  if (outcome === Outcome.pageFault || outcome === Outcome.generalProtection) return Resolution.guestFault;
  const gpa = fault.guestPhysical;
  if (outcome === Outcome.pmlFull) {
    resetPml(0);
    exit(ExitReason.pml_full);
    return Resolution.retry;
  }
  const ept = host.format.kind === KIND_EPT;
  if (isDevice(gpa >> 12)) {
    /* The first access installs an entry that exits by itself; KVM counts a fault only for that one. */
    const known = ept ? outcome === Outcome.eptMisconfig : (fault.qualification & PF_RESERVED) !== 0;
    if (!known) {
      count(Counter.pf_taken);
      count(Counter.pf_emulate);
      mapDevice(gpa);
    }
    workedEmulation();
    exit(!ept ? ExitReason.npf : known ? ExitReason.ept_misconfig : ExitReason.ept_violation);
    setEmulatedAddress(gpa);
    return Resolution.emulated;
  }
  count(Counter.pf_taken);
  mapGuestPage(gpa);
  count(Counter.pf_fixed);
  exit(ept ? ExitReason.ept_violation : ExitReason.npf);
  return Resolution.retry;
}
