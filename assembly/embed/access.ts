import { Counter, read } from "../counters";
import { guestFrameOf } from "../hypervisor/backing";
import { hardware, hardwareControls } from "../mmu/tags";
import { accessedAddress, accessSlow, wasEmulated } from "../replay/access";
import { Resolution } from "../technique/resolution";
import { resolve } from "../technique/technique";
import { linearAddress, registers, setCpl } from "../vcpu/registers";
import { convertViolation } from "../vcpu/virtualization-exception";
import { composed, translate, translated } from "../walk/translate";
import { beginHardwareWalk, endHardwareWalk, walkReferences } from "../walk/walk";
import { FETCH, IMPLICIT, KIND, USER } from "../x86/access";
import { fault, Outcome } from "../x86/fault";
import { modeOf } from "../x86/rights";
import { Cell, cell, put } from "./block";

/** Kind of a host's access; a host that asks for one that is none has failed. */
export function checkedKind(access: u32): u32 {
  const kind = access & KIND;
  if (kind > FETCH) abort("an access is a read, a write or a fetch: bits 0 and 1 are both set");
  return kind;
}

/** The CPU's own accesses are made at any privilege level, an instruction's at its own. */
export function followCpl(access: u32): void {
  if ((access & IMPLICIT) === 0) setCpl(access & USER ? 3 : 0);
}

function report(): void {
  put(Cell.errorCode, fault.errorCode);
  put(Cell.faultAddress, fault.address);
  put(Cell.qualification, fault.qualification);
  put(Cell.exitAddress, fault.guestPhysical);
}

/** One walk of the address in cell 12 for `access` (x86/access.ts), past the TLBs. Returns an Outcome. */
export function embedWalk(access: u32): Outcome {
  followCpl(access);
  beginHardwareWalk();
  const walked = translate(hardware, hardwareControls, cell(Cell.address), access);
  endHardwareWalk(walked);
  const outcome = convertViolation(walked, false);
  put(Cell.hostPhysical, composed.address);
  put(Cell.guestPhysical, translated.address);
  put(Cell.entry, composed.data);
  put(Cell.rights, translated.rights);
  put(Cell.references, walkReferences);
  report();
  return outcome;
}

/**
 * What the machine's own hypervisor makes of `outcome`, that of the walk just made for `access`. After guestFault the guest's
 * fault is in the block.
 */
export function embedResolve(outcome: Outcome, access: u32): Resolution {
  const resolution = resolve(outcome, cell(Cell.address), access);
  report();
  return resolution;
}

/** Host-physical address of the last access's first byte. */
let firstByte: u64 = 0;

/** An access of `bytes` at an address through the TLBs. One that crosses into a second page translates both, in order. */
export function accessThrough(address: u64, access: u32, bytes: u32): Outcome {
  const va = linearAddress(address);
  followCpl(access);
  const mode = modeOf(access, registers.ac);
  const delivering = (access & IMPLICIT) !== 0 && (access & KIND) !== FETCH;
  const outcome = accessSlow(va, access & KIND, mode);
  firstByte = accessedAddress;
  if (outcome !== Outcome.ok || (<u32>va & 0xfff) + bytes <= 4096)
    return convertViolation(outcome, delivering);
  return convertViolation(accessSlow(linearAddress((va | 0xfff) + 1), access & KIND, mode), delivering);
}

/** Guest-physical address of the last access's first byte, where the machine's own hypervisor backs the guest. */
export function guestAddressAccessed(): u64 {
  if (wasEmulated) return firstByte;
  return (guestFrameOf(firstByte >> 12) << 12) | (firstByte & 0xfff);
}

/** An access of `bytes` to the address in cell 12 through the TLBs. Returns an Outcome. */
export function embedAccess(access: u32, bytes: u32): Outcome {
  const before = read(Counter.tableReferences);
  const outcome = accessThrough(cell(Cell.address), access, bytes);
  put(Cell.hostPhysical, firstByte);
  put(Cell.guestPhysical, outcome === Outcome.ok ? guestAddressAccessed() : 0);
  put(Cell.references, read(Counter.tableReferences) - before);
  report();
  return outcome;
}
