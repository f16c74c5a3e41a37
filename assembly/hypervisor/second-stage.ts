import { Counter, count } from "../counters";
import { read64, write64 } from "../memory/physical";
import { Parameter, parameter } from "../parameters";
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
import { allocateTable, hostFrameOf, hostPageShift } from "./backing";
import { worked, workedAllocation } from "./exits";

/**
 * The hypervisor's second-stage tables, built as KVM's TDP MMU does (arch/x86/kvm/mmu/tdp_mmu.c): on a violation
 * the missing tables and one leaf, as large as the host page allows.
 */

export const FORMAT_EPT: u32 = 0;

/** Creates the root and tells the hardware the format. Returns the tag of combined mappings. */
export function createSecondStage(): u64 {
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
  host.root = allocateTable() << 12;
  return host.root;
}

function tableEntry(frame: u64): u64 {
  const rights =
    host.format.kind === KIND_EPT
      ? EPT_READ | EPT_WRITE | EPT_EXECUTE | (EPT_EXECUTE_USER & host.format.rights)
      : PRESENT | WRITABLE | USER_PAGE;
  return (frame << 12) | rights;
}

function leafEntry(frame: u64, level: u32): u64 {
  const large = level > 1 ? LARGE : 0;
  return tableEntry(frame) | large | (host.format.kind === KIND_EPT ? EPT_WRITE_BACK : 0);
}

/** Address of the entry of `level` for `gpa`, with the tables above it created. */
function entryAt(gpa: u64, level: u32): u64 {
  const format = host.format;
  let table = host.root;
  let l = format.levels;
  while (true) {
    const at = table + (((gpa >> format.shiftOf(l)) & 0x1ff) << 3);
    if (l === level) return at;
    let entry = read64(at);
    if ((entry & format.present) === 0) {
      entry = tableEntry(allocateTable());
      write64(at, entry);
      worked(1);
      workedAllocation();
    }
    table = entry & FRAME;
    --l;
  }
}

/** Maps the host page that holds `gpa`. */
export function mapGuestPage(gpa: u64): void {
  const shift = hostPageShift();
  const level: u32 = shift === 12 ? 1 : shift === 21 ? 2 : 3;
  const first = (gpa >> shift) << (shift - 12);
  write64(entryAt(gpa, level), leafEntry(hostFrameOf(first), level));
  worked(1);
  count(level === 1 ? Counter.pages_4k : level === 2 ? Counter.pages_2m : Counter.pages_1g);
}

/**
 * Maps device memory so that each access exits: as an EPT misconfiguration (write without read), or with a reserved
 * bit of the nested tables. A host with 52 address bits has none, and its device entries stay empty. KVM: `mark_mmio_spte`.
 */
export function mapDevice(gpa: u64): void {
  if (host.format.kind !== KIND_EPT && parameter(Parameter.hostAddressBits) === 52) return;
  const value: u64 =
    host.format.kind === KIND_EPT ? (gpa & FRAME) | EPT_WRITE | EPT_EXECUTE : PRESENT | ((<u64>1) << 51);
  write64(entryAt(gpa, 1), value);
  worked(1);
  count(Counter.pf_mmio_spte_created);
}

/** Takes the mapping of a guest page away; returns whether there was one. */
export function unmapGuestPage(gpa: u64): bool {
  const format = host.format;
  let table = host.root;
  for (let l = format.levels; l > 0; --l) {
    const at = table + (((gpa >> format.shiftOf(l)) & 0x1ff) << 3);
    const entry = read64(at);
    if ((entry & format.present) === 0) return false;
    if (l === 1 || (entry & LARGE) !== 0) {
      write64(at, 0);
      worked(1);
      return true;
    }
    table = entry & FRAME;
  }
  return false;
}
