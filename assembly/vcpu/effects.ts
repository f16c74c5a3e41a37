import {
  invalidateAddress,
  invalidateAddressOfPcid,
  invalidatePcid,
  invalidatePcidAndGlobals,
  invalidateVpid,
} from "../mmu/invalidation";
import { retag, vpid } from "../mmu/tags";
import {
  CR0_CD,
  CR0_NW,
  CR0_PG,
  CR3_NO_FLUSH,
  CR3_PCID,
  CR4_PAE,
  CR4_PCIDE,
  CR4_PGE,
  CR4_PSE,
  CR4_SMEP,
  EFER_LMA,
  EFER_LME,
  EFER_NXE,
} from "../x86/control";
import { Outcome } from "../x86/fault";
import { activeLongMode, translatable } from "./legality";
import { loadPdptes } from "./pdptes";
import { cr3, currentPcid, guest, registers, rootOf, selectMode, setCr3Value } from "./registers";

/**
 * Loads of the paging registers with the effect the architecture gives them on cached translations, where the
 * hardware walks the guest's own tables (native and nested paging). paging.md §1.10; SDM 3A 4.10.4.1. A load of
 * PDPTEs that fails leaves every register as it was. What an instruction refuses beforehand is in legality.ts.
 * A `recorded` load did succeed, in whatever order the registers of a trace come: its PDPTEs are not checked.
 */

/** Bits of CR0 and CR4 whose change loads the PDPTEs. SDM 3A 4.4.1. */
export const CR0_PDPTES: u64 = CR0_CD | CR0_NW | CR0_PG;
export const CR4_PDPTES: u64 = CR4_PAE | CR4_PGE | CR4_PSE | CR4_SMEP;

export function loadCr0(value: u64, recorded: bool): Outcome {
  const before = registers.cr0;
  const efer = registers.efer;
  const changed = before ^ value;
  registers.cr0 = value;
  if ((changed & CR0_PG) !== 0 && (efer & EFER_LME) !== 0) registers.efer = activeLongMode(value, efer);
  selectMode();
  if ((changed & CR0_PDPTES) !== 0) {
    const outcome = loadPdptes(recorded);
    if (outcome !== Outcome.ok) {
      registers.cr0 = before;
      registers.efer = efer;
      selectMode();
      return outcome;
    }
  }
  if ((changed & CR0_PG) !== 0 && (value & CR0_PG) === 0) invalidateVpid(vpid, true);
  retag();
  return Outcome.ok;
}

/** `value` as the instruction had it: bit 63 keeps the translations of the PCID. */
export function loadCr3(value: u64, recorded: bool): Outcome {
  const pcids = (registers.cr4 & CR4_PCIDE) !== 0;
  const before = cr3;
  setCr3Value(pcids ? value & ~CR3_NO_FLUSH : value);
  guest.root = rootOf(value);
  const outcome = loadPdptes(recorded);
  if (outcome !== Outcome.ok) {
    setCr3Value(before);
    guest.root = rootOf(before);
    return outcome;
  }
  if (!pcids) invalidatePcid(vpid, 0);
  else if ((value & CR3_NO_FLUSH) === 0) invalidatePcid(vpid, <u32>(value & CR3_PCID));
  retag();
  return Outcome.ok;
}

export function loadCr4(value: u64, recorded: bool): Outcome {
  const before = registers.cr4;
  const changed = before ^ value;
  const pcid = currentPcid();
  registers.cr4 = value;
  selectMode();
  if ((changed & CR4_PDPTES) !== 0) {
    const outcome = loadPdptes(recorded);
    if (outcome !== Outcome.ok) {
      registers.cr4 = before;
      selectMode();
      return outcome;
    }
  }
  if ((changed & CR4_PGE) !== 0 || ((changed & CR4_PCIDE) !== 0 && (value & CR4_PCIDE) === 0))
    invalidateVpid(vpid, true);
  else if ((changed & CR4_PAE) !== 0 || ((changed & CR4_SMEP) !== 0 && (value & CR4_SMEP) !== 0)) {
    invalidatePcidAndGlobals(vpid, pcid);
  }
  retag();
  return Outcome.ok;
}

/** No-execute is part of a cached right, so a change of EFER.NXE drops what was cached; no manual asks for less. */
export function loadEfer(value: u64): void {
  const changed = registers.efer ^ value;
  registers.efer = value;
  selectMode();
  if ((changed & EFER_NXE) !== 0) invalidateVpid(vpid, true);
  retag();
}

/** WRMSR to EFER: the CPU keeps its own LMA. */
export function writeEfer(value: u64): void {
  loadEfer((value & ~EFER_LMA) | (registers.efer & EFER_LMA));
}

export function invlpg(va: u64): void {
  if (translatable(va)) invalidateAddress(vpid, currentPcid(), va);
}

/** INVPCID. SDM 2A: type 0 an address of a PCID, 1 a PCID, 2 everything, 3 everything but global pages. */
export function invpcid(type: u32, pcid: u32, va: u64): void {
  if (type === 0) invalidateAddressOfPcid(vpid, pcid, va);
  else if (type === 1) invalidatePcid(vpid, pcid);
  else invalidateVpid(vpid, type === 2);
}
