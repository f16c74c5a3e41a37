import { stallGuest } from "../clock";
import { Counter, count } from "../counters";
import { Parameter, parameter } from "../parameters";
import { forgetFrame, forgetFrames } from "../replay/oracle";
import { FETCH, WRITE } from "../x86/access";
import { ACCESSED, DIRTY, LARGE, NO_EXECUTE, PRESENT, USER_PAGE, WRITABLE } from "../x86/entries";
import { NO_FRAME } from "./buddy";
import { clearPage, copyPage, readEntry, storeEntry } from "./direct-map";
import { allocateFrame, allocateHuge, allocatePage, isShared, unshare } from "./frames";

import {
  frameIn,
  hugeStateOf,
  MAPPED,
  MAY_FETCH,
  MAY_WRITE,
  makeState,
  OF_FILE,
  PROTECTED,
  SWAPPED,
  setHugeState,
  setState,
  stateOf,
  ZERO,
} from "./mapping";
import { queuePage } from "./page-queue";
import { linkTable, makeEntry, newTable } from "./page-tables";
import { hasHugeZeroPage, wantsHuge } from "./policy";
import { flushRange, Process } from "./process";

/** Page faults of a program, as Linux's mm/memory.c and mm/huge_memory.c handle those of private memory. */

let usesZeroPage = true;
let faultAround: u64 = 1;
let swapCycles: u32 = 0;
/** Frames are the page numbers: addresses of the trace are guest-physical. */
let identity = false;
/** The frame of zeros that reads of untouched memory map, and the huge one, made when it is first needed. */
let zeroFrame: u64 = NO_FRAME;
let hugeZeroFrame: u64 = NO_FRAME;
/** No page of a program. */
const NO_PAGE: u64 = u64.MAX_VALUE;

export function configureFaults(zero: u64, physical: bool): void {
  usesZeroPage = parameter(Parameter.kernelZeroPage) !== 0;
  faultAround = (<u64>1) << (31 - clz(parameter(Parameter.kernelFaultAround) | 1));
  swapCycles = parameter(Parameter.kernelSwapCycles);
  identity = physical;
  zeroFrame = zero;
  hugeZeroFrame = NO_FRAME;
}

/** The entry of a page of the program with this state. Linux: `vm_get_page_prot`, `pte_mkyoung`, `pte_mkdirty`. */
export function entryOf(state: u64, large: bool): u64 {
  let entry = (frameIn(state) << 12) | PRESENT | USER_PAGE | ACCESSED;
  if (state & MAY_WRITE) entry |= WRITABLE | DIRTY;
  if (!(state & MAY_FETCH)) entry |= NO_EXECUTE;
  return large ? entry | LARGE : entry;
}

/** Handles the fault of an access to page `vpn`; false if the kernel knows of no reason for it, or has no memory left. */
export function handleFault(p: Process, vpn: u64, kind: u32): bool {
  const huge = hugeStateOf(p.space, vpn);
  if (huge & MAPPED) return changeHuge(p, vpn, huge, kind);
  const state = stateOf(p.space, vpn);
  if (state & MAPPED) return changePage(p, vpn, state, kind);
  if (state & SWAPPED) return swapIn(p, vpn, state);
  const entry = makeEntry(p, vpn << 12, 2);
  if (entry === 0) return false;
  if (readEntry(entry) === 0 && wantsHuge(vpn, kind === FETCH) && mapHuge(p, vpn, entry, kind)) return true;
  if (kind === FETCH) return mapFile(p, vpn);
  return mapAnonymous(p, vpn, kind);
}

/** Maps a page as if the program had written it before, unless it is mapped. Linux: `populate_vma_page_range`. */
export function populatePage(p: Process, vpn: u64): void {
  if (((stateOf(p.space, vpn) | hugeStateOf(p.space, vpn)) & MAPPED) !== 0) return;
  const entry = makeEntry(p, vpn << 12, 2);
  if (entry === 0) return;
  if (wantsHuge(vpn, false) && readEntry(entry) === 0) {
    const frame = identity ? vpn & ~511 : allocateHuge(vpn & ~511);
    if (frame !== NO_FRAME) {
      count(Counter.kernelPages2m);
      queuePage(p.space, vpn & ~511, true);
      setHugeState(p.space, vpn, makeState(frame, MAPPED | MAY_WRITE | MAY_FETCH));
      storeEntry(entry, entryOf(hugeStateOf(p.space, vpn), true));
      return;
    }
    count(Counter.kernelHugeFallbacks);
  }
  const frame = identity ? vpn : allocatePage(vpn);
  if (frame !== NO_FRAME) newPage(p, vpn, frame, MAY_WRITE | MAY_FETCH);
}

/** Maps a page with a new entry. */
function mapPage(p: Process, vpn: u64, state: u64): bool {
  const at = makeEntry(p, vpn << 12, 1);
  if (at === 0) return false;
  setState(p.space, vpn, state);
  forgetFrame(vpn);
  storeEntry(at, entryOf(state, false));
  return true;
}

function newPage(p: Process, vpn: u64, frame: u64, flags: u64): bool {
  count(Counter.kernelPages4k);
  queuePage(p.space, vpn, false);
  return mapPage(p, vpn, makeState(frame, MAPPED | flags));
}

/** Linux: `do_anonymous_page`. A page that is read first may be code's constants, so nothing says that it is never executed. */
function mapAnonymous(p: Process, vpn: u64, kind: u32): bool {
  if (kind !== WRITE && usesZeroPage) {
    count(Counter.kernelZeroPages);
    return mapPage(p, vpn, makeState(zeroFrame, MAPPED | ZERO | MAY_FETCH));
  }
  /* The table comes before the page. */
  if (makeEntry(p, vpn << 12, 1) === 0) return false;
  const frame = allocatePage(vpn);
  if (frame === NO_FRAME) return false;
  clearPage(frame);
  return newPage(p, vpn, frame, kind === WRITE ? MAY_WRITE : MAY_WRITE | MAY_FETCH);
}

/** Code is a page of a file, and with it come its neighbours of the page cache. Linux: `do_fault_around`, `filemap_map_pages`. */
function mapFile(p: Process, vpn: u64): bool {
  const first = vpn & ~(faultAround - 1);
  for (let page = first; page < first + faultAround; ++page) {
    if (page !== vpn && (stateOf(p.space, page) & (MAPPED | SWAPPED)) !== 0) continue;
    const frame = allocatePage(page);
    if (frame === NO_FRAME || !newPage(p, page, frame, MAY_FETCH | OF_FILE)) return false;
  }
  return true;
}

/** Maps the 2 MiB around a page, if there are frames for it. Linux: `do_huge_pmd_anonymous_page`. */
function mapHuge(p: Process, vpn: u64, at: u64, kind: u32): bool {
  const first = vpn & ~511;
  let state: u64 = 0;
  if (kind !== WRITE && usesZeroPage && hasHugeZeroPage()) {
    if (hugeZeroFrame === NO_FRAME) hugeZeroFrame = clearedHuge(NO_PAGE);
    if (hugeZeroFrame === NO_FRAME) return false;
    state = makeState(hugeZeroFrame, MAPPED | ZERO | MAY_FETCH);
    count(Counter.kernelZeroPages);
  } else {
    const frame = clearedHuge(vpn & ~511);
    if (frame === NO_FRAME) {
      count(Counter.kernelHugeFallbacks);
      return false;
    }
    state = makeState(frame, MAPPED | MAY_WRITE | (kind === WRITE ? 0 : MAY_FETCH));
  }
  if (!(state & ZERO)) {
    count(Counter.kernelPages2m);
    queuePage(p.space, first, true);
  }
  setHugeState(p.space, vpn, state);
  forgetFrames();
  storeEntry(at, entryOf(state, true));
  return true;
}

function clearedHuge(vpn: u64): u64 {
  const frame = allocateHuge(vpn);
  if (frame !== NO_FRAME) for (let i: u64 = 0; i < 512; ++i) clearPage(frame + i);
  return frame;
}

/** A page that is there does not allow the access. */
function changePage(p: Process, vpn: u64, state: u64, kind: u32): bool {
  if (kind === WRITE && !(state & MAY_WRITE)) return writeProtected(p, vpn, state);
  if (kind === FETCH && !(state & MAY_FETCH)) {
    /* The trace executes what was data before: the program has made it executable. */
    count(Counter.kernelProtects);
    replacePage(p, vpn, state | MAY_FETCH);
    return true;
  }
  return false;
}

/** Gives a page that is mapped other rights. Linux: `change_pte_range`, which takes the entry away while it changes it. */
export function replacePage(p: Process, vpn: u64, state: u64): void {
  const at = makeEntry(p, vpn << 12, 1);
  const flags = readEntry(at) & (ACCESSED | DIRTY);
  storeEntry(at, 0);
  setState(p.space, vpn, state);
  storeEntry(at, (entryOf(state, false) & ~(ACCESSED | DIRTY)) | flags);
  flushRange(p, vpn << 12, 1, 12);
}

/** Linux: `do_wp_page`: a page nobody else maps becomes writable, any other is copied. */
function writeProtected(p: Process, vpn: u64, state: u64): bool {
  if (state & PROTECTED) {
    /* The program's own handler takes the protection off again. */
    count(Counter.kernelProtects);
    replacePage(p, vpn, (state & ~PROTECTED) | (isOwn(state) ? MAY_WRITE : 0));
    if (isOwn(state)) return true;
    state &= ~PROTECTED;
  }
  const at = makeEntry(p, vpn << 12, 1);
  if (isOwn(state)) {
    count(Counter.kernelReuses);
    setState(p.space, vpn, state | MAY_WRITE);
    storeEntry(at, readEntry(at) | WRITABLE | DIRTY | ACCESSED);
    return true;
  }
  const frame = state & ZERO ? allocatePage(vpn) : allocateFrame();
  if (frame === NO_FRAME) return false;
  const old = frameIn(state);
  if (state & ZERO) clearPage(frame);
  else copyPage(frame, old);
  count(Counter.kernelCopies);
  if (state & ZERO) {
    count(Counter.kernelPages4k);
    queuePage(p.space, vpn, false);
  }
  const fresh = makeState(frame, MAPPED | MAY_WRITE | (state & MAY_FETCH));
  /* `wp_page_copy`: the old mapping is gone from the TLB before the new one is there. */
  storeEntry(at, 0);
  flushRange(p, vpn << 12, 1, 12);
  setState(p.space, vpn, fresh);
  storeEntry(at, entryOf(fresh, false));
  if (!(state & ZERO)) unshare(old, 1);
  return true;
}

/** Whether nothing but this mapping has the frame. A file's page stays in the page cache. */
function isOwn(state: u64): bool {
  return (state & (ZERO | OF_FILE)) === 0 && !isShared(frameIn(state), 1);
}

/** Linux: `do_swap_page`. The device writes the frame, not the CPU. */
function swapIn(p: Process, vpn: u64, state: u64): bool {
  if (makeEntry(p, vpn << 12, 1) === 0) return false;
  const frame = allocateFrame();
  if (frame === NO_FRAME) return false;
  count(Counter.kernelSwapIns);
  stallGuest(swapCycles);
  return newPage(p, vpn, frame, state & (MAY_FETCH | MAY_WRITE));
}

/** A huge page does not allow the access. Linux: `do_huge_pmd_wp_page`. */
function changeHuge(p: Process, vpn: u64, state: u64, kind: u32): bool {
  const at = makeEntry(p, vpn << 12, 2);
  if (kind === FETCH && !(state & MAY_FETCH)) {
    count(Counter.kernelProtects);
    replaceHuge(p, vpn, at, state | MAY_FETCH);
    return true;
  }
  if (kind !== WRITE || (state & MAY_WRITE) !== 0) return false;
  if (state & ZERO) {
    const frame = clearedHuge(vpn & ~511);
    if (frame !== NO_FRAME) {
      count(Counter.kernelPages2m);
      queuePage(p.space, vpn & ~511, true);
      replaceHuge(p, vpn, at, makeState(frame, MAPPED | MAY_WRITE | MAY_FETCH));
      return true;
    }
    count(Counter.kernelHugeFallbacks);
  } else if (!isShared(frameIn(state), 512)) {
    count(Counter.kernelReuses);
    setHugeState(p.space, vpn, state | MAY_WRITE);
    storeEntry(at, readEntry(at) | WRITABLE | DIRTY | ACCESSED);
    return true;
  }
  if (!splitHuge(p, vpn)) return false;
  return writeProtected(p, vpn, stateOf(p.space, vpn));
}

function replaceHuge(p: Process, vpn: u64, at: u64, state: u64): void {
  storeEntry(at, 0);
  flushRange(p, (vpn & ~511) << 12, 1, 21);
  setHugeState(p.space, vpn, state);
  storeEntry(at, entryOf(state, true));
}

/**
 * A huge page is mapped by its small pages from now on: a table is filled, the huge entry is made not present and flushed,
 * and the table takes its place. Linux: `__split_huge_pmd_locked`.
 */
export function splitHuge(p: Process, vpn: u64): bool {
  const state = hugeStateOf(p.space, vpn);
  const at = makeEntry(p, vpn << 12, 2);
  const table = newTable();
  if (table === NO_FRAME) return false;
  count(Counter.kernelSplits);
  const first = vpn & ~511;
  const old = readEntry(at);
  storeEntry(at, old & ~PRESENT);
  flushRange(p, first << 12, 1, 21);
  setHugeState(p.space, vpn, 0);
  const frame = frameIn(state);
  for (let i: u64 = 0; i < 512; ++i) {
    const small = makeState(state & ZERO ? zeroFrame : frame + i, state & 0xff);
    setState(p.space, first + i, small);
    storeEntry((table << 12) + (i << 3), (entryOf(small, false) & ~DIRTY) | (old & DIRTY));
    if (!(state & ZERO)) queuePage(p.space, first + i, false);
  }
  linkTable(p, at, 2, table);
  return true;
}
