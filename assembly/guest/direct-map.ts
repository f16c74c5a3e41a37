import { issueAccess } from "../clock";
import { add, Counter, count } from "../counters";
import { guestFrameOf, hostAddressOf } from "../hypervisor/backing";
import { findPage, read64 } from "../memory/physical";
import { Parameter, parameter } from "../parameters";
import { accessedAddress, accessSlow, hitsAgain, repeatHits, wasEmulated } from "../replay/access";
import { checkFrame, foldDigest } from "../replay/oracle";
import { setTablePage, storeTableEntry } from "../technique/technique";
import { MODE_SUPERVISOR, READ, WRITE } from "../x86/access";
import { ACCESSED, DIRTY } from "../x86/entries";
import { Outcome } from "../x86/fault";

/**
 * What the stand-in kernel reads and writes, through its direct map of guest RAM: ordinary accesses of the supervisor,
 * which the machine translates and the hypervisor may trap.
 */

/** Linux's `page_offset_base` with 4 and with 5 levels (Documentation/arch/x86/x86_64/mm.rst). */
const BASE_4: u64 = 0xffff_8880_0000_0000;
const BASE_5: u64 = 0xff11_0000_0000_0000;
let base: u64 = BASE_4;
/** Bytes that one store of a page being cleared or copied takes. */
let stride: u32 = 64;
/** Record of the trace that the kernel runs for. */
let event: u64 = 0;

/** What the kernel does now is done before the program runs: it costs nothing and is no access. */
export let quiet: bool = false;

export function setQuiet(yes: bool): void {
  quiet = yes;
}

export function setEvent(number: u64): void {
  event = number;
}

export function configureDirectMap(): void {
  base = parameter(Parameter.kernelLevels) === 5 ? BASE_5 : BASE_4;
  stride = 1 << (31 - clz(parameter(Parameter.kernelClearBytes) | 1));
}

export function directAddress(gpa: u64): u64 {
  return base + gpa;
}

/** One access of the kernel. */
function access(gpa: u64, kind: u32): void {
  if (quiet) return;
  issueAccess();
  count(Counter.kernelAccesses);
  const outcome = accessSlow(base + gpa, kind, MODE_SUPERVISOR);
  let found = u64.MAX_VALUE;
  if (outcome === Outcome.ok)
    found = wasEmulated ? accessedAddress >> 12 : guestFrameOf(accessedAddress >> 12);
  checkFrame(event, base + gpa, gpa >> 12, found, kind);
}

/** The access just made to the page of `gpa` is made `n` more times. */
function repeat(gpa: u64, kind: u32, n: u32): void {
  if (hitsAgain(base + gpa, kind)) {
    repeatHits(base + gpa, kind, n);
    add(Counter.kernelAccesses, n);
  } else {
    for (let i: u32 = 0; i < n; ++i) access(gpa, kind);
  }
}

/**
 * A store into a page table. What the hypervisor set of accessed and dirty flags differs from machine to machine, and
 * is no part of what the guest sees.
 */
export function storeEntry(gpa: u64, value: u64): void {
  access(gpa, WRITE);
  if (!quiet) count(Counter.tableWrites);
  foldDigest(gpa);
  foldDigest(value & ~(ACCESSED | DIRTY));
  storeTableEntry(gpa, value);
}

export function readEntry(gpa: u64): u64 {
  return read64(hostAddressOf(gpa));
}

/**
 * Fills the page with zeros (arch/x86/lib/clear_page_64.S). While the hypervisor makes the stores itself, as the page was
 * a table that is still shadowed, each is of 8 bytes and has its own exit.
 */
export function clearPage(gfn: u64): void {
  foldDigest(gfn);
  if (quiet) setTablePage(gfn, zeros);
  else fillPage(gfn << 12, true);
}
const zeros = memory.data(4096, 16);

/** Copies a page (arch/x86/lib/copy_page_64.S). */
export function copyPage(to: u64, from: u64): void {
  foldDigest(to);
  foldDigest(from);
  const n = 4096 / stride;
  access(from << 12, READ);
  repeat(from << 12, READ, n - 1);
  fillPage(to << 12, false);
}

function fillPage(gpa: u64, clears: bool): void {
  let at: u32 = 0;
  while (at < 4096) {
    access(gpa + at, WRITE);
    if (!wasEmulated) {
      const n = (4096 - at) / stride;
      if (n > 1) repeat(gpa + at, WRITE, n - 1);
      break;
    }
    if (clears) storeTableEntry(gpa + at, 0);
    at += 8;
  }
  if (clears && at < 4096) zero(gpa + at);
}

/** The content from `gpa` to the end of its page, as far as the model holds it: the frame may have been a table. */
function zero(gpa: u64): void {
  const end = (gpa | 0xfff) + 1;
  if (findPage(hostAddressOf(gpa) >> 12) === 0) return;
  for (let at = gpa; at < end; at += 8) if (readEntry(at) !== 0) storeTableEntry(at, 0);
}

/** Stores of a page that is no table yet, such as the kernel half of a new root, in one go. */
export function writePage(gpa: u64, n: u32): void {
  access(gpa, WRITE);
  if (n > 1 && !quiet) repeat(gpa, WRITE, n - 1);
}
