import { Counter, count } from "../counters";
import { newMap64 } from "../memory/map64";
import { Parameter, parameter } from "../parameters";
import { forgetFrame, forgetFrames } from "../replay/oracle";
import { invlpg, invpcid, loadCr3, storeTableEntry } from "../technique/technique";
import { CR3_NO_FLUSH } from "../x86/control";
import { allocate, NO_FRAME, release } from "./buddy";
import { clearPage, readEntry, storeEntry, writePage } from "./direct-map";
import { setSpace, spaceBits } from "./mapping";
import { announce, isolated } from "./page-tables";

/** The played processes, whose address space is loaded, and what the kernel flushes of the TLB. */
@unmanaged
export class Process {
  /** Frames of the root of the kernel and, with page-table isolation, of the program. */
  root: u64;
  userRoot: u64;
  /** In the keys of its mappings. */
  space: u64;
  number: u32;
  /** Flushes of its address space so far. Linux: `mm->context.tlb_gen`. */
  generation: u32;
}

const processes = newMap64(1 << 6);
/** By number. */
const byNumber = newMap64(1 << 6);
let made: u32 = 0;
/** Number of the process that ended last, if no other has it. */
let freeNumber: u32 = 0;

export let current: Process = changetype<Process>(0);

/**
 * Linux gives each CPU six PCIDs in turn (arch/x86/mm/tlb.c: TLB_NR_DYN_ASIDS, `choose_new_asid`): a process that
 * still has one, and whose address space was not flushed since, is loaded without a flush.
 */
const ASIDS: u32 = 6;
const asidOwner = new StaticArray<u32>(<i32>ASIDS);
const asidGeneration = new StaticArray<u32>(<i32>ASIDS);
/** The program's PCID of the same number must be flushed before it is used. Linux: `user_pcid_flush_mask`. */
const asidUserFlush = new StaticArray<bool>(<i32>ASIDS);
let nextAsid: u32 = 1;
let asid: u32 = 0;
let pcids = false;

/** Linux: X86_CR3_PTI_PCID_USER_BIT. */
const USER_PCID: u64 = 1 << 11;
/** Entries of a root that map the kernel. */
const KERNEL_HALF: u32 = 256;
/** Root with nothing but the kernel. */
let kernelRoot: u64 = 0;
/** Linux's `tlb_single_page_flush_ceiling`: more pages than these are flushed with all others. */
const MOST_SINGLE_FLUSHES: u32 = 33;

export function configureProcesses(root: u64): void {
  pcids = parameter(Parameter.kernelPcid) !== 0;
  kernelRoot = root;
}

export function processOf(number: u32): Process {
  return changetype<Process>(<usize>byNumber.get(number));
}

/** A new process with nothing but the kernel's half mapped; null without memory. Linux: `pgd_alloc`. */
export function createProcess(): Process {
  const root = allocate(isolated ? 1 : 0);
  if (root === NO_FRAME) return changetype<Process>(0);
  const p = new Process();
  p.number = newNumber();
  p.root = root;
  p.userRoot = isolated ? root + 1 : root;
  p.space = spaceBits(p.number);
  p.generation = 1;
  byNumber.set(p.number, changetype<usize>(p));
  count(Counter.kernelProcesses);
  clearPage(root);
  announce(root);
  if (isolated) {
    clearPage(root + 1);
    announce(root + 1);
  }
  cloneKernelHalf(p);
  return p;
}

/** The root's upper half is the kernel's. With isolation the program's root has the entry code and its data: the last entry. */
function cloneKernelHalf(p: Process): void {
  writePage((p.root << 12) + (KERNEL_HALF << 3), KERNEL_HALF);
  for (let i = KERNEL_HALF; i < 512; ++i) {
    const entry = readEntry((kernelRoot << 12) + (i << 3));
    if (entry === 0) continue;
    storeTableEntry((p.root << 12) + (i << 3), entry);
    if (isolated && i === 511) storeEntry((p.userRoot << 12) + (i << 3), entry);
  }
}

/** The frames of the root are free again; everything below is gone already. */
export function releaseRoot(p: Process): void {
  count(Counter.tablePagesDropped);
  if (isolated) count(Counter.tablePagesDropped);
  release(p.root, isolated ? 1 : 0);
}

/** The process is no more, and its number is free for another. */
export function forgetProcess(p: Process): void {
  for (let i: u32 = 0; i < ASIDS; ++i) if (asidOwner[i] === p.number) asidOwner[i] = 0;
  byNumber.set(p.number, 0);
  freeNumber = p.number;
  heap.free(changetype<usize>(p));
}

/** A number for a new process: that of the one that ended last, so that a fork now and again uses up none. */
function newNumber(): u32 {
  if (freeNumber === 0) return ++made;
  const number = freeNumber;
  freeNumber = 0;
  return number;
}

/** The process that the trace calls `id`, made when it first runs. */
export function processCalled(id: u64): Process {
  const found = processes.get(id);
  if (found !== 0) return changetype<Process>(<usize>found);
  const p = createProcess();
  if (changetype<usize>(p) !== 0) processes.set(id, changetype<usize>(p));
  return p;
}

function writeCr3(root: u64, pcid: u64, flush: bool): void {
  count(Counter.cr3Loads);
  if (pcids && !flush) count(Counter.cr3NoFlush);
  loadCr3((root << 12) | (pcids ? pcid : 0) | (pcids && !flush ? CR3_NO_FLUSH : 0));
}

/** Loads the address space of `p`, on the kernel's root. Linux: `switch_mm_irqs_off`. */
export function loadProcess(p: Process): void {
  current = p;
  setSpace(p.number);
  forgetFrames();
  let flush = true;
  if (pcids) {
    let found = ASIDS;
    for (let i: u32 = 0; i < ASIDS; ++i) if (asidOwner[i] === p.number) found = i;
    if (found === ASIDS) {
      asid = nextAsid;
      nextAsid = (nextAsid + 1) % ASIDS;
    } else {
      asid = found;
      flush = asidGeneration[found] < p.generation;
    }
    asidOwner[asid] = p.number;
  }
  asidGeneration[asid] = p.generation;
  if (flush) asidUserFlush[asid] = true;
  writeCr3(p.root, asid + 1, flush);
}

/** The CPU enters the kernel, or goes back to the program: with isolation on another root. */
export function enterKernelRoot(): void {
  if (isolated) writeCr3(current.root, asid + 1, false);
}
export function leaveKernelRoot(): void {
  if (!isolated) return;
  writeCr3(current.userRoot, USER_PCID | (asid + 1), asidUserFlush[asid]);
  asidUserFlush[asid] = false;
}

/** One page of the process that runs is flushed. Linux: `flush_tlb_one_user`. */
function flushOne(va: u64): void {
  count(Counter.guestInvlpg);
  invlpg(va);
  if (!isolated || !pcids) return;
  count(Counter.guestInvpcid);
  invpcid(0, <u32>USER_PCID | (asid + 1), va);
}

/** Flushes `pages` pages from `va` on, or all when they are many. Linux: `flush_tlb_mm_range`. */
export function flushRange(p: Process, va: u64, pages: u32, shift: u32): void {
  ++p.generation;
  for (let i: u32 = 0; i < min(pages, MOST_SINGLE_FLUSHES + 1); ++i) forgetFrame((va >> 12) + i);
  if (pages > MOST_SINGLE_FLUSHES || shift > 12) forgetFrames();
  if (p !== current) return;
  if (pages > MOST_SINGLE_FLUSHES) {
    flushAll(p);
    return;
  }
  for (let i: u32 = 0; i < pages; ++i) flushOne(va + ((<u64>i) << shift));
  asidGeneration[asid] = p.generation;
}

/** Flushes the whole address space. Linux: `flush_tlb_mm`, `flush_tlb_local`. */
export function flushAll(p: Process): void {
  ++p.generation;
  forgetFrames();
  if (p !== current) return;
  asidGeneration[asid] = p.generation;
  asidUserFlush[asid] = true;
  writeCr3(p.root, asid + 1, true);
}
