import { Counter, count, ExitReason } from "./counters";
import { guestFrameOf, hostAddressOf } from "./hypervisor/backing";
import { read64 } from "./memory/physical";
import { hardware, hardwareControls } from "./mmu/tags";
import { accessedAddress, accessSlow, wasEmulated } from "./replay/access";
import { Resolution } from "./technique/resolution";
import {
  enter,
  exitAlways,
  hostEvent,
  invlpg,
  invpcid,
  loadCr0,
  loadCr3,
  loadCr4,
  loadEfer,
  resolve,
  storeTableEntry,
} from "./technique/technique";
import { cpl, registers, setCpl, setInstruction, setStoreBytes } from "./vcpu/registers";
import { translate } from "./walk/translate";
import { beginHardwareWalk, endHardwareWalk } from "./walk/walk";
import { KIND, MODE_SUPERVISOR, MODE_SUPERVISOR_AC, MODE_USER, USER } from "./x86/access";
import { fault, Outcome } from "./x86/fault";

/**
 * The machine driven step by step, without a trace and without TLBs: one attempt of one access at a time, each walked,
 * as on a CPU that drops its TLB at every exit and entry. Addresses come as two halves.
 */

/** How an attempt ended. */
export enum Attempt {
  done,
  /** The hypervisor repaired something; the access has to be made again. */
  retry,
  /** The guest takes a page fault: `driveErrorCode`. */
  guestFault,
  /** The hypervisor made the access. */
  emulated,
}

let errorCode: u32 = 0;
export function driveErrorCode(): u32 {
  return errorCode;
}

function join(low: u32, high: u32): u64 {
  return <u64>low | ((<u64>high) << 32);
}

export function driveAttempt(vaLow: u32, vaHigh: u32, kind: u32): Attempt {
  const va = join(vaLow, vaHigh);
  const access = (kind & KIND) | (cpl === 3 ? USER : 0);
  beginHardwareWalk();
  const outcome = translate(hardware, hardwareControls, va, access);
  endHardwareWalk(outcome);
  if (outcome === Outcome.ok) return Attempt.done;
  const resolution = resolve(outcome, va, access);
  if (resolution === Resolution.retry) return Attempt.retry;
  if (resolution === Resolution.emulated) return Attempt.emulated;
  errorCode = <u32>fault.errorCode;
  return Attempt.guestFault;
}

/** A store of a page-table entry that was made: memory changes. */
export function driveStoreEntry(gpaLow: u32, gpaHigh: u32, low: u32, high: u32): void {
  count(Counter.tableWrites);
  storeTableEntry(join(gpaLow, gpaHigh), join(low, high));
}

export function driveLoad(register: u32, low: u32, high: u32): void {
  const value = join(low, high);
  if (register === 0) loadCr0(value);
  else if (register === 3) loadCr3(value);
  else if (register === 4) loadCr4(value);
  else loadEfer(value);
}

export function driveInvlpg(vaLow: u32, vaHigh: u32): void {
  invlpg(join(vaLow, vaHigh));
}

/** CPL, EFLAGS.AC and PKRU. */
export function driveState(itsCpl: u32, ac: u32, pkru: u32): void {
  setCpl(itsCpl);
  registers.ac = ac !== 0;
  registers.pkru = pkru;
  hardwareControls.ac = ac !== 0;
  hardwareControls.pkru = pkru;
}

export function driveInvpcid(type: u32, pcid: u32, vaLow: u32, vaHigh: u32): void {
  invpcid(type, pcid, join(vaLow, vaHigh));
}

let guestAddress: u64 = 0;
/** Guest-physical address of the last access that succeeded. */
export function driveAddressLow(): u32 {
  return <u32>guestAddress;
}
export function driveAddressHigh(): u32 {
  return <u32>(guestAddress >> 32);
}

/** A whole access through the TLBs, as in a replay; returns its Outcome. */
export function driveAccess(vaLow: u32, vaHigh: u32, kind: u32): Outcome {
  const mode = cpl === 3 ? MODE_USER : registers.ac ? MODE_SUPERVISOR_AC : MODE_SUPERVISOR;
  const outcome = accessSlow(join(vaLow, vaHigh), kind, mode);
  errorCode = <u32>fault.errorCode;
  if (outcome === Outcome.ok) {
    const gfn = wasEmulated ? accessedAddress >> 12 : guestFrameOf(accessedAddress >> 12);
    guestAddress = (gfn << 12) | (accessedAddress & 0xfff);
  }
  return outcome;
}

/** The lower and the upper half of guest memory, as far as it holds page tables. */
export function driveReadLow(gpaLow: u32, gpaHigh: u32): u32 {
  return <u32>read64(hostAddressOf(join(gpaLow, gpaHigh)));
}
export function driveReadHigh(gpaLow: u32, gpaHigh: u32): u32 {
  return <u32>(read64(hostAddressOf(join(gpaLow, gpaHigh))) >> 32);
}

/** Bytes that each store from here on writes; 8 at first. */
export function driveStoreBytes(bytes: u32): void {
  setStoreBytes(bytes);
}

/** Where the instructions are that the hypervisor emulates. */
export function driveInstruction(vaLow: u32, vaHigh: u32): void {
  setInstruction(join(vaLow, vaHigh));
}

/** Something of the host, while the guest stands still. */
export function driveHost(what: u32, gfn: u32, frames: u32): void {
  hostEvent(what, gfn, frames);
}

/** An exit under any hypervisor. */
export function driveExit(reason: u32): void {
  exitAlways(<ExitReason>reason);
}

/** The guest goes on. */
export function driveEnter(): void {
  enter();
}
