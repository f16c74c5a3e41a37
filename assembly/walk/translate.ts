import { Counter, count } from "../counters";
import { noteFirstStage, recording } from "../explain/log";
import { noteRefusal } from "../explain/walk-notes";
import { hosted } from "../memory/ranges";
import { combinePats, combineTypes, patType } from "../mmu/memory-type";
import {
  TLB_D,
  TLB_FRAME,
  TLB_G,
  TLB_KEY_SHIFT,
  TLB_R2,
  TLB_SHADOW_STACK,
  TLB_SIZE_SHIFT,
  TLB_STAGE1_SHIFT,
  TLB_TYPE_SHIFT,
  TLB_U,
  TLB_W,
  TLB_W2,
  TLB_X,
} from "../mmu/tlb";
import { FETCH, KIND, SHADOW_STACK, USER, WRITE } from "../x86/access";
import { CR4_CET, CR4_PAE, CR4_PKE, CR4_PKS, CR4_SMEP, EFER_NXE } from "../x86/control";
import { DIRTY, EPT_READ, EPT_WRITE, GLOBAL, KEY_SHIFT, SIZE_4M, sizeShift, WRITABLE } from "../x86/entries";
import {
  fault,
  Outcome,
  PF_FETCH,
  PF_KEY,
  PF_PRESENT,
  PF_RESERVED,
  PF_SHADOW_STACK,
  PF_USER,
  PF_WRITE,
} from "../x86/fault";
import { Format, isCanonical, KIND_EPT } from "../x86/format";
import { Refusal } from "../x86/refusal";
import {
  keyRefuses,
  modeOf,
  RIGHT_EXECUTE,
  RIGHT_USER,
  RIGHT_WRITE,
  refusalOf,
  shadowStackAllows,
} from "../x86/rights";
import { Dimension, SECOND_NESTED } from "./dimension";
import {
  executable,
  forbidsFlags,
  host,
  NEED_EXECUTE,
  NEED_READ,
  NEED_WRITE,
  secondAddress,
  secondDirty,
  secondRights,
  secondSize,
  secondType,
  stage1,
  translateSecond,
} from "./second";
import { Found, fillPsc, reservedRefusal, setFlags, stopped, Walker, walk, walker } from "./walk";

/** The registers that decide about rights, as whoever walks sees them. */
export class Controls {
  cr0: u64 = 0;
  cr4: u64 = 0;
  efer: u64 = 0;
  pkru: u32 = 0;
  pkrs: u32 = 0;
  ac: bool = false;
}

/** Result of the last stage-1 translation. */
class Translated {
  /** Address in the space that stage 1 translates to. */
  address: u64 = 0;
  /** RIGHT_* of the page. */
  rights: u32 = 0;
  /** Coded page size; a page under paging off counts as 1 GiB. */
  size: u32 = 0;
  key: u32 = 0;
  global: bool = false;
  dirty: bool = false;
  shadowStack: bool = false;
}
export const translated = new Translated();

/** Result of the last whole translation: what a TLB entry would hold. */
class Composed {
  address: u64 = 0;
  data: u64 = 0;
  size: u32 = 0;
}
export const composed = new Composed();

/** RIGHT_* of the accumulated bits of an ordinary format. Without NXE every page is executable. */
export function rightsOf(format: Format, bits: u64): u32 {
  const execute: u32 = format.invert !== 0 ? (<u32>(bits >> 63)) << 2 : RIGHT_EXECUTE;
  return (<u32>(bits >> 1) & 3) | execute;
}

/** #PF error code. SDM 3A 4.7: I/D is reported only where a fetch can be refused for its kind. */
function errorCode(access: u32, controls: Controls, cause: u64): u64 {
  let code = cause;
  const kind = access & KIND;
  if (kind === WRITE) code |= PF_WRITE;
  if (access & USER) code |= PF_USER;
  const noExecute = (controls.efer & EFER_NXE) !== 0 && (controls.cr4 & CR4_PAE) !== 0;
  if (kind === FETCH && (noExecute || (controls.cr4 & CR4_SMEP) !== 0)) code |= PF_FETCH;
  if (access & SHADOW_STACK) code |= PF_SHADOW_STACK;
  return code;
}

/** Makes `fault` a page fault of the access. */
export function pageFault(address: u64, access: u32, controls: Controls, cause: u64): Outcome {
  fault.address = address;
  fault.errorCode = errorCode(access, controls, cause);
  return Outcome.pageFault;
}

/**
 * Stage 1: `address` through the tables of `d`, in the order of SDM 3A 4.7 and paging.md §1.1: canonical, present,
 * reserved, rights, accessed and dirty flags. Leaves `translated`; fills `fault` when refused.
 */
export function translateFirst(d: Dimension, controls: Controls, address: u64, access: u32): Outcome {
  const format = d.format;
  if (!isCanonical(address, format)) {
    if (recording) noteRefusal(d, Refusal.canonical);
    return Outcome.generalProtection;
  }
  stage1.address = address;
  stage1.rights = 0;
  d.write = (access & KIND) === WRITE;
  stage1.shadowStack = (access & SHADOW_STACK) !== 0;
  let outcome = attempt(d, controls, address, access, true);
  /* A flag must be set below a cached entry whose table is read-only in the second stage: the walk starts over. */
  if (outcome === RESTART) outcome = attempt(d, controls, address, access, false);
  return outcome;
}

/** Not an outcome: the walk has to be made again from the root. */
const RESTART: Outcome = <Outcome>99;

function attempt(d: Dimension, controls: Controls, address: u64, access: u32, useCache: bool): Outcome {
  const format = d.format;
  const found = walk(d, address, useCache);
  if (found === Found.stopped) return stopped;
  if (found === Found.notPresent) {
    if (recording) noteRefusal(d, Refusal.notPresent);
    return pageFault(address, access, controls, 0);
  }
  if (found === Found.reserved) {
    if (recording) noteRefusal(d, reservedRefusal(d));
    return pageFault(address, access, controls, PF_PRESENT | PF_RESERVED);
  }
  translated.address = d.result;
  if (d.level === 0) {
    translated.rights = RIGHT_WRITE | RIGHT_USER | RIGHT_EXECUTE;
    translated.size = 2;
    translated.key = 0;
    translated.global = false;
    translated.dirty = true;
    translated.shadowStack = false;
    stage1.rights = RIGHT_WRITE | RIGHT_USER | RIGHT_EXECUTE;
    return Outcome.ok;
  }
  const rights = rightsOf(format, d.rights);
  const userPage = (rights & RIGHT_USER) !== 0;
  const key = format.levels >= 4 ? <u32>(d.leaf >> KEY_SHIFT) & 15 : 0;
  const shadowStackPage =
    (controls.cr4 & CR4_CET) !== 0 &&
    (d.rightsAbove[d.level] & WRITABLE) !== 0 &&
    (d.leaf & (WRITABLE | DIRTY)) === DIRTY;
  let cause: u64 = 0;
  if (format.levels >= 4 && (controls.cr4 & (CR4_PKE | CR4_PKS)) !== 0) {
    if (keyRefuses(userPage, key, access, controls.cr0, controls.cr4, controls.pkru, controls.pkrs))
      cause = PF_PRESENT | PF_KEY;
  }
  let refusal = Refusal.none;
  if (!(access & SHADOW_STACK))
    refusal = refusalOf(rights, access & KIND, modeOf(access, controls.ac), controls.cr0, controls.cr4);
  else if (!shadowStackAllows(rights, shadowStackPage, access)) refusal = Refusal.shadowStack;
  if (refusal !== Refusal.none) cause |= PF_PRESENT;
  if (cause !== 0) {
    if (recording) noteRefusal(d, refusal !== Refusal.none ? refusal : Refusal.key);
    return pageFault(address, access, controls, cause);
  }

  stage1.rights = rights;
  const write = (access & KIND) === WRITE && !(access & SHADOW_STACK);
  if (walker !== Walker.probe) {
    const outcome = updateFlags(d, write);
    if (outcome !== Outcome.ok) return outcome;
    fillPsc(d, address);
  }
  translated.rights = rights;
  translated.size = format.indexBits === 10 && d.level === 2 ? SIZE_4M : d.level - 1;
  translated.key = key;
  translated.global = (d.leaf & GLOBAL) !== 0;
  translated.dirty = d.leafDirty || write;
  translated.shadowStack = shadowStackPage;
  return Outcome.ok;
}

/**
 * Accessed flags of every entry used, the dirty flag of the leaf for a write; an entry that has them is not written.
 * SDM 3A 4.8. Under EPT the table's page must be writable (3C 29.3.5).
 */
function updateFlags(d: Dimension, write: bool): Outcome {
  const format = d.format;
  if (format.accessed === 0) return Outcome.ok;
  for (let level = d.top; level >= d.level; --level) {
    const flags = level === d.level && write ? format.accessed | format.dirty : format.accessed;
    const missing = flags & ~d.entries[level];
    if (missing === 0 || (format.plainTop && level === 3)) continue;
    if (forbidsFlags(d, level)) {
      if (recording) noteRefusal(d, Refusal.flags);
      return d.cached && level === d.top ? RESTART : Outcome.eptViolation;
    }
    if (!setFlags(d, level, flags)) return Outcome.contended;
    if (walker === Walker.hardware) {
      if (missing & format.accessed) count(Counter.accessedSet);
      if (missing & format.dirty) count(Counter.dirtySet);
    }
  }
  return Outcome.ok;
}

/**
 * A whole translation: stage 1, then the second stage of the address it gives. Leaves `composed`, what a TLB
 * entry holds of it; the entry's size is the smaller of the two (fractured pages keep the stage-1 size beside).
 */
export function translate(d: Dimension, controls: Controls, address: u64, access: u32): Outcome {
  let outcome = translateOnce(d, controls, address, access);
  for (let i = 0; outcome === Outcome.contended && i < MOST_RACES; ++i)
    outcome = translateOnce(d, controls, address, access);
  return outcome;
}

/** A walk whose entry changes before its flag is set starts over; a host may go on changing it. */
const MOST_RACES: i32 = 16;

/** The guest's type with the second stage's. SDM 3C 29.3.7.2; APM 2 15.25.8. */
function combinedType(its: u32): u32 {
  if (host.format.kind !== KIND_EPT) return combinePats(secondType, its);
  return secondType & 8 ? secondType & 7 : combineTypes(secondType, its);
}

function translateOnce(d: Dimension, controls: Controls, address: u64, access: u32): Outcome {
  const first = translateFirst(d, controls, address, access);
  if (first !== Outcome.ok) return first;
  const t = translated;
  if (recording) noteFirstStage(t.address);
  let hpa = t.address;
  let size = t.size;
  let data: u64 = (t.rights & RIGHT_WRITE ? TLB_W : 0) | (t.rights & RIGHT_USER ? TLB_U : 0);
  let execute = (t.rights & RIGHT_EXECUTE) !== 0;
  let dirty = t.dirty;
  let type: u32 = 0;
  if (hosted) type = patType(d.leaf, d.level);
  if (d.second === SECOND_NESTED) {
    const kind = access & KIND;
    const need = kind === WRITE ? NEED_WRITE : kind === FETCH ? NEED_EXECUTE : NEED_READ;
    const second = translateSecond(t.address, need, 0);
    if (second !== Outcome.ok) return second;
    hpa = secondAddress;
    if (sizeShift(secondSize) < sizeShift(size)) size = secondSize;
    execute = execute && executable(secondRights);
    dirty = dirty && secondDirty;
    if (hosted) type = combinedType(type);
    data |= (secondRights & EPT_WRITE ? TLB_W2 : 0) | (secondRights & EPT_READ ? TLB_R2 : 0);
  } else {
    data |= TLB_W2 | TLB_R2;
  }
  composed.address = hpa;
  composed.size = size;
  composed.data =
    data |
    (execute ? TLB_X : 0) |
    (dirty ? TLB_D : 0) |
    (t.global ? TLB_G : 0) |
    (t.shadowStack ? TLB_SHADOW_STACK : 0) |
    ((<u64>t.key) << TLB_KEY_SHIFT) |
    (hpa & TLB_FRAME & ~(((<u64>1) << sizeShift(size)) - 1)) |
    ((<u64>size) << TLB_SIZE_SHIFT) |
    ((<u64>t.size) << TLB_STAGE1_SHIFT) |
    ((<u64>type) << TLB_TYPE_SHIFT);
  return Outcome.ok;
}
