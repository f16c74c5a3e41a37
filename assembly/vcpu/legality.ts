import { Parameter, parameter } from "../parameters";
import {
  CR0_CD,
  CR0_NW,
  CR0_PE,
  CR0_PG,
  CR0_WP,
  CR3_NO_FLUSH,
  CR3_PCID,
  CR4_CET,
  CR4_LA57,
  CR4_PAE,
  CR4_PCIDE,
  EFER_LMA,
  EFER_LME,
} from "../x86/control";
import { isCanonical } from "../x86/format";
import { cr3, guest, isLongMode, isPaging, registers } from "./registers";

/**
 * What the instructions that steer paging accept; each rule once. A load that a rule refuses is a #GP(0) and changes
 * nothing, an INVEPT or INVVPID operand a VMfail.
 */

/** Whether CS.L is set: 64-bit mode while EFER.LMA is. */
export let codeSegmentLong: bool = false;
export function setCodeSegmentLong(yes: bool): void {
  codeSegmentLong = yes;
}

/** CR4 bits that no CPU defines. SDM 3A 2.5. */
const CR4_RESERVED: u64 = 0xffff_fffe_e400_8000;
/** EFER without SCE, LME, LMA, NXE, SVME, LMSLE, FFXSR and TCE. SDM 3A 2.2.1; APM 2 3.1.7. */
const EFER_RESERVED: u64 = ~0xfd01;

/** SDM 2A "MOV—Move to/from Control Registers"; paging.md §1.7. */
export function legalCr0(value: u64): bool {
  if (value >> 32 !== 0) return false;
  if ((value & CR0_PG) !== 0 && (value & CR0_PE) === 0) return false;
  if ((value & CR0_NW) !== 0 && (value & CR0_CD) === 0) return false;
  /* CR0.WP and CR4.CET: SDM 3A 2.5. */
  if ((value & CR0_WP) === 0 && (registers.cr4 & CR4_CET) !== 0) return false;
  if (((value ^ registers.cr0) & CR0_PG) === 0) return true;
  /* Entering IA-32e mode needs PAE, from a segment that is not 64-bit: SDM 3A 10.8.5.3. */
  if ((value & CR0_PG) !== 0)
    return (registers.efer & EFER_LME) === 0 || ((registers.cr4 & CR4_PAE) !== 0 && !codeSegmentLong);
  /* Leaving it needs compatibility mode, and no PCIDs: SDM 3A 10.8.5.4, 4.10.1. */
  return !(isLongMode() && codeSegmentLong) && (registers.cr4 & CR4_PCIDE) === 0;
}

/** SDM 3A 4.5, 4.10.1: no address bit beyond MAXPHYADDR; bit 63 only with PCIDs. Outside IA-32e mode the operand has 32 bits. */
export function legalCr3(value: u64): bool {
  if (!isLongMode()) return true;
  const address = (registers.cr4 & CR4_PCIDE) !== 0 ? value & ~CR3_NO_FLUSH : value;
  return address >> parameter(Parameter.guestAddressBits) === 0;
}

/** SDM 2A "MOV—Move to/from Control Registers"; SDM 3A 4.1.2, 4.10.1. */
export function legalCr4(value: u64): bool {
  if ((value & CR4_RESERVED) !== 0) return false;
  if ((value & CR4_CET) !== 0 && (registers.cr0 & CR0_WP) === 0) return false;
  const changed = value ^ registers.cr4;
  if (isLongMode()) {
    if ((value & CR4_PAE) === 0) return false;
    if ((changed & CR4_LA57) !== 0) return false;
  }
  if ((changed & value & CR4_PCIDE) === 0) return true;
  return isLongMode() && (cr3 & CR3_PCID) === 0;
}

/** SDM 3A 2.2.1, 10.8.5: LME does not change under paging; LMA is the CPU's own. */
export function legalEfer(value: u64): bool {
  if ((value & EFER_RESERVED) !== 0) return false;
  return ((value ^ registers.efer) & EFER_LME) === 0 || !isPaging();
}

/** CR0.PG and EFER.LME make EFER.LMA. SDM 3A 10.8.5. */
export function activeLongMode(cr0: u64, efer: u64): u64 {
  return (cr0 & CR0_PG) !== 0 && (efer & EFER_LME) !== 0 ? efer | EFER_LMA : efer & ~EFER_LMA;
}

/** SDM 2A INVPCID; `descriptor` is bits 63:0 of its operand. */
export function legalInvpcid(type: u64, descriptor: u64, va: u64): bool {
  if (type > 3 || (descriptor & ~CR3_PCID) !== 0) return false;
  if (type < 2 && (registers.cr4 & CR4_PCIDE) === 0 && descriptor !== 0) return false;
  return type !== 0 || isCanonical(va, guest.format);
}

/** SDM 2A INVLPG: a non-canonical address is a NOP. */
export function translatable(va: u64): bool {
  return isCanonical(va, guest.format);
}

/** SDM 3C 31.3 INVVPID; the CPU has all four types. `descriptor` is bits 63:0 of its operand. */
export function legalInvvpid(type: u64, descriptor: u64, va: u64): bool {
  if (type > 3 || descriptor >> 16 !== 0) return false;
  if (type !== 2 && descriptor === 0) return false;
  return type !== 0 || isCanonical(va, guest.format);
}

/** SDM 3C 31.3 INVEPT: single-context and global; the operand's high half is reserved. */
export function legalInvept(type: u64, eptp: u64, high: u64): bool {
  if (type !== 1 && type !== 2) return false;
  return high === 0 && (type === 2 || legalEptp(eptp));
}

/** SDM 3C 27.2.1.1: a VPID has 16 bits, and 0 is the host's own. */
export function legalVpid(vpid: u64): bool {
  return vpid !== 0 && vpid >> 16 === 0;
}

/** SDM 3A 12.12.2: a reserved type in a field of IA32_PAT is a #GP. */
export function legalPat(value: u64): bool {
  for (let i: u64 = 0; i < 64; i += 8) {
    const type = (value >> i) & 0xff;
    if (type > 7 || type === 2 || type === 3) return false;
  }
  return true;
}

/** SDM 3C 25.6.11: memory type UC or WB, a walk of 4 levels (5 where the CPU has them), the rest zero. */
export function legalEptp(eptp: u64): bool {
  const type = eptp & 7;
  if (type !== 0 && type !== 6) return false;
  const levels = ((eptp >> 3) & 7) + 1;
  if (levels !== 4 && !(levels === 5 && parameter(Parameter.hostLevels) === 5)) return false;
  return (eptp & 0xf80) === 0 && eptp >> parameter(Parameter.hostAddressBits) === 0;
}
