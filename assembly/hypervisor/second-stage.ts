import { Counter, count, subtract } from "../counters";
import { read64, write64 } from "../memory/physical";
import { touchByHypervisor } from "../mmu/cache";
import { Parameter, parameter } from "../parameters";
import { Tracepoint, traceLevel, tracePage } from "../tracepoints";
import { configureSecond, host } from "../walk/second";
import {
  EPT_EXECUTE,
  EPT_EXECUTE_USER,
  EPT_READ,
  EPT_WRITE,
  EPT_WRITE_BACK,
  FRAME,
  LARGE,
  PRESENT,
  USER_PAGE,
  WRITABLE,
} from "../x86/entries";
import { eptFormat, KIND_EPT, nptFormat } from "../x86/format";
import { allocateTable, hostFrameOf } from "./backing";
import { worked, workedAllocation } from "./exits";
import { requestFlush } from "./flush";

/**
 * The hypervisor's second-stage tables, built as KVM's TDP MMU does (arch/x86/kvm/mmu/tdp_mmu.c): on a violation
 * the missing tables and one leaf, as large as the host page allows.
 */

export const FORMAT_EPT: u32 = 0;

/** Tells the hardware the format. */
export function configureSecondStage(): void {
  const width = parameter(Parameter.hostAddressBits);
  const levels = parameter(Parameter.hostLevels);
  const format = host.format;
  if (parameter(Parameter.hostFormat) === FORMAT_EPT) {
    eptFormat(
      format,
      levels,
      width,
      parameter(Parameter.eptAccessedDirty) !== 0,
      parameter(Parameter.eptExecuteOnly) !== 0,
      parameter(Parameter.eptModeBasedExecute) !== 0,
    );
  } else {
    nptFormat(format, levels, width, parameter(Parameter.hostNoExecute) !== 0);
  }
  configureSecond();
}

/** A root of empty tables. */
export function newSecondStage(): u64 {
  tracePage(Tracepoint.sp_created_L1, host.format.levels, true);
  return allocateTable();
}

function tableEntry(frame: u64): u64 {
  const rights =
    host.format.kind === KIND_EPT
      ? EPT_READ | EPT_WRITE | EPT_EXECUTE | (EPT_EXECUTE_USER & host.format.rights)
      : PRESENT | WRITABLE | USER_PAGE;
  return (frame << 12) | rights;
}

function leafEntry(frame: u64, level: u32, writable: bool): u64 {
  const large = level > 1 ? LARGE : 0;
  const ept = host.format.kind === KIND_EPT;
  const entry = tableEntry(frame) | large | (ept ? EPT_WRITE_BACK : 0);
  return writable ? entry : entry & ~(ept ? EPT_WRITE : WRITABLE);
}

function writeEntry(at: u64, value: u64, level: u32): void {
  write64(at, value);
  touchByHypervisor(at);
  worked(1);
  traceLevel(Tracepoint.tdp_spte_changed_L1, level);
}

/** Level of the entry that `entryAt` found. */
let foundLevel: u32 = 0;

/**
 * Address of the entry of `level` for `gpa`, with the tables above it created; of a lower level if a table is in its
 * place.
 */
function entryAt(gpa: u64, level: u32): u64 {
  const format = host.format;
  let table = host.root;
  let l = format.levels;
  while (true) {
    const at = table + (((gpa >> format.shiftOf(l)) & 0x1ff) << 3);
    let entry = read64(at);
    const present = (entry & format.present) !== 0;
    if (l === 1 || (l === level && (!present || (entry & LARGE) !== 0))) {
      foundLevel = l;
      return at;
    }
    if (!present || (entry & LARGE) !== 0) {
      if (present) changePages(l, false);
      /* The level-3 entries of a PAE host hold no rights: these bits are reserved (SDM 3A table 4-8). */
      const plain = format.plainTop && l === 3;
      const frame = allocateTable();
      entry = plain ? (frame << 12) | PRESENT : tableEntry(frame);
      workedAllocation();
      tracePage(Tracepoint.sp_created_L1, l - 1, true);
      writeEntry(at, entry, l);
    }
    table = entry & FRAME;
    --l;
  }
}

export function changePages(level: u32, more: bool): void {
  const gauge = level === 1 ? Counter.pages_4k : level === 2 ? Counter.pages_2m : Counter.pages_1g;
  if (more) count(gauge);
  else subtract(gauge, 1);
}

/** Maps the host page of at most `most` levels that holds `gpa`; returns false if it was mapped so before. */
export function mapGuestPage(gpa: u64, most: u32, writable: bool): bool {
  const at = entryAt(gpa, most);
  const level = foundLevel;
  const shift = host.format.shiftOf(level);
  const entry = leafEntry(hostFrameOf((gpa >> shift) << (shift - 12)), level, writable);
  const old = read64(at);
  if ((old & ~host.format.accessed & ~host.format.dirty) === entry) return false;
  const known = (old & host.format.present) !== 0 && !isDeviceMark(old);
  writeEntry(at, entry, level);
  if (known) requestFlush();
  else changePages(level, true);
  traceLevel(Tracepoint.set_spte_L1, level);
  return true;
}

/** A second-stage entry that exits by itself: in EPT it may be written and not read, in NPT it has a reserved bit. */
export function isDeviceMark(entry: u64): bool {
  if (host.format.kind === KIND_EPT) return (entry & (EPT_READ | EPT_WRITE)) === EPT_WRITE;
  return (entry & DEVICE_MARK) !== 0;
}
const DEVICE_MARK: u64 = 1 << 51;

/**
 * Maps device memory so that each access exits: as an EPT misconfiguration (write without read), or with a reserved
 * bit of the nested tables. A host with 52 address bits has none, and its device entries stay empty. KVM: `mark_mmio_spte`.
 */
export function mapDevice(gpa: u64): void {
  if (host.format.kind !== KIND_EPT && parameter(Parameter.hostAddressBits) === 52) return;
  const value: u64 =
    host.format.kind === KIND_EPT ? (gpa & FRAME) | EPT_WRITE | EPT_EXECUTE : PRESENT | DEVICE_MARK;
  writeEntry(entryAt(gpa, 1), value, 1);
  count(Counter.pf_mmio_spte_created);
}

/** Address of the leaf that maps `gpa`, or 0; its level is `foundLevel`. */
function leafAt(gpa: u64): u64 {
  const format = host.format;
  let table = host.root;
  for (let l = format.levels; l > 0; --l) {
    const at = table + (((gpa >> format.shiftOf(l)) & 0x1ff) << 3);
    const entry = read64(at);
    if ((entry & format.present) === 0 || isDeviceMark(entry)) return 0;
    if (l === 1 || (entry & LARGE) !== 0) {
      foundLevel = l;
      return at;
    }
    table = entry & FRAME;
  }
  return 0;
}

/** Takes the mapping of a guest page away; returns whether there was one. */
export function unmapGuestPage(gpa: u64): bool {
  const at = leafAt(gpa);
  if (at === 0) return false;
  writeEntry(at, 0, foundLevel);
  changePages(foundLevel, false);
  return true;
}

/** Makes the mapping of a guest page read-only for a dirty log, and takes a large one away; returns whether it changed. */
export function protectGuestPage(gpa: u64): bool {
  const at = leafAt(gpa);
  if (at === 0) return false;
  if (foundLevel > 1) return unmapGuestPage(gpa);
  const right = host.format.kind === KIND_EPT ? EPT_WRITE : WRITABLE;
  const entry = read64(at);
  if ((entry & right) === 0) return false;
  writeEntry(at, entry & ~right, 1);
  return true;
}

/** Gives the right to write back, without any lock; returns whether the page was mapped. KVM: `fast_pf_fix_direct_spte`. */
export function restoreGuestPage(gpa: u64): bool {
  const at = leafAt(gpa);
  if (at === 0) return false;
  write64(at, read64(at) | (host.format.kind === KIND_EPT ? EPT_WRITE : WRITABLE));
  worked(1);
  return true;
}
