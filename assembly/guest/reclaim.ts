import { add, Counter } from "../counters";
import { quiet, storeEntry } from "./direct-map";
import { splitHuge } from "./faults";
import { isShared, unshare } from "./frames";
import {
  frameIn,
  hugeStateOf,
  MAPPED,
  MAY_FETCH,
  MAY_WRITE,
  makeState,
  OF_FILE,
  SWAPPED,
  setHugeState,
  setState,
  stateOf,
  ZERO,
} from "./mapping";
import { isHuge, nextPage, pageNumber, processNumber, queuedPages, queuePage } from "./page-queue";
import { findEntry } from "./page-tables";
import { flushAll, Process, processOf } from "./process";

/**
 * Pages are taken back from the programs, the oldest first. Linux looks at accessed flags too; these differ with what a
 * TLB holds, and what the guest does must not.
 */

let enabled = true;
let running = false;
let slots: u64 = 0;

export function configureReclaim(yes: bool): void {
  enabled = yes;
}

/** Takes about `pages` small pages; returns how many. None before the program runs: a page goes by stores and flushes. */
export function reclaim(pages: u32): u32 {
  if (!enabled || running || quiet) return 0;
  running = true;
  let taken: u32 = 0;
  let last = changetype<Process>(0);
  for (let left = queuedPages(); left > 0 && taken < pages; --left) {
    const entry = nextPage();
    const p = processOf(processNumber(entry));
    if (changetype<usize>(p) === 0) continue;
    if (p !== last && changetype<usize>(last) !== 0) flushAll(last);
    last = p;
    taken += isHuge(entry) ? evictHuge(p, pageNumber(entry)) : evict(p, pageNumber(entry));
  }
  /* One flush for the batch, as `try_to_unmap_flush` makes it. */
  if (changetype<usize>(last) !== 0) flushAll(last);
  add(Counter.kernelReclaimed, taken);
  running = false;
  return taken;
}

/** Linux: `try_to_unmap_one`. A file's page is only dropped. */
function evict(p: Process, vpn: u64): u32 {
  const state = stateOf(p.space, vpn);
  if (!(state & MAPPED) || (state & ZERO) !== 0 || isKept(p, vpn, state, 1)) return 0;
  const at = findEntry(p, vpn << 12, 1);
  storeEntry(at, 0);
  if (state & OF_FILE) setState(p.space, vpn, 0);
  else {
    setState(p.space, vpn, makeState(0, SWAPPED | MAY_WRITE | (state & MAY_FETCH)));
    storeEntry(at, swapEntry());
  }
  unshare(frameIn(state), 1);
  return 1;
}

/** A page that other mappings share would not be free without this one: its turn comes again. */
function isKept(p: Process, vpn: u64, state: u64, frames: u32): bool {
  if (!isShared(frameIn(state), frames)) return false;
  queuePage(p.space, vpn, frames !== 1);
  return true;
}

/** An entry that is not present and names a place on the swap device. */
function swapEntry(): u64 {
  return ++slots << 14;
}

/** A huge page is split (TTU_SPLIT_HUGE_PMD), or goes whole where there is no memory for its table. */
function evictHuge(p: Process, first: u64): u32 {
  const state = hugeStateOf(p.space, first);
  if (!(state & MAPPED) || (state & ZERO) !== 0 || isKept(p, first, state, 512)) return 0;
  let taken: u32 = 0;
  if (splitHuge(p, first)) {
    for (let i: u64 = 0; i < 512; ++i) taken += evict(p, first + i);
    return taken;
  }
  storeEntry(findEntry(p, first << 12, 2), 0);
  setHugeState(p.space, first, 0);
  for (let i: u64 = 0; i < 512; ++i)
    setState(p.space, first + i, makeState(0, SWAPPED | MAY_WRITE | (state & MAY_FETCH)));
  unshare(frameIn(state), 512);
  return 512;
}
