import { ExitReason } from "../counters";
import { rootTag } from "../mmu/context";
import { flushed, forgetFlushed } from "../mmu/feed";
import {
  invalidateAddressOfVpid,
  invalidateAllVpids,
  invalidateAsid,
  invalidateEptrta,
  invalidateEverything,
  invalidateVpid,
} from "../mmu/invalidation";
import { eptrta, hardwareControls, retag, setVirtualTags, vpid } from "../mmu/tags";
import { Parameter, parameter } from "../parameters";
import * as machine from "../technique/technique";
import * as effects from "../vcpu/effects";
import { CR0_PDPTES, CR4_PDPTES } from "../vcpu/effects";
import {
  legalCr0,
  legalCr3,
  legalCr4,
  legalEfer,
  legalEptp,
  legalInvept,
  legalInvpcid,
  legalInvvpid,
  legalVpid,
  translatable,
} from "../vcpu/legality";
import { legalPdptes } from "../vcpu/pdptes";
import { cr3, isLongMode, linearAddress, registers } from "../vcpu/registers";
import { configureSecond, host, setEptAccessedDirty } from "../walk/second";
import { CR0_PG, CR3_PCID, CR4_PAE, EFER_LMA, EFER_LME } from "../x86/control";
import { FRAME } from "../x86/entries";
import { fault, Outcome } from "../x86/fault";
import { eptFormat } from "../x86/format";
import { typesCombined } from "./answer";
import { Cell, cell, put } from "./block";

/**
 * The instructions that steer paging, with everything they check and flush. Each returns an Outcome: #GP or VMfail
 * where the operands are refused, an exit where a load of PDPTEs meets one.
 */

export enum Register {
  cr0,
  cr3,
  cr4,
  efer,
  pkru,
  pkrs,
}

function ended(outcome: Outcome): Outcome {
  put(Cell.qualification, fault.qualification);
  put(Cell.exitAddress, fault.guestPhysical);
  return outcome;
}

/** MOV to CR0, CR3 or CR4, WRMSR of EFER or IA32_PKRS, WRPKRU: cell 13 into a register. */
export function embedLoad(register: Register): Outcome {
  forgetFlushed();
  const value = cell(Cell.value);
  if (register === Register.pkru) {
    registers.pkru = <u32>value;
    hardwareControls.pkru = <u32>value;
    retag();
    return Outcome.ok;
  }
  if (register === Register.pkrs) {
    if (value >> 32 !== 0) return Outcome.generalProtection;
    registers.pkrs = <u32>value;
    hardwareControls.pkrs = <u32>value;
    retag();
    return Outcome.ok;
  }
  if (register === Register.cr0) return legalCr0(value) ? loadCr0(value) : Outcome.generalProtection;
  if (register === Register.cr4) return legalCr4(value) ? loadCr4(value) : Outcome.generalProtection;
  if (register === Register.cr3) {
    if (!legalCr3(value)) return Outcome.generalProtection;
    return loadCr3(isLongMode() ? value : value & 0xffff_ffff);
  }
  if (!legalEfer(value)) return Outcome.generalProtection;
  loadEfer(value);
  return Outcome.ok;
}

/** Cell 13 was loaded into a register, as a recording has it: nothing is refused, and the registers come in any order. */
export function embedLoaded(register: Register): void {
  forgetFlushed();
  const value = cell(Cell.value);
  if (register === Register.cr0) machine.loadCr0(value);
  else if (register === Register.cr3) machine.loadCr3(value);
  else if (register === Register.cr4) machine.loadCr4(value);
  else if (register === Register.efer) machine.loadEfer(value);
  else embedLoad(register);
}

/**
 * Under shadow paging the hypervisor reads the PDPTEs that a load would take into registers, and refuses what the CPU would
 * (KVM: `load_pdptrs`); elsewhere the CPU loads them, and the machine's own hypervisor, if it has one, lets it go on.
 */
function refusesPdptes(cr0: u64, cr4: u64, root: u64): bool {
  const paging = (cr0 & CR0_PG) !== 0 && (cr4 & CR4_PAE) !== 0;
  return paging && (registers.efer & EFER_LME) === 0 && !legalPdptes(root & 0xffff_ffe0);
}

function loadCr0(value: u64): Outcome {
  const changed = registers.cr0 ^ value;
  if (machine.technique === machine.SHADOW) {
    if ((changed & CR0_PDPTES) !== 0 && refusesPdptes(value, registers.cr4, cr3))
      return Outcome.generalProtection;
    machine.loadCr0(value);
    return Outcome.ok;
  }
  let outcome = effects.loadCr0(value, false);
  while (machine.resolveLoad(outcome)) outcome = effects.loadCr0(value, false);
  if (outcome === Outcome.ok) machine.exitOfCr0(changed);
  return ended(outcome);
}

function loadCr3(value: u64): Outcome {
  if (machine.technique === machine.SHADOW) {
    if (refusesPdptes(registers.cr0, registers.cr4, value)) return Outcome.generalProtection;
    machine.loadCr3(value);
    return Outcome.ok;
  }
  let outcome = effects.loadCr3(value, false);
  while (machine.resolveLoad(outcome)) outcome = effects.loadCr3(value, false);
  return ended(outcome);
}

function loadCr4(value: u64): Outcome {
  const changed = registers.cr4 ^ value;
  if (machine.technique === machine.SHADOW) {
    if ((changed & CR4_PDPTES) !== 0 && refusesPdptes(registers.cr0, value, cr3))
      return Outcome.generalProtection;
    machine.loadCr4(value);
    return Outcome.ok;
  }
  let outcome = effects.loadCr4(value, false);
  while (machine.resolveLoad(outcome)) outcome = effects.loadCr4(value, false);
  if (outcome === Outcome.ok) machine.exitOfCr4(changed);
  return ended(outcome);
}

/** WRMSR to EFER: the CPU keeps its own LMA. */
function loadEfer(value: u64): void {
  const kept = (value & ~EFER_LMA) | (registers.efer & EFER_LMA);
  if (machine.technique === machine.SHADOW) {
    machine.loadEfer(kept);
    return;
  }
  const changed = registers.efer ^ kept;
  effects.writeEfer(kept);
  machine.exitOfEfer(changed);
}

/** INVLPG of cell 12. */
export function embedInvlpg(): void {
  forgetFlushed();
  const va = linearAddress(cell(Cell.address));
  if (translatable(va)) machine.invlpg(va);
}

/** INVPCID: bits 63:0 of the descriptor in cell 13, its address in cell 12. */
export function embedInvpcid(type: u32): Outcome {
  forgetFlushed();
  const descriptor = cell(Cell.value);
  const va = linearAddress(cell(Cell.address));
  if (!legalInvpcid(type, descriptor, va)) return Outcome.generalProtection;
  machine.invpcid(type, <u32>(descriptor & CR3_PCID), va);
  return Outcome.ok;
}

/** INVVPID: bits 63:0 of the descriptor in cell 13, its address in cell 12. SDM 3C 29.4.3.1. */
export function embedInvvpid(type: u32): Outcome {
  forgetFlushed();
  const descriptor = cell(Cell.value);
  if (!legalInvvpid(type, descriptor, cell(Cell.address))) return Outcome.vmFail;
  const its = <u32>descriptor;
  if (type === 0) invalidateAddressOfVpid(its, cell(Cell.address));
  else if (type === 2) invalidateAllVpids();
  else invalidateVpid(its, type === 1);
  return Outcome.ok;
}

/** INVEPT: EPTP in cell 12, the reserved half of the descriptor in cell 13. SDM 3C 29.4.3.1. */
export function embedInvept(type: u32): Outcome {
  forgetFlushed();
  if (!legalInvept(type, cell(Cell.address), cell(Cell.value))) return Outcome.vmFail;
  invalidateEptrta(rootTag(cell(Cell.address)), type === 2);
  return Outcome.ok;
}

/** INVLPGA: the address in cell 12 under the ASID in cell 13. APM 3 INVLPGA. */
export function embedInvlpga(): void {
  forgetFlushed();
  const va = linearAddress(cell(Cell.address));
  if (translatable(va)) invalidateAddressOfVpid(<u32>cell(Cell.value), va);
}

/** TLB_CONTROL of a VMRUN: 0 nothing, 1 everything, 3 this ASID, 7 this ASID but global pages. APM 2 15.16. */
export function embedTlbControl(control: u32): void {
  forgetFlushed();
  if (control === 1) invalidateEverything();
  else if (control === 3 || control === 7) invalidateAsid(vpid, control === 3);
}

/**
 * VM entry with the EPTP in cell 11 and the VPID in cell 14: VMfail where one of them is not valid. Without VPIDs an entry
 * (like an exit) drops what is tagged VPID 0. SDM 3C 27.2.1.1, 29.4.3.1.
 */
export function embedEnter(): Outcome {
  forgetFlushed();
  const eptp = cell(Cell.secondRoot);
  if (!legalEptp(eptp) || (parameter(Parameter.vpid) !== 0 && !legalVpid(cell(Cell.vpid))))
    return Outcome.vmFail;
  const accessedDirty = (eptp & 0x40) !== 0;
  eptFormat(
    host.format,
    <u32>((eptp >> 3) & 7) + 1,
    parameter(Parameter.hostAddressBits),
    accessedDirty,
    parameter(Parameter.eptExecuteOnly) !== 0,
    parameter(Parameter.eptModeBasedExecute) !== 0,
  );
  configureSecond();
  setEptAccessedDirty(accessedDirty);
  host.root = eptp & FRAME;
  typesCombined(true);
  const tagged = parameter(Parameter.vpid) !== 0;
  setVirtualTags(tagged ? <u32>cell(Cell.vpid) : 0, rootTag(host.root));
  retag();
  if (!tagged) invalidateVpid(0, true);
  return Outcome.ok;
}

/**
 * VMRUN with the nCR3 in cell 11 and the ASID in cell 14: VMfail (VMEXIT_INVALID) for an nCR3 beyond the host's physical
 * addresses or the ASID 0. APM 2 15.5.1, 15.25.4.
 */
export function embedRun(): Outcome {
  forgetFlushed();
  const ncr3 = cell(Cell.secondRoot);
  const asid = <u32>cell(Cell.vpid);
  if (ncr3 >> parameter(Parameter.hostAddressBits) !== 0 || asid === 0) return Outcome.vmFail;
  host.root = ncr3 & (host.format.levels === 3 ? 0xffff_ffe0 : FRAME);
  const tagged = parameter(Parameter.vpid) !== 0;
  setVirtualTags(tagged ? asid : 0, rootTag(ncr3));
  retag();
  if (!tagged) invalidateAsid(0, true);
  return Outcome.ok;
}

/** The second stage leads nowhere until the host names a root: every access is a violation of it. */
export function embedNoRoot(): void {
  host.root = FRAME;
}

/** Kinds of invalidation (mmu/feed.ts) that the last of these instructions made. */
export function embedFlushed(): u32 {
  return flushed;
}

/** The VPID or ASID in cell 14 is the current one. */
export function embedSetVpid(): void {
  forgetFlushed();
  setVirtualTags(parameter(Parameter.vpid) !== 0 ? <u32>cell(Cell.vpid) : 0, eptrta);
  retag();
}

/** The host takes memory from the model's hypervisor (1), shares it (2) or logs stores to it (3). */
export function embedHostEvent(what: u32, gfn: u32, frames: u32): void {
  forgetFlushed();
  machine.hostEvent(what, gfn, frames);
  machine.enter();
}

/** An instruction, or an interrupt, that exits under any hypervisor. */
export function embedExitAlways(reason: u32): void {
  machine.exitAlways(<ExitReason>reason);
}

/** The machine's own hypervisor lets the guest go on. */
export function embedResume(): void {
  machine.enter();
}

/** A VM exit. */
export function embedExit(): void {
  forgetFlushed();
  if (parameter(Parameter.vpid) === 0) invalidateVpid(0, true);
}
