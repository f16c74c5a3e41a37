import { Counter, count } from "../counters";
import { ACCESSED, FRAME, LARGE, PRESENT, WRITABLE } from "../x86/entries";
import { readEntry, storeEntry } from "./direct-map";
import { share, unshare } from "./frames";
import {
  frameIn,
  hugeStateOf,
  MAPPED,
  MAY_WRITE,
  OF_FILE,
  SWAPPED,
  setHugeState,
  setState,
  stateOf,
  ZERO,
} from "./mapping";
import { freeTable, levels, makeEntry } from "./page-tables";
import { createProcess, flushAll, forgetProcess, Process, releaseRoot } from "./process";

/** fork and exit. Linux: mm/memory.c `copy_page_range`, mm/mmap.c `exit_mmap`. */

/** A copy of `parent` that shares its pages until one of them writes; null without memory. */
export function fork(parent: Process): Process {
  const child = createProcess();
  if (changetype<usize>(child) === 0) return child;
  count(Counter.kernelForks);
  copyTable(parent, child, parent.root << 12, levels, 0);
  flushAll(parent);
  return child;
}

/** Entries of a root that are the program's. */
const USER_HALF: u64 = 256;

function copyTable(parent: Process, child: Process, table: u64, level: u32, base: u64): void {
  const n: u64 = level === levels ? USER_HALF : 512;
  const shift = 12 + 9 * (level - 1);
  for (let i: u64 = 0; i < n; ++i) {
    const at = table + (i << 3);
    const entry = readEntry(at);
    if (entry === 0) continue;
    const va = base + (i << shift);
    if (level === 1) copyPageEntry(parent, child, at, entry, va >> 12);
    else if ((entry & (PRESENT | LARGE)) === (PRESENT | LARGE))
      copyHugeEntry(parent, child, at, entry, va >> 12);
    else copyTable(parent, child, entry & FRAME, level - 1, va);
  }
}

/** Linux: `copy_present_pte`. A file's pages come by faults again (`vma_needs_copy`). */
function copyPageEntry(parent: Process, child: Process, at: u64, entry: u64, vpn: u64): void {
  const state = stateOf(parent.space, vpn);
  if (state & OF_FILE) return;
  const to = makeEntry(child, vpn << 12, 1);
  if (to === 0) return;
  if (state & SWAPPED) {
    setState(child.space, vpn, state);
    storeEntry(to, entry);
    return;
  }
  const shared = state & ~MAY_WRITE;
  if (state & MAY_WRITE) {
    setState(parent.space, vpn, shared);
    storeEntry(at, entry & ~WRITABLE);
  }
  setState(child.space, vpn, shared);
  storeEntry(to, entry & ~(WRITABLE | ACCESSED));
  if (state & ZERO) return;
  share(frameIn(state), 1);
}

/** Linux: `copy_huge_pmd`. */
function copyHugeEntry(parent: Process, child: Process, at: u64, entry: u64, vpn: u64): void {
  const state = hugeStateOf(parent.space, vpn);
  const to = makeEntry(child, vpn << 12, 2);
  if (to === 0) return;
  const shared = state & ~MAY_WRITE;
  if (state & MAY_WRITE) {
    setHugeState(parent.space, vpn, shared);
    storeEntry(at, entry & ~WRITABLE);
  }
  setHugeState(child.space, vpn, shared);
  storeEntry(to, entry & ~(WRITABLE | ACCESSED));
  if (state & ZERO) return;
  share(frameIn(state), 512);
}

/** The process, which does not run, ends: its pages and then its tables are free. Linux: `unmap_vmas`, `free_pgtables`. */
export function exit(p: Process): void {
  freeBelow(p, p.root << 12, levels, 0);
  releaseRoot(p);
  forgetProcess(p);
}

function freeBelow(p: Process, table: u64, level: u32, base: u64): void {
  const n: u64 = level === levels ? USER_HALF : 512;
  const shift = 12 + 9 * (level - 1);
  for (let i: u64 = 0; i < n; ++i) {
    const at = table + (i << 3);
    const entry = readEntry(at);
    if (entry === 0) continue;
    const va = base + (i << shift);
    if (level === 1) freePage(p, va >> 12);
    else if ((entry & (PRESENT | LARGE)) === (PRESENT | LARGE)) freeHuge(p, va >> 12);
    else {
      freeBelow(p, entry & FRAME, level - 1, va);
      freeTable((entry & FRAME) >> 12);
    }
    storeEntry(at, 0);
  }
}

function freePage(p: Process, vpn: u64): void {
  const state = stateOf(p.space, vpn);
  setState(p.space, vpn, 0);
  if ((state & (MAPPED | ZERO)) === MAPPED) unshare(frameIn(state), 1);
}

function freeHuge(p: Process, vpn: u64): void {
  const state = hugeStateOf(p.space, vpn);
  setHugeState(p.space, vpn, 0);
  if ((state & (MAPPED | ZERO)) === MAPPED) unshare(frameIn(state), 512);
}
