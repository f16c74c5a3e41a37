import { stall } from "../clock";
import { add, Counter, count, countExit, ExitReason } from "../counters";
import { noteExit, recording } from "../explain/log";
import { invalidateVpid } from "../mmu/invalidation";
import { vpid } from "../mmu/tags";
import { Parameter, parameter, parameterAt } from "../parameters";
import { takeSoftwareReads } from "../walk/walk";

/**
 * VM exits and what they cost: the hardware's round trip, the handler's own share by reason, and the work that
 * the handler does and that is counted as it is done: entries read and written, instructions emulated, tables
 * allocated.
 */
let hardware: u32 = 0;
let readCycles: u32 = 0;
let writeCycles: u32 = 0;
let emulateCycles: u32 = 0;
let allocateCycles: u32 = 0;
let hostedCycles: u32 = 0;
/** Work of the exit under way, in cycles. */
let work: u64 = 0;
/** Without VPIDs each exit flushes the guest's TLB entries (SDM 3C 29.4.3.1). */
let tagged = true;

export function configureExits(): void {
  hardware = parameter(Parameter.exitHardwareCycles);
  readCycles = parameter(Parameter.softwareReferenceCycles);
  writeCycles = parameter(Parameter.entryWriteCycles);
  emulateCycles = parameter(Parameter.emulationCycles);
  tagged = parameter(Parameter.vpid) !== 0;
  allocateCycles = parameter(Parameter.tableAllocationCycles);
  hostedCycles = parameter(Parameter.exitHostedCycles);
}

/** Second-stage or shadow entries written by the handler. */
export function worked(entries: u32): void {
  add(Counter.entriesWritten, entries);
  work += <u64>entries * writeCycles;
}
export function workedEmulation(): void {
  count(Counter.insn_emulation);
  work += emulateCycles;
}
export function workedAllocation(): void {
  work += allocateCycles;
}

/** A device is emulated by a process of the host: the exit leaves the kernel, and comes back. */
export function workedHosted(): void {
  work += hostedCycles;
}

/** The registers that a trace begins with are set before the guest runs: nothing exits then. */
let held = false;
export function holdExits(hold: bool): void {
  held = hold;
}

/** Ends an exit: counts it, and lets the vCPU wait for the round trip and the handler with all its work. */
export function exit(reason: ExitReason): void {
  if (held) {
    work = 0;
    takeSoftwareReads();
    return;
  }
  if (reason === ExitReason.io) workedHosted();
  const handler =
    <u64>parameterAt(<u32>Parameter.exitHandlerCycles + <u32>reason) +
    work +
    <u64>takeSoftwareReads() * readCycles;
  work = 0;
  count(Counter.exits);
  if (recording) noteExit(reason, <u64>hardware + handler);
  countExit(reason, <u64>hardware + handler);
  stall(hardware, handler);
  if (!tagged) invalidateVpid(vpid, true);
}
