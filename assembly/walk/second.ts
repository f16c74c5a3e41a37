import { Counter, count, countStructure, Structure, StructureCell } from "../counters";
import { Lookup, noteFill, noteNestedTlb, noteRow, recording, withoutEffect } from "../explain/log";
import { noteRefusal } from "../explain/walk-notes";
import { hostAddressOf } from "../hypervisor/backing";
import { write64 } from "../memory/physical";
import { hosted } from "../memory/ranges";
import { Reason, setReason } from "../memory/reason";
import { tagOf } from "../mmu/array";
import { eptTypeBits, MemoryType, patType } from "../mmu/memory-type";
import { countEviction, nestedTlb } from "../mmu/psc";
import {
  sizeClass,
  TLB_D,
  TLB_FRAME,
  TLB_R2,
  TLB_SIZE_SHIFT,
  TLB_STAGE1_SHIFT,
  TLB_SUPPRESS_VE,
  TLB_TYPE_SHIFT,
  TLB_U,
  TLB_W,
  TLB_X,
} from "../mmu/tlb";
import { Parameter, parameter } from "../parameters";
import {
  EPT_EXECUTE,
  EPT_EXECUTE_USER,
  EPT_READ,
  EPT_SUPPRESS_VE,
  EPT_WRITE,
  sizeShift,
} from "../x86/entries";
import {
  fault,
  NPF_FINAL,
  NPF_TABLE,
  Outcome,
  PF_FETCH,
  PF_PRESENT,
  PF_RESERVED,
  PF_USER,
  PF_WRITE,
} from "../x86/fault";
import { KIND_EPT } from "../x86/format";
import { Refusal } from "../x86/refusal";
import { RIGHT_EXECUTE, RIGHT_USER, RIGHT_WRITE } from "../x86/rights";
import { Dimension, SECOND_BACKING, SECOND_NESTED } from "./dimension";
import {
  addWalkCycles,
  Found,
  fillPsc,
  reservedRefusal,
  setFlags,
  setRow,
  setTableAddress,
  Walker,
  walk,
  walker,
} from "./walk";

/** The second stage: EPT or nested page tables. */
export const host = new Dimension();

/** What an access asks of the second stage. */
export const NEED_READ: u32 = 1;
export const NEED_WRITE: u32 = 2;
export const NEED_EXECUTE: u32 = 4;

/** Rights, dirtiness and size of the last second-stage translation, and its address. */
export let tableRights: u64 = 0;
export let secondAddress: u64 = 0;
export let secondRights: u64 = 0;
export let secondDirty: bool = false;
export let secondSize: u32 = 0;
/** Its memory type, for a host that embeds the core: as `eptTypeBits`, or by the host's PAT. */
export let secondType: u32 = MemoryType.writeBack;

/** What the stage-1 part of the access knows, for exit qualifications (SDM 3C table 28-7). */
class Stage1 {
  /** The linear address, and whether there is one: PDPTE loads have none. */
  address: u64 = 0;
  addressValid: bool = true;
  /** Rights of the guest translation, RIGHT_*; valid for the final access. */
  rights: u32 = 0;
  /** Whether it is a shadow-stack access. */
  shadowStack: bool = false;
}
export const stage1 = new Stage1();

let nestedCycles: u32 = 0;
let nestedData = false;
let accessedDirty = false;
let modeBased = false;
let advancedInfo = false;
let noExecute = false;
let supervisorPrevention = false;
let pml = false;
let pmlBase: u64 = 0;
let pmlIndex: u32 = 511;

export function configureSecond(): void {
  nestedCycles = parameter(Parameter.walkNestedCycles);
  nestedData = parameter(Parameter.nestedTlbData) !== 0;
  accessedDirty = parameter(Parameter.eptAccessedDirty) !== 0;
  modeBased = parameter(Parameter.eptModeBasedExecute) !== 0;
  advancedInfo = parameter(Parameter.eptAdvancedInfo) !== 0;
  noExecute = parameter(Parameter.hostNoExecute) !== 0;
  supervisorPrevention = parameter(Parameter.hostSmep) !== 0;
  pml = parameter(Parameter.eptPml) !== 0;
}

/** EPTP bit 6. */
export function setEptAccessedDirty(on: bool): void {
  accessedDirty = on;
}

/** Points the page-modification log at `base` with its index reset, as the hypervisor does after a log-full exit. */
export function resetPml(base: u64, index: u32 = 511): void {
  pmlBase = base;
  pmlIndex = index;
}
export function pmlIndexNow(): u32 {
  return pmlIndex;
}
export function restorePmlIndex(index: u32): void {
  pmlIndex = index;
}

/** Second-stage translation of a paging-structure entry of `d` at `gpa`, which belongs to `level`. */
export function translateTable(d: Dimension, gpa: u64, level: u32): Outcome {
  if (d.second === SECOND_BACKING) {
    setTableAddress(hostAddressOf(gpa));
    return Outcome.ok;
  }
  /* APM 2 15.25.5: nested accesses to guest tables are writes. SDM 3C 29.3.5: so are EPT's with A/D flags on. */
  const write = host.format.kind !== KIND_EPT || accessedDirty;
  const outcome = translateSecond(gpa, write ? NEED_READ | NEED_WRITE : NEED_READ, level);
  if (outcome === Outcome.ok) {
    setTableAddress(secondAddress);
    tableRights = secondRights;
  }
  return outcome;
}

/**
 * Second-stage translation of `gpa`. `level` is the guest level of the table it lies in, 0 for the final address.
 * Fills `fault` when it is refused.
 */
export function translateSecond(gpa: u64, need: u32, level: u32): Outcome {
  if (recording) noteRow(level);
  const array = nestedTlb();
  const cached = changetype<usize>(array) !== 0 && (level !== 0 || nestedData) && walker === Walker.hardware;
  if (cached) {
    let missed = true;
    countStructure(Structure.nested, StructureCell.lookups);
    for (let size: u32 = 0; size < 3; ++size) {
      if (array.liveOf(size) === 0) continue;
      const page = gpa >> sizeShift(size);
      const tag = tagOf(page, size, host.context);
      const at = array.find(array.setOf(page), tag, tag);
      if (at === 0) continue;
      const data = array.data(at);
      const rights =
        (data & TLB_W ? EPT_WRITE : 0) |
        (data & TLB_R2 ? EPT_READ : 0) |
        (data & TLB_X ? EPT_EXECUTE : 0) |
        (data & TLB_U ? EPT_EXECUTE_USER : 0) |
        (data & TLB_SUPPRESS_VE ? EPT_SUPPRESS_VE : 0);
      const allowed =
        (data & TLB_R2 || !(need & NEED_READ)) &&
        (!(need & NEED_WRITE) || (data & (TLB_W | TLB_D)) === (TLB_W | TLB_D)) &&
        (!(need & NEED_EXECUTE) || executable(rights));
      if (!allowed) {
        if (recording) noteNestedTlb(Lookup.refused, gpa, data);
        missed = false;
        break;
      }
      if (recording) noteNestedTlb(Lookup.hit, gpa, data);
      countStructure(Structure.nested, <StructureCell>(<u32>StructureCell.hits4k + sizeClass(size)));
      array.touch(at);
      secondRights = rights;
      secondDirty = (data & TLB_D) !== 0;
      secondSize = size;
      if (hosted) secondType = (<u32>(data >> TLB_TYPE_SHIFT) & 7) | ((<u32>(data >> 62) & 1) << 3);
      secondAddress = (data & TLB_FRAME) | (gpa & (((<u64>1) << sizeShift(size)) - 1));
      return Outcome.ok;
    }
    countStructure(Structure.nested, StructureCell.misses);
    if (recording && missed) noteNestedTlb(Lookup.miss, gpa, 0);
  }
  if (walker === Walker.hardware) {
    count(Counter.nestedWalks);
    if (level !== 0) addWalkCycles(nestedCycles);
  }
  setRow(level);
  const found = walk(host, gpa, true);
  const outcome =
    host.format.kind === KIND_EPT ? checkEpt(found, gpa, need, level) : checkNpt(found, gpa, need, level);
  if (outcome !== Outcome.ok) return outcome;
  fillPsc(host, gpa);
  secondAddress = host.result;
  secondSize = host.level - 1;
  if (hosted)
    secondType =
      host.format.kind === KIND_EPT ? eptTypeBits(host.leaf) : patType(host.leaf, host.level, true);
  if (cached) {
    const page = gpa >> sizeShift(secondSize);
    const data =
      (secondAddress & TLB_FRAME & ~(((<u64>1) << sizeShift(secondSize)) - 1)) |
      (secondRights & EPT_WRITE ? TLB_W : 0) |
      (secondRights & EPT_READ ? TLB_R2 : 0) |
      (secondRights & EPT_EXECUTE ? TLB_X : 0) |
      (secondRights & EPT_EXECUTE_USER ? TLB_U : 0) |
      (secondRights & EPT_SUPPRESS_VE ? TLB_SUPPRESS_VE : 0) |
      (secondDirty ? TLB_D : 0) |
      (hosted ? ((<u64>secondType & 7) << TLB_TYPE_SHIFT) | ((<u64>secondType >> 3) << 62) : 0) |
      ((<u64>secondSize) << TLB_SIZE_SHIFT) |
      ((<u64>secondSize) << TLB_STAGE1_SHIFT);
    const evicted = array.evicted;
    array.fill(array.setOf(page), tagOf(page, secondSize, host.context), data);
    countStructure(Structure.nested, StructureCell.fills);
    if (recording) noteFill(Structure.nested, 0, gpa, data);
    if (array.evicted !== evicted) countEviction(Structure.nested, array);
  }
  return Outcome.ok;
}

/** Whether a fetch may execute: under mode-based execute control the guest page's U/S chooses the right. SDM 3C 29.3.3.2. */
export function executable(rights: u64): bool {
  return (rights & (modeBased && stage1.rights & RIGHT_USER ? EPT_EXECUTE_USER : EPT_EXECUTE)) !== 0;
}

/** Sets accessed flags on every entry the walk read, and the dirty flag of the leaf for a write. */
function setHostFlags(write: bool): Outcome {
  const format = host.format;
  secondDirty = host.leafDirty || write;
  if (format.accessed === 0 || walker === Walker.probe) return Outcome.ok;
  const leafFlags = format.accessed | (write ? format.dirty : 0);
  if (pml && !host.leafDirty && write && pmlIndex > 511) return logFull();
  for (let level = host.top; level >= host.level; --level) {
    const flags = level === host.level ? leafFlags : format.accessed;
    if ((host.entries[level] & flags) === flags || (format.plainTop && level === 3)) continue;
    if (pml && pmlIndex > 511) return logFull();
    const missing = flags & ~host.entries[level];
    if (!setFlags(host, level, flags)) return Outcome.contended;
    if (missing & format.accessed) count(Counter.accessedSet);
    if (level === host.level && write && !host.leafDirty) count(Counter.dirtySet);
  }
  return Outcome.ok;
}

function logFull(): Outcome {
  if (recording) noteRefusal(host, Refusal.log);
  return Outcome.pmlFull;
}

/** SDM 3C 29.3.3: misconfiguration at any level first, then the rights of the whole walk. */
function checkEpt(found: Found, gpa: u64, need: u32, level: u32): Outcome {
  fault.guestPhysical = gpa;
  fault.address = stage1.address;
  if (found === Found.reserved) {
    if (recording) noteRefusal(host, reservedRefusal(host));
    return Outcome.eptMisconfig;
  }
  const rights = found === Found.notPresent ? 0 : host.rights;
  const allowed =
    found === Found.leaf &&
    (!(need & NEED_READ) || (rights & EPT_READ) !== 0) &&
    (!(need & NEED_WRITE) || (rights & EPT_WRITE) !== 0) &&
    (!(need & NEED_EXECUTE) || executable(rights));
  if (!allowed) {
    if (recording) noteRefusal(host, eptRefusal(found, need, rights));
    eptQualification(need, rights, level);
    /* Beyond what the tables span no entry was read, so none allows a #VE. */
    fault.suppressVe = beyondSpan(gpa) || (host.entries[host.level] & EPT_SUPPRESS_VE) !== 0;
    return Outcome.eptViolation;
  }
  secondRights = rights | (host.leaf & EPT_SUPPRESS_VE);
  const write = (need & NEED_WRITE) !== 0;
  const wasDirty = host.leafDirty;
  const outcome = setHostFlags(write);
  if (
    outcome === Outcome.ok &&
    pml &&
    write &&
    !wasDirty &&
    host.format.dirty !== 0 &&
    walker !== Walker.probe
  ) {
    if (isDefined(HOSTED)) setReason(Reason.log);
    if (!withoutEffect) write64(pmlBase + ((<u64>pmlIndex) << 3), gpa & ~0xfff);
    pmlIndex = (pmlIndex - 1) & 0xffff;
  }
  return outcome;
}

/** What of the access the second stage does not allow. */
function eptRefusal(found: Found, need: u32, rights: u64): Refusal {
  if (found === Found.notPresent) return Refusal.notPresent;
  if (need & NEED_READ && !(rights & EPT_READ)) return Refusal.read;
  return need & NEED_WRITE && !(rights & EPT_WRITE) ? Refusal.write : Refusal.execute;
}

function beyondSpan(gpa: u64): bool {
  return gpa >> (host.format.shiftOf(host.format.levels) + 9) !== 0;
}

/** Exit qualification of an EPT violation. SDM 3C table 28-7. */
export function eptQualification(need: u32, rights: u64, level: u32): void {
  let q: u64 = need | ((rights & 7) << 3);
  if (modeBased && rights & EPT_EXECUTE_USER) q |= 1 << 6;
  if (stage1.addressValid) q |= 1 << 7;
  if (level === 0 && stage1.addressValid) {
    q |= 1 << 8;
    if (stage1.shadowStack) q |= 1 << 13;
    if (advancedInfo) {
      const its = stage1.rights;
      if (its & RIGHT_USER) q |= 1 << 9;
      if (its & RIGHT_WRITE) q |= 1 << 10;
      if (!(its & RIGHT_EXECUTE)) q |= 1 << 11;
    }
  }
  fault.qualification = q;
}

/** APM 2 15.25.6: the nested walk is a user access of the host's tables; EXITINFO1 has the #PF bits, I/D by the host's NXE and SMEP. */
function checkNpt(found: Found, gpa: u64, need: u32, level: u32): Outcome {
  const write = (need & NEED_WRITE) !== 0;
  const fetch = (need & NEED_EXECUTE) !== 0;
  let code: u64 =
    PF_USER |
    (write ? PF_WRITE : 0) |
    (fetch && (noExecute || supervisorPrevention) ? PF_FETCH : 0) |
    (level === 0 ? NPF_FINAL : NPF_TABLE);
  fault.guestPhysical = gpa;
  fault.address = stage1.address;
  if (found === Found.leaf) {
    const rights = nptRights(host.rights);
    secondRights =
      EPT_READ |
      (rights & RIGHT_WRITE ? EPT_WRITE : 0) |
      (rights & RIGHT_EXECUTE ? EPT_EXECUTE | EPT_EXECUTE_USER : 0);
    if (rights & RIGHT_USER && (!write || rights & RIGHT_WRITE) && (!fetch || rights & RIGHT_EXECUTE))
      return setHostFlags(write);
    if (recording) noteRefusal(host, nptRefusal(rights, write));
    code |= PF_PRESENT;
  } else if (found === Found.reserved) {
    if (recording) noteRefusal(host, Refusal.reserved);
    code |= PF_PRESENT | PF_RESERVED;
  } else if (recording) {
    noteRefusal(host, Refusal.notPresent);
  }
  fault.qualification = code;
  return Outcome.nestedPageFault;
}

function nptRefusal(rights: u32, write: bool): Refusal {
  if (!(rights & RIGHT_USER)) return Refusal.user;
  return write && !(rights & RIGHT_WRITE) ? Refusal.write : Refusal.execute;
}

/** RIGHT_* of an ordinary entry's accumulated bits. */
export function nptRights(rights: u64): u32 {
  return (<u32>(rights >> 1) & 3) | (noExecute ? (<u32>(rights >> 63)) << 2 : RIGHT_EXECUTE);
}

/**
 * Whether the second stage forbids setting a flag in the entry of `level`: under EPT the table's page must be
 * writable; with EPT's own flags on, and under NPT, reading the entry asked for that already. SDM 3C 29.3.3.2.
 */
export function forbidsFlags(d: Dimension, level: u32): bool {
  if (d.second !== SECOND_NESTED || host.format.kind !== KIND_EPT || d.tableRights[level] & EPT_WRITE)
    return false;
  fault.address = stage1.address;
  fault.guestPhysical = d.addresses[level];
  fault.suppressVe = (d.tableRights[level] & EPT_SUPPRESS_VE) !== 0;
  eptQualification(NEED_READ | NEED_WRITE, d.tableRights[level], level);
  return true;
}
