import { stallGuest } from "../clock";
import { Counter, count } from "../counters";
import { Parameter, parameter } from "../parameters";
import { storeEntry } from "./direct-map";
import { entryOf, replacePage, splitHuge } from "./faults";
import { exit, fork } from "./fork";
import { isShared, RECLAIM_BATCH, share, unshare } from "./frames";
import {
  frameIn,
  hugeStateOf,
  MAPPED,
  MAY_FETCH,
  MAY_WRITE,
  makeState,
  OF_FILE,
  PROTECTED,
  setState,
  stateOf,
  ZERO,
} from "./mapping";
import { anyPage, isHuge, pageNumber, processNumber, queuedPages } from "./page-queue";
import { findEntry } from "./page-tables";
import { createProcess, current, flushRange, loadProcess, Process, processOf } from "./process";
import { reclaim } from "./reclaim";

/** What the played system does beside serving faults, at stated rates: by the number of records replayed, so that it comes at the same place in every machine. */

const NEVER: u64 = u64.MAX_VALUE;
/** Rates are per this many records. */
const MILLION: u64 = 1_000_000;

enum What {
  quantum,
  fork,
  protect,
  reclaim,
  merge,
  COUNT,
}

const periods = new StaticArray<u64>(<i32>What.COUNT);
const due = new StaticArray<u64>(<i32>What.COUNT);
/** The child of the last fork, and when it ends. */
let child = changetype<Process>(0);
let exitDue: u64 = NEVER;
let forkLife: u64 = 0;
let protectPages: u32 = 1;
let switchCycles: u32 = 0;
let callCycles: u32 = 0;
/** Who runs between two quanta of the trace's processes. */
let other = changetype<Process>(0);

/** The record before which something is due. */
export let churnAt: u64 = NEVER;

function every(what: What, period: u64): void {
  periods[what] = period;
  due[what] = period === 0 ? NEVER : period;
}

function rate(parameterIndex: Parameter): u64 {
  const perMillion = <u64>parameter(parameterIndex);
  return perMillion === 0 ? 0 : max<u64>(MILLION / perMillion, 1);
}

export function configureChurn(physical: bool): void {
  every(What.quantum, <u64>parameter(Parameter.kernelQuantum));
  every(What.fork, physical ? 0 : rate(Parameter.kernelForks));
  every(What.protect, physical ? 0 : rate(Parameter.kernelProtects));
  every(What.reclaim, physical ? 0 : rate(Parameter.kernelReclaims));
  every(What.merge, physical ? 0 : rate(Parameter.kernelMerges));
  forkLife = <u64>parameter(Parameter.kernelForkLife);
  protectPages = parameter(Parameter.kernelProtectPages);
  switchCycles = parameter(Parameter.kernelSwitchCycles);
  callCycles = parameter(Parameter.kernelCallCycles);
  schedule();
}

function schedule(): void {
  churnAt = exitDue;
  for (let what = 0; what < <i32>What.COUNT; ++what) churnAt = min(churnAt, unchecked(due[what]));
}

/** Does what is due at record `now`. */
export function churn(now: u64): void {
  for (let what = 0; what < <i32>What.COUNT; ++what) {
    if (now < unchecked(due[what])) continue;
    due[what] = now + periods[what];
    if (what !== What.quantum) stallGuest(callCycles);
    if (what === What.quantum) giveWay();
    else if (what === What.fork) forkNow(now);
    else if (what === What.protect) protect();
    else if (what === What.reclaim) reclaim(RECLAIM_BATCH);
    else merge();
  }
  if (now >= exitDue) endChild();
  schedule();
}

/** The quantum is over: another process runs, and then this one again. */
function giveWay(): void {
  const p = current;
  if (changetype<usize>(other) === 0) other = createProcess();
  if (changetype<usize>(other) === 0) return;
  count(Counter.kernelSwitches);
  stallGuest(switchCycles);
  loadProcess(other);
  count(Counter.kernelSwitches);
  stallGuest(switchCycles);
  loadProcess(p);
}

function forkNow(now: u64): void {
  endChild();
  child = fork(current);
  if (changetype<usize>(child) !== 0) exitDue = now + forkLife;
}

function endChild(): void {
  exitDue = NEVER;
  if (changetype<usize>(child) === 0) return;
  exit(child);
  child = changetype<Process>(0);
}

/** Draws of a page until one will do. */
const TRIES: i32 = 32;
const WRITABLE_PAGE: u64 = MAPPED | MAY_WRITE;

/** The program makes some of its pages read-only. Linux: `change_pte_range`, then one flush. */
function protect(): void {
  for (let i = 0; i < TRIES && queuedPages() > 0; ++i) {
    const entry = anyPage();
    const p = processOf(processNumber(entry));
    if (p !== current) continue;
    const first = pageNumber(entry);
    let changed: u32 = 0;
    for (let vpn = first; vpn < first + protectPages; ++vpn) {
      if (hugeStateOf(p.space, vpn) & MAPPED && !splitHuge(p, vpn)) continue;
      const state = stateOf(p.space, vpn);
      if ((state & WRITABLE_PAGE) !== WRITABLE_PAGE) continue;
      const now = (state & ~MAY_WRITE) | PROTECTED;
      const at = findEntry(p, vpn << 12, 1);
      storeEntry(at, 0);
      setState(p.space, vpn, now);
      storeEntry(at, entryOf(now, false));
      ++changed;
    }
    if (changed === 0) continue;
    count(Counter.kernelProtects);
    flushRange(p, first << 12, protectPages, 12);
    return;
  }
}

/** A small page of a program with a frame of its own, or 0. */
function mergeable(): u64 {
  for (let i = 0; i < TRIES && queuedPages() > 0; ++i) {
    const entry = anyPage();
    const p = processOf(processNumber(entry));
    if (changetype<usize>(p) === 0 || isHuge(entry)) continue;
    const state = stateOf(p.space, pageNumber(entry));
    if ((state & (MAPPED | ZERO | OF_FILE | PROTECTED)) === MAPPED && !isShared(frameIn(state), 1))
      return entry;
  }
  return 0;
}

/** Two pages of equal content become one that neither may write. Linux mm/ksm.c: `write_protect_page`, `replace_page`. */
function merge(): void {
  const kept = mergeable();
  const gone = mergeable();
  if (kept === 0 || gone === 0 || kept === gone) return;
  const keeper = processOf(processNumber(kept));
  const loser = processOf(processNumber(gone));
  const keptState = stateOf(keeper.space, pageNumber(kept)) & ~MAY_WRITE;
  const goneState = stateOf(loser.space, pageNumber(gone)) & ~MAY_WRITE;
  count(Counter.kernelMerged);
  replacePage(keeper, pageNumber(kept), keptState);
  replacePage(loser, pageNumber(gone), goneState);
  share(frameIn(keptState), 1);
  replacePage(loser, pageNumber(gone), makeState(frameIn(keptState), MAPPED | (goneState & MAY_FETCH)));
  unshare(frameIn(goneState), 1);
}
