import { kindOf, offsetOf, PageKind } from "../memory/ranges";
import { combineTypes, MemoryType } from "../mmu/memory-type";
import { context, globalContext } from "../mmu/tags";
import { entryType, l1d, l1i, l1s, l2, l2i } from "../mmu/tlb";
import { usable } from "../replay/access";
import { registers } from "../vcpu/registers";
import { FETCH, MODE_IMPLICIT, MODE_USER, READ, WRITE } from "../x86/access";
import { CR0_CD } from "../x86/control";
import { modeOf } from "../x86/rights";
import { Cell, cell } from "./block";

/** What a host wants to know of the translation just answered beyond its address. */

/** Rights that a host may keep with a translation, as they are now: a write only while the leaf is dirty. */
export enum Right {
  userRead = 1,
  userWrite = 2,
  userFetch = 4,
  /** By instructions of the supervisor, with EFLAGS.AC as it is. */
  read = 8,
  write = 16,
  fetch = 32,
  /** By the CPU itself. */
  implicitRead = 64,
  implicitWrite = 128,
}

function right(kind: u32, mode: u32, bit: u32): u32 {
  return usable(cell(Cell.entry), kind, mode) ? bit : 0;
}

/** `Right` bits of the translation just answered. */
export function embedRights(): u32 {
  const supervisor = modeOf(0, registers.ac);
  return (
    right(READ, MODE_USER, Right.userRead) |
    right(WRITE, MODE_USER, Right.userWrite) |
    right(FETCH, MODE_USER, Right.userFetch) |
    right(READ, supervisor, Right.read) |
    right(WRITE, supervisor, Right.write) |
    right(FETCH, supervisor, Right.fetch) |
    right(READ, MODE_IMPLICIT, Right.implicitRead) |
    right(WRITE, MODE_IMPLICIT, Right.implicitWrite)
  );
}

/** What answers at the physical address just answered. */
export function embedKind(): PageKind {
  return kindOf(cell(Cell.hostPhysical));
}

/** Place in linear memory of the physical address just answered, or all ones where no range holds it. */
export function embedOffset(): u32 {
  return offsetOf(cell(Cell.hostPhysical));
}

/**
 * Memory type of the translation just answered (SDM 3A 12.12, 3C 29.3.7.2). Without EPT the MTRRs are taken to say
 * write-back for RAM and ROM, uncacheable for the rest.
 */
export function embedMemoryType(): u32 {
  if ((registers.cr0 & CR0_CD) !== 0) return MemoryType.uncacheable;
  const type = entryType(cell(Cell.entry));
  if (combined) return type;
  const kind = embedKind();
  const range =
    kind === PageKind.ram || kind === PageKind.rom ? MemoryType.writeBack : MemoryType.uncacheable;
  return combineTypes(range, type);
}

/** EPT has taken the place of the MTRRs already. */
let combined = false;
export function typesCombined(yes: bool): void {
  combined = yes;
}

/** Offsets in the description of one TLB array, u32 each (mmu/array.ts). */
export enum TlbArray {
  /** Address of the first set. */
  sets = 0,
  setMask = 4,
  setBits = 8,
  /** Bytes of a set: three columns, of tags, of entries and of ages. */
  setBytes = 12,
  ways = 16,
  /** Bytes of a column: an entry is so far behind its tag. */
  column = 20,
  /** Bits that the index is hashed by, 0 for a plain index. */
  hash = 28,
}

/** Levels of TLB. */
export enum TlbLevelName {
  l1d,
  l1i,
  l2,
  l2i,
  /** Of stores, where they have their own. */
  l1s,
}

/** Address of the description of the `i`th array of a level of TLB, or 0. */
export function embedTlbArray(level: TlbLevelName, i: u32): usize {
  let its = l1d;
  if (level === TlbLevelName.l1i) its = l1i;
  else if (level === TlbLevelName.l2) its = l2;
  else if (level === TlbLevelName.l2i) its = l2i;
  else if (level === TlbLevelName.l1s) its = l1s;
  return i < its.length ? changetype<usize>(its.array(i)) : 0;
}

/** Context that tags what is cached now; `global`: of global pages. */
export function embedContext(global: bool): u32 {
  return global ? globalContext : context;
}
