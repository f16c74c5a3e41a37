import { stallGuest } from "../clock";
import { Counter, count } from "../counters";
import { Parameter, parameter } from "../parameters";
import { foldFault } from "../replay/oracle";
import { instruction, setCpl, setInstruction, setStoreBytes } from "../vcpu/registers";
import { fault } from "../x86/fault";
import { boot, KERNEL_CODE, loadRegisters, zeroPage } from "./boot";
import { keep } from "./buddy";
import { churn, configureChurn } from "./churn";
import { configureDirectMap, setEvent, setQuiet } from "./direct-map";
import { configureFaults, handleFault, populatePage } from "./faults";
import { playing, setPlaying } from "./mapping";
import { configureTables, levels } from "./page-tables";
import { configurePolicy, largeRanges, placedRanges } from "./policy";
import {
  configureProcesses,
  current,
  enterKernelRoot,
  leaveKernelRoot,
  loadProcess,
  Process,
  processCalled,
} from "./process";
import { seedKernel } from "./random";
import { configureReclaim } from "./reclaim";

/**
 * The stand-in kernel: it plays the guest's operating system for a trace that was recorded without page tables. The
 * program's accesses are the trace's; the tables, the faults on the way to them, switches and what else a kernel does to
 * a program's memory are played, as Linux would do it. It runs when an access faults, at a SWITCH, and at stated rates.
 *
 * A trace of guest-physical addresses has lost its virtual ones. It is played in an address space that maps each address
 * to itself: with paging off a native machine would translate nothing, and 64-bit guests cannot turn it off.
 */
const PHYSICAL: u32 = 2;

let faultCycles: u32 = 0;
let switchCycles: u32 = 0;
/** Thread that runs, as the trace numbers it. */
let thread: u64 = 0;
let started = false;
/** Every page is mapped before the program runs. */
export let populates: bool = false;

export function startKernel(): void {
  const plays = parameter(Parameter.kernelPlays);
  setPlaying(plays !== 0);
  if (!playing) return;
  const physical = plays === PHYSICAL;
  faultCycles = parameter(Parameter.kernelFaultCycles);
  switchCycles = parameter(Parameter.kernelSwitchCycles);
  populates = physical || parameter(Parameter.kernelPopulate) !== 0;
  seedKernel(parameter(Parameter.kernelSeed));
  configureDirectMap();
  configureTables();
  configurePolicy();
  configureReclaim(!physical);
  const root = boot(physical);
  configureProcesses(root);
  configureFaults(zeroPage(physical), physical);
  configureChurn(physical);
  loadRegisters(root);
}

function join(low: u32, high: u32): u64 {
  return <u64>low | ((<u64>high) << 32);
}

/** Pages from number `first` to before `end` are of 2 MiB, under the policy that follows a map; ranges come in ascending order. */
export function kernelLargeRange(firstLow: u32, firstHigh: u32, endLow: u32, endHigh: u32): void {
  largeRanges.add(join(firstLow, firstHigh), join(endLow, endHigh), 0);
}

/** Pages from number `first` to before `end` lay at frame `frame` and those after it; ranges come in ascending order. */
export function kernelPlacedRange(
  firstLow: u32,
  firstHigh: u32,
  endLow: u32,
  endHigh: u32,
  frameLow: u32,
  frameHigh: u32,
): void {
  const first = join(firstLow, firstHigh);
  const end = join(endLow, endHigh);
  const frame = join(frameLow, frameHigh);
  placedRanges.add(first, end, frame);
  keep(frame, frame + (end - first));
}

/** The CPU is in the kernel from here to `leave`. */
function enter(): u64 {
  const at = instruction;
  setInstruction(KERNEL_CODE);
  setStoreBytes(8);
  setCpl(0);
  return at;
}

function leave(at: u64): void {
  setCpl(3);
  setInstruction(at);
}

/** The process that the trace calls `id`. */
function processOf(id: u64): Process {
  setQuiet(populates);
  const p = processCalled(id);
  setQuiet(false);
  return p;
}

/** Maps the page of `va` before the program comes to it. */
export function populate(va: u64): void {
  if (isBeyond(va)) return;
  if (!started && load(processOf(0))) leaveKernelRoot();
  if (!started) return;
  setQuiet(true);
  populatePage(current, va >> 12);
  setQuiet(false);
}

/** Whether an address is not the program's. */
function isBeyond(va: u64): bool {
  return va >> (levels === 5 ? 56 : 47) !== 0;
}

function load(p: Process): bool {
  if (changetype<usize>(p) === 0) return false;
  loadProcess(p);
  started = true;
  return true;
}

/** The program's access at `va` took the page fault that `fault` describes; returns whether to make it again. */
export function pageFaulted(va: u64, kind: u32, event: u64): bool {
  const code = fault.errorCode;
  if (isBeyond(va)) return false;
  setEvent(event);
  const at = enter();
  stallGuest(faultCycles);
  let handled = true;
  if (!started) handled = load(processOf(0));
  else enterKernelRoot();
  handled = handled && handleFault(current, va >> 12, kind);
  if (handled) {
    foldFault(code, va);
    count(Counter.guestPageFaults);
    count(Counter.faultsConfirmed);
  }
  if (started) leaveKernelRoot();
  leave(at);
  return handled;
}

/** The trace says who runs from now on. */
export function switched(process: u64, itsThread: u64, event: u64): void {
  if (!playing) return;
  setEvent(event);
  const at = enter();
  const first = !started;
  if (!first) enterKernelRoot();
  const p = processOf(process);
  if (changetype<usize>(p) !== 0 && (first || p !== current || thread !== itsThread)) {
    thread = itsThread;
    if (!first) {
      count(Counter.kernelSwitches);
      stallGuest(switchCycles);
    }
    if (p !== current || first) load(p);
  }
  if (started) leaveKernelRoot();
  leave(at);
}

/** Record `event` comes next, and something is due before it. */
export function keepTime(event: u64): void {
  setEvent(event);
  const at = enter();
  if (started) enterKernelRoot();
  if (started || load(processOf(0))) {
    churn(event);
    leaveKernelRoot();
  }
  leave(at);
}
