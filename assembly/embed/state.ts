import { Counter, count } from "../counters";
import { hostAddressOf } from "../hypervisor/backing";
import { clearMemory, read32, read64, write32, write64 } from "../memory/physical";
import { addRange, callHost, guestBase, hosted, hostMemory, PageKind } from "../memory/ranges";
import { rootTag } from "../mmu/context";
import { forgetFlushed, startFeed } from "../mmu/feed";
import { invalidateEverything } from "../mmu/invalidation";
import { lookWithAc } from "../mmu/lookaside";
import { setPat } from "../mmu/memory-type";
import { eptrta, hardwareControls, retag, setVirtualTags, vpid } from "../mmu/tags";
import { Parameter, parameter } from "../parameters";
import * as machine from "../technique/technique";
import { legalPat, setCodeSegmentLong } from "../vcpu/legality";
import {
  cr3,
  guest,
  registers,
  rootOf,
  selectMode,
  setCr3Value,
  setInstruction,
  setStoreBytes,
} from "../vcpu/registers";
import { setVeArea } from "../vcpu/virtualization-exception";
import { SECOND_NESTED } from "../walk/dimension";
import { host, pmlIndexNow, resetPml } from "../walk/second";
import { FRAME } from "../x86/entries";
import { Outcome } from "../x86/fault";
import { Cell, cell, put } from "./block";

/** The machine's state as its host sets it: registers, tags and memory. */

/** With `yes`, exits are left to the host; else the machine's own hypervisor resolves them, as in a replay. */
export function embedLeaveExits(yes: bool): void {
  machine.leaveExits(yes);
}

/**
 * Memory is the host's from here on: to be called before `start`. With `calls`, addresses outside of the ranges are
 * asked of the host's functions.
 */
export function embedHostMemory(calls: bool): void {
  hostMemory();
  if (calls) callHost();
  startFeed();
}

/**
 * Lays the guest-physical addresses from cell 12 to before cell 13 at `at` of linear memory. Returns false when there are
 * sixteen ranges already.
 */
export function embedRange(at: usize, kind: PageKind): bool {
  return addRange(cell(Cell.address), cell(Cell.value), at, kind);
}

/**
 * WRMSR of IA32_PAT, the guest's or (of NPT) the host's: cell 13. What is cached keeps the type that it has (SDM 3A
 * 12.12.4).
 */
export function embedSetPat(ofHost: bool): Outcome {
  if (!legalPat(cell(Cell.value))) return Outcome.generalProtection;
  setPat(cell(Cell.value), ofHost);
  return Outcome.ok;
}

/** CS.L: whether code runs in 64-bit mode while EFER.LMA is set. */
export function embedCodeLong(yes: bool): void {
  setCodeSegmentLong(yes);
}

/** Takes the registers of cells 0 to 15 as they are, without the checks or flushes of an instruction. */
export function embedSetState(): void {
  forgetFlushed();
  registers.ac = cell(Cell.ac) !== 0;
  hardwareControls.ac = registers.ac;
  lookWithAc(registers.ac);
  registers.pkru = <u32>cell(Cell.pkru);
  registers.pkrs = <u32>cell(Cell.pkrs);
  setCodeSegmentLong(cell(Cell.codeLong) !== 0);
  if (machine.technique === machine.SHADOW) {
    hardwareControls.pkru = registers.pkru;
    hardwareControls.pkrs = registers.pkrs;
    machine.loadEfer(cell(Cell.efer));
    machine.loadCr4(cell(Cell.cr4));
    machine.loadCr0(cell(Cell.cr0));
    machine.loadCr3(cell(Cell.cr3));
    return;
  }
  registers.cr0 = cell(Cell.cr0);
  registers.cr4 = cell(Cell.cr4);
  registers.efer = cell(Cell.efer);
  setCr3Value(cell(Cell.cr3));
  selectMode();
  guest.root = rootOf(cell(Cell.cr3));
  for (let i: u32 = 0; i < 4; ++i) guest.pdptes[i] = cell(Cell.pdptes + i);
  const tag: u32 = parameter(Parameter.vpid) !== 0 ? <u32>cell(Cell.vpid) : 0;
  if (guest.second === SECOND_NESTED && cell(Cell.secondRoot) !== 0) {
    host.root = cell(Cell.secondRoot) & FRAME;
    setVirtualTags(tag, rootTag(host.root));
  } else {
    setVirtualTags(tag, eptrta);
  }
  retag();
}

/** Puts the registers into cells 0 to 10. */
export function embedGetState(): void {
  put(Cell.cr0, registers.cr0);
  put(Cell.cr3, cr3);
  put(Cell.cr4, registers.cr4);
  put(Cell.efer, registers.efer);
  put(Cell.pkru, registers.pkru);
  put(Cell.pkrs, registers.pkrs);
  put(Cell.ac, registers.ac ? 1 : 0);
  for (let i: u32 = 0; i < 4; ++i) put(Cell.pdptes + i, guest.pdptes[i]);
  put(Cell.vpid, vpid);
  put(Cell.pmlIndex, pmlIndexNow());
}

/** Takes the #VE information area, the EPTP index and the page-modification log from cells 25 to 28. */
export function embedSetVirtualization(): void {
  setVeArea(cell(Cell.veArea), <u32>cell(Cell.eptpIndex));
  resetPml(cell(Cell.pmlBase), <u32>cell(Cell.pmlIndex));
}

/** Zeroes all of memory and drops everything cached. */
export function embedClear(): void {
  clearMemory();
  invalidateEverything();
}

/** Drops everything cached. */
export function embedFlush(): void {
  forgetFlushed();
  invalidateEverything();
}

/** Reads 8 (or 4) bytes of host-physical memory at cell 12 into cell 13. */
export function embedRead(bytes: u32): void {
  put(Cell.value, bytes === 8 ? read64(cell(Cell.address)) : read32(cell(Cell.address)));
}
/** Writes the low 8 (or 4) bytes of cell 13 at host-physical cell 12. */
export function embedWrite(bytes: u32): void {
  if (bytes === 8) write64(cell(Cell.address), cell(Cell.value));
  else write32(cell(Cell.address), <u32>cell(Cell.value));
}

/** The guest's 8 bytes at guest-physical cell 12, into cell 13: where the machine's hypervisor has put them. */
export function embedReadGuest(): void {
  const gpa = cell(Cell.address);
  put(Cell.value, read64(hosted ? guestBase + gpa : hostAddressOf(gpa)));
}
/** The guest has stored to guest-physical cell 12: what the hypervisor must make of it. */
export function embedStored(): void {
  forgetFlushed();
  machine.entryStored(cell(Cell.address) & ~7);
}

/** Linear address of the instruction under way and the bytes that its store writes: a hypervisor that emulates it reads both. */
export function embedInstruction(low: u32, high: u32, storeBytes: u32): void {
  setInstruction(<u64>low | ((<u64>high) << 32));
  setStoreBytes(storeBytes);
}

/** The guest stores the 8 bytes of cell 13 into one of its tables, at guest-physical cell 12. */
export function embedStoreEntry(): void {
  count(Counter.tableWrites);
  machine.storeTableEntry(cell(Cell.address), cell(Cell.value));
}
