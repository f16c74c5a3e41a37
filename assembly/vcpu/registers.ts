import { Parameter, parameter } from "../parameters";
import { Dimension } from "../walk/dimension";
import { Controls } from "../walk/translate";
import {
  CR0_PG,
  CR3_PCID,
  CR4_LA57,
  CR4_PAE,
  CR4_PCIDE,
  CR4_PGE,
  CR4_PSE,
  EFER_LMA,
  EFER_NXE,
} from "../x86/control";
import { FRAME } from "../x86/entries";
import { identityFormat, legacyFormat, longFormat, paeFormat } from "../x86/format";

/** The guest's own paging registers and the mode they select. */
export const registers = new Controls();
/** CR3 as architected: no-flush bit not stored. */
export let cr3: u64 = 0;
/** Current privilege level. */
export let cpl: u32 = 0;

/** Linear address of the instruction under way, which an emulating hypervisor reads. */
export let instruction: u64 = 0;
export function setInstruction(va: u64): void {
  instruction = va;
}
/** Bytes that its store writes, by which a hypervisor tells a page-table store from another. */
export let storeBytes: u32 = 8;
export function setStoreBytes(bytes: u32): void {
  storeBytes = bytes;
}

/** The guest's tables. */
export const guest = new Dimension();

export function setCpl(value: u32): void {
  cpl = value;
}
export function currentCpl(): u32 {
  return cpl;
}
export function setCr3Value(value: u64): void {
  cr3 = value;
}

/** PCID of the current address space; 0 without PCIDs. */
export function currentPcid(): u32 {
  return registers.cr4 & CR4_PCIDE ? <u32>(cr3 & CR3_PCID) : 0;
}
export function globalPages(): bool {
  return (registers.cr4 & CR4_PGE) !== 0;
}
export function isPaging(): bool {
  return (registers.cr0 & CR0_PG) !== 0;
}
export function isLongMode(): bool {
  return (registers.efer & EFER_LMA) !== 0;
}

/** Without 4- or 5-level paging a linear address has 32 bits. SDM 3A 3.3. */
export function linearAddress(va: u64): u64 {
  return guest.format.levels < 4 ? va & 0xffff_ffff : va;
}

/** Physical address of the root table in CR3. SDM 3A 4.3 to 4.5. */
export function rootOf(value: u64): u64 {
  if (isLongMode()) return value & FRAME;
  return value & (registers.cr4 & CR4_PAE ? 0xffff_ffe0 : 0xffff_f000);
}

/** Under NPT a PAE guest's level-3 entries are read as a walk comes to them. APM 2 15.25.10. */
let pdptesInMemory = false;
export function readPdptesFromMemory(yes: bool): void {
  pdptesInMemory = yes;
}

/** Recomputes the guest's format. To be called after CR0, CR4 or EFER changed. */
export function selectMode(): void {
  const format = guest.format;
  const width = parameter(Parameter.guestAddressBits);
  const noExecute = (registers.efer & EFER_NXE) !== 0;
  if (!isPaging()) identityFormat(format);
  else if (isLongMode()) {
    const levels = registers.cr4 & CR4_LA57 ? 5 : 4;
    longFormat(
      format,
      levels,
      width,
      noExecute,
      parameter(Parameter.guestPage1g) !== 0,
      parameter(Parameter.vendor) !== 0,
    );
  } else if (registers.cr4 & CR4_PAE) paeFormat(format, width, noExecute, !pdptesInMemory);
  else legacyFormat(format, width, (registers.cr4 & CR4_PSE) !== 0);
  guest.root = rootOf(cr3);
}
