import { read32, write32, write64 } from "../memory/physical";
import { Reason, setReason } from "../memory/reason";
import { CR0_PE } from "../x86/control";
import { fault, Outcome } from "../x86/fault";
import { registers } from "./registers";

/**
 * EPT-violation #VE (SDM 3C 25.5.7). The information area:
 *
 *   0 exit reason u32 │ 4 all ones, or 0 when free u32 │ 8 qualification u64 │ 16 linear │ 24 guest-physical │ 32 EPTP index u16
 */
const EXIT_REASON_EPT_VIOLATION: u32 = 48;
const BUSY: u32 = 0xffff_ffff;

/** Host-physical address of the area, all ones when the control is off. */
let area: u64 = u64.MAX_VALUE;
let eptpIndex: u32 = 0;

export function setVeArea(address: u64, index: u32): void {
  area = address;
  eptpIndex = index;
}

/**
 * Turns an EPT violation into a #VE where it is convertible: the control is on, the entry that stopped the walk does
 * not suppress it, the CPU is in protected mode and not delivering an event, and the guest has read the last one.
 */
export function convertViolation(outcome: Outcome, delivering: bool): Outcome {
  if (outcome !== Outcome.eptViolation || area === u64.MAX_VALUE) return outcome;
  if (fault.suppressVe || delivering || (registers.cr0 & CR0_PE) === 0) return outcome;
  if (isDefined(HOSTED)) setReason(Reason.virtualizationArea);
  if (read32(area + 4) !== 0) return outcome;
  write32(area, EXIT_REASON_EPT_VIOLATION);
  write32(area + 4, BUSY);
  write64(area + 8, fault.qualification);
  write64(area + 16, fault.address);
  write64(area + 24, fault.guestPhysical);
  write32(area + 32, (<u32>read32(area + 32) & 0xffff_0000) | eptpIndex);
  return Outcome.virtualizationException;
}
