import { Counter, count, read, set } from "../counters";
import { markDevice } from "../hypervisor/backing";
import { setInstruction } from "../vcpu/registers";
import { FETCH, MODE_IMPLICIT, MODE_USER, READ, WRITE } from "../x86/access";
import { accessPage, repeatFetch } from "./access";
import { mode, replayEvent, Stop } from "./events";
import { settleOracle, trueFrame } from "./oracle";
import { atEnd, byte, consumed, cursor, hasOverlong, isWhole, openWindow, setCursor, sv } from "./stream";

/** The loop: each record of the window is decoded and done at once. */

let stop: Stop = Stop.none;
/** Records replayed. */
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

/** The access at `va`, page by page. */
function access(va: u64, size: u32, kind: u32, how: u32): void {
  accessPage(va, kind, how, events);
  if ((<u32>va & 0xfff) + size > 4096) {
    count(Counter.pageCrossings);
    accessPage((va | 0xfff) + 1, kind, how, events);
  }
  if (how === MODE_USER) ++userAccesses;
}

/** Replays whole records of the window's first `length` bytes; returns the bytes taken. `stopReason` says why it ended. */
export function replay(length: u32): u32 {
  openWindow(length);
  stop = Stop.none;
  while (!atEnd()) {
    const start = cursor();
    if (!isWhole()) {
      stop = Stop.incomplete;
      break;
    }
    const head = byte();
    const kind = head & 3;
    if (kind === 0) {
      if ((head & 64) === 0) fetchEnd += sv();
      const size = (head >> 2) & 15;
      const va = fetchEnd;
      setInstruction(va);
      fetchEnd = va + size;
      runPage = (fetchEnd - 1) & ~0xfff;
      ++fetches;
      access(va, size, FETCH, mode);
      implicitBefore = false;
    } else if (kind < 3) {
      dataAddress += sv();
      if (head & 96) special(head);
      const size: u32 = 1 << ((head >> 2) & 7);
      const how = head & 32 ? MODE_IMPLICIT : mode;
      if (kind === 1) ++reads;
      else ++writes;
      access(dataAddress, size, kind === 1 ? READ : WRITE, how);
      implicitBefore = (head & 32) !== 0;
    } else {
      stop = replayEvent(head >> 2);
    }
    if (hasOverlong()) stop = Stop.badVarint;
    if (stop !== Stop.none && stop !== Stop.end) {
      setCursor(start);
      break;
    }
    ++events;
    if (stop === Stop.end) break;
  }
  settle();
  return consumed();
}

/** Accesses by the CPU itself and to device memory. */
function special(head: u32): void {
  if (head & 32) ++implicitAccesses;
  if (head & 64) {
    count(Counter.deviceAccesses);
    const gfn = trueFrame(dataAddress >> 12);
    if (gfn !== u64.MAX_VALUE) markDevice(gfn);
  }
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

/** Whether the guest has not run yet: what was replayed is the state that the trace begins with. */
export function beforeFirstAccess(): bool {
  return fetches + reads + writes === 0;
}
export function followsImplicitAccess(): bool {
  return implicitBefore;
}

/** Brings the counters kept in variables up to date. */
function settle(): void {
  const accesses = fetches + reads + writes;
  set(Counter.events, events);
  set(Counter.fetches, fetches);
  set(Counter.reads, reads);
  set(Counter.writes, writes);
  set(Counter.accesses, accesses);
  set(Counter.userAccesses, userAccesses);
  set(Counter.implicitAccesses, implicitAccesses);
  set(Counter.translations, accesses + read(Counter.pageCrossings));
  settleOracle();
}

export function stopReason(): Stop {
  return stop;
}
/** Records replayed, exact up to 2^53. */
export function eventCountNumber(): f64 {
  return <f64>events;
}
