import { hostAddressOf } from "../hypervisor/backing";
import { read64 } from "../memory/physical";
import {
  invalidateAddress,
  invalidateAddressOfPcid,
  invalidatePcid,
  invalidatePcidAndGlobals,
  invalidateVpid,
} from "../mmu/invalidation";
import { retag, vpid } from "../mmu/tags";
import {
  CR0_PG,
  CR3_NO_FLUSH,
  CR3_PCID,
  CR4_PAE,
  CR4_PCIDE,
  CR4_PGE,
  CR4_SMEP,
  EFER_NXE,
} from "../x86/control";
import { currentPcid, guest, registers, rootOf, selectMode, setCr3Value } from "./registers";

/**
 * Loads of the paging registers with the effect the architecture gives them on cached translations, where the
 * hardware walks the guest's own tables (native and nested paging). paging.md §1.10; SDM 3A 4.10.4.1.
 */

/** PAE: MOV CR3, and changes of CR0 and CR4 that select PAE, load the four level-3 entries. SDM 3A 4.4.1. */
function loadPdptes(): void {
  if (!guest.format.pdpteRegisters) return;
  for (let i: u32 = 0; i < 4; ++i) guest.pdptes[i] = read64(hostAddressOf(guest.root + (i << 3)));
}

export function loadCr0(value: u64): void {
  const changed = registers.cr0 ^ value;
  registers.cr0 = value;
  selectMode();
  loadPdptes();
  if ((changed & CR0_PG) !== 0 && (value & CR0_PG) === 0) invalidateVpid(vpid, true);
  retag();
}

/** `value` as the instruction had it: bit 63 keeps the translations of the PCID. */
export function loadCr3(value: u64): void {
  const pcids = (registers.cr4 & CR4_PCIDE) !== 0;
  setCr3Value(pcids ? value & ~CR3_NO_FLUSH : value);
  guest.root = rootOf(value);
  loadPdptes();
  if (!pcids) invalidatePcid(vpid, 0);
  else if ((value & CR3_NO_FLUSH) === 0) invalidatePcid(vpid, <u32>(value & CR3_PCID));
  retag();
}

export function loadCr4(value: u64): void {
  const changed = registers.cr4 ^ value;
  const pcid = currentPcid();
  registers.cr4 = value;
  selectMode();
  loadPdptes();
  if ((changed & CR4_PGE) !== 0 || ((changed & CR4_PCIDE) !== 0 && (value & CR4_PCIDE) === 0))
    invalidateVpid(vpid, true);
  else if ((changed & CR4_PAE) !== 0 || ((changed & CR4_SMEP) !== 0 && (value & CR4_SMEP) !== 0)) {
    invalidatePcidAndGlobals(vpid, pcid);
  }
  retag();
}

/** No-execute is part of a cached right, so a change of EFER.NXE drops what was cached; no manual asks for less. */
export function loadEfer(value: u64): void {
  const changed = registers.efer ^ value;
  registers.efer = value;
  selectMode();
  loadPdptes();
  if ((changed & EFER_NXE) !== 0) invalidateVpid(vpid, true);
  retag();
}

export function invlpg(va: u64): void {
  invalidateAddress(vpid, currentPcid(), va);
}

/** INVPCID. SDM 2A: type 0 an address of a PCID, 1 a PCID, 2 everything, 3 everything but global pages. */
export function invpcid(type: u32, pcid: u32, va: u64): void {
  if (type === 0) invalidateAddressOfPcid(vpid, pcid, va);
  else if (type === 1) invalidatePcid(vpid, pcid);
  else invalidateVpid(vpid, type === 2);
}
