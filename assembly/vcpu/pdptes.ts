import { hostAddressOf } from "../hypervisor/backing";
import { read64 } from "../memory/physical";
import { Reason, setReason } from "../memory/reason";
import { Parameter, parameter } from "../parameters";
import { SECOND_NESTED } from "../walk/dimension";
import { NEED_READ, secondAddress, stage1, translateSecond } from "../walk/second";
import { setWalker, Walker } from "../walk/walk";
import { PRESENT } from "../x86/entries";
import { Outcome } from "../x86/fault";
import { pdpteReserved } from "../x86/format";
import { guest } from "./registers";

/** Whether a load of the PDPTEs at guest-physical `address` is not a #GP. SDM 3A 4.4.1. */
export function legalPdptes(address: u64): bool {
  const reserved = pdpteReserved(parameter(Parameter.guestAddressBits));
  if (isDefined(HOSTED)) setReason(Reason.pdpte | 3);
  for (let i: u64 = 0; i < 4; ++i) {
    const entry = read64(hostAddressOf(address + (i << 3)));
    if ((entry & PRESENT) !== 0 && (entry & reserved) !== 0) return false;
  }
  return true;
}

const loaded = new StaticArray<u64>(4);

/**
 * Loads the four PAE level-3 entries from the table at `guest.root`, if the mode just selected has them in registers.
 * SDM 3A 4.4.1: a reserved bit in a present one is a #GP. Under EPT a violation has no linear address, and the access
 * is a read whatever the A/D setting (SDM 3C 29.3.5). Nothing changes unless all four load.
 * A `recorded` load is neither checked nor translated by the hardware.
 */
export function loadPdptes(recorded: bool): Outcome {
  if (!guest.format.pdpteRegisters) return Outcome.ok;
  let address = guest.root;
  if (guest.second === SECOND_NESTED && !recorded) {
    const before = setWalker(Walker.registerLoad);
    stage1.addressValid = false;
    stage1.rights = 0;
    /* 32-byte aligned: one translation serves all four. */
    const outcome = translateSecond(address, NEED_READ, 3);
    stage1.addressValid = true;
    setWalker(before);
    if (outcome !== Outcome.ok) return outcome;
    address = secondAddress;
  } else {
    address = hostAddressOf(address);
  }
  if (isDefined(HOSTED)) setReason(Reason.pdpte | 3);
  const reserved = pdpteReserved(parameter(Parameter.guestAddressBits));
  for (let i: u32 = 0; i < 4; ++i) {
    const entry = read64(address + (i << 3));
    if (!recorded && (entry & PRESENT) !== 0 && (entry & reserved) !== 0) return Outcome.generalProtection;
    unchecked((loaded[i] = entry));
  }
  for (let i: i32 = 0; i < 4; ++i) guest.pdptes[i] = loaded[i];
  return Outcome.ok;
}
