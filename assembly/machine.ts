import { configureClock, drain, settleClock } from "./clock";
import { startKernel } from "./guest/kernel";
import { playing } from "./guest/mapping";
import { configureExits } from "./hypervisor/exits";
import { initMemory } from "./memory/physical";
import { seedRandom } from "./mmu/array";
import { configureCaches } from "./mmu/cache";
import { configurePsc } from "./mmu/psc";
import { configureTlbs } from "./mmu/tlb";
import { Parameter, parameter } from "./parameters";
import { configureAccess } from "./replay/access";
import { setMode } from "./replay/accesses";
import { guestDigest } from "./replay/digest";
import { configureEvents } from "./replay/events";
import { startTechnique } from "./technique/technique";
import { selectMode } from "./vcpu/registers";
import { configureWalk } from "./walk/walk";

/** CPL 3: a trace without page tables holds what programs do. */
const PROGRAM: u32 = 3;

/** Builds the machine that the parameter block describes. Called once, before anything else. */
export function start(): void {
  seedRandom(parameter(Parameter.seed));
  initMemory();
  configureClock();
  configureTlbs();
  configurePsc();
  configureCaches();
  configureWalk();
  configureExits();
  configureAccess();
  configureEvents();
  selectMode();
  startTechnique();
  startKernel();
  if (playing) setMode(PROGRAM);
}

/** Where the core's heap begins, after its static data. */
export function heapBase(): usize {
  return __heap_base;
}

let digest: u64 = 0;

/** Lets everything under way finish, and brings the counters up to date. */
export function finish(): void {
  drain();
  settleClock();
  digest = guestDigest();
}

export function guestDigestLow(): u32 {
  return <u32>digest;
}
export function guestDigestHigh(): u32 {
  return <u32>(digest >> 32);
}
