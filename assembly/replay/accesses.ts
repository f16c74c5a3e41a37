import { Counter, count, read, set } from "../counters";
import { markDevice } from "../hypervisor/backing";
import { hardwareControls } from "../mmu/tags";
import { registers, setCpl, setInstruction, setStoreBytes } from "../vcpu/registers";
import {
  FETCH,
  MODE_IMPLICIT,
  MODE_SUPERVISOR,
  MODE_SUPERVISOR_AC,
  MODE_USER,
  READ,
  WRITE,
} from "../x86/access";
import { settleOracle, trueFrame } from "./oracle";
import { accessPage, repeatFetch } from "./page";
import { sv } from "./stream";

/** The records that are accesses, and how many there were. */

/** Records replayed, accesses and others. */
let events: u64 = 0;
let fetches: u64 = 0;
let reads: u64 = 0;
let writes: u64 = 0;
let userAccesses: u64 = 0;
let implicitAccesses: u64 = 0;

let fetchEnd: u64 = 0;
let dataAddress: u64 = 0;
/** Page of the last fetch. */
let runPage: u64 = 0;
/** Whether the trace runs fetches of a page together. */
let runs = false;
/** Whether the record before this one is an access of the CPU itself. */
let implicitBefore = false;
/** MODE_* of ordinary accesses now. */
let mode: u32 = MODE_SUPERVISOR;

/** CPL in bits 0-1, EFLAGS.AC in bit 2. */
export function setMode(value: u32): void {
  const ac = (value & 4) !== 0;
  setCpl(value & 3);
  registers.ac = ac;
  hardwareControls.ac = ac;
  mode = (value & 3) === 3 ? MODE_USER : ac ? MODE_SUPERVISOR_AC : MODE_SUPERVISOR;
}

/** The access at `va`, page by page. */
function access(va: u64, size: u32, kind: u32, how: u32): void {
  accessPage(va, kind, how, events);
  if ((<u32>va & 0xfff) + size > 4096) {
    count(Counter.pageCrossings);
    accessPage((va | 0xfff) + 1, kind, how, events);
  }
  if (how === MODE_USER) ++userAccesses;
}

/** An instruction fetch whose first byte is read; false if it has no length. */
export function replayFetch(head: u32): bool {
  if ((head & 64) === 0) fetchEnd += sv();
  const size = (head >> 2) & 15;
  if (size === 0) return false;
  const va = fetchEnd;
  setInstruction(va);
  fetchEnd = va + size;
  runPage = (fetchEnd - 1) & ~0xfff;
  implicitBefore = false;
  ++fetches;
  access(va, size, FETCH, mode);
  return true;
}

/** A data read or write whose first byte is read. */
export function replayData(head: u32): void {
  dataAddress += sv();
  const implicit = (head & 32) !== 0;
  implicitBefore = implicit;
  if (implicit) ++implicitAccesses;
  if (head & 64) touchDevice();
  const write = (head & 3) === 2;
  const size: u32 = 1 << ((head >> 2) & 7);
  if (write) {
    ++writes;
    setStoreBytes(size);
  } else ++reads;
  access(dataAddress, size, write ? WRITE : READ, implicit ? MODE_IMPLICIT : mode);
}

/** The recorder saw device memory answer. */
function touchDevice(): void {
  count(Counter.deviceAccesses);
  const gfn = trueFrame(dataAddress >> 12);
  if (gfn !== u64.MAX_VALUE) markDevice(gfn);
}

/** `n` further fetches in the page of the last one. */
export function runFetches(n: u64): void {
  runs = true;
  if (n === 0) return;
  fetches += n;
  if (mode === MODE_USER) userAccesses += n;
  accessPage(runPage, FETCH, mode, events);
  if (n > 1) repeatFetch(runPage, n - 1);
}

/** Whether the counts of END are those of what was replayed. */
export function countsAgree(itsFetches: u64, itsReads: u64, itsWrites: u64): bool {
  /* A recorder that runs fetches of a page together may end before it wrote the last run. */
  const whole = itsFetches === fetches || (runs && itsFetches > fetches);
  return whole && itsReads === reads && itsWrites === writes;
}

export function accessCount(): u64 {
  return fetches + reads + writes;
}

/** Whether the guest has not run yet: what was replayed is the state that the trace begins with. */
export function beforeFirstAccess(): bool {
  return accessCount() === 0;
}
export function followsImplicitAccess(): bool {
  return implicitBefore;
}

/** A record is done. */
export function countEvent(): void {
  ++events;
}
export function eventNumber(): u64 {
  return events;
}
/** Records replayed, exact up to 2^53. */
export function eventCountNumber(): f64 {
  return <f64>events;
}

/** Brings the counters kept in variables up to date. */
export function settleAccesses(): void {
  const accesses = fetches + reads + writes;
  set(Counter.events, events);
  set(Counter.fetches, fetches);
  set(Counter.reads, reads);
  set(Counter.writes, writes);
  set(Counter.accesses, accesses);
  set(Counter.userAccesses, userAccesses);
  set(Counter.implicitAccesses, implicitAccesses);
  set(Counter.translations, accesses + read(Counter.pageCrossings) + read(Counter.kernelAccesses));
  settleOracle();
}
