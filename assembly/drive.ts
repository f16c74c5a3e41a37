import { Counter, count, ExitReason } from "./counters";
import { hardware, hardwareControls } from "./mmu/tags";
import { Resolution } from "./technique/resolution";
import {
  enter,
  exitAlways,
  hostEvent,
  invlpg,
  loadCr0,
  loadCr3,
  loadCr4,
  loadEfer,
  resolve,
  storeTableEntry,
} from "./technique/technique";
import { cpl, setCpl, setInstruction } from "./vcpu/registers";
import { translate } from "./walk/translate";
import { beginHardwareWalk, endHardwareWalk } from "./walk/walk";
import { KIND, USER } from "./x86/access";
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

export function driveMode(itsCpl: u32): void {
  setCpl(itsCpl);
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
