import { bit, has } from "./bits.js";

export const CR0 = { WP: bit(16), PG: bit(31) } as const;
export const CR4 = {
  PSE: bit(4),
  PAE: bit(5),
  LA57: bit(12),
  SMEP: bit(20),
  SMAP: bit(21),
  PKE: bit(22),
  CET: bit(23),
  PKS: bit(24),
} as const;
export const EFER = { LME: bit(8), LMA: bit(10), NXE: bit(11), SVME: bit(12) } as const;

export interface Registers {
  cr0: bigint;
  cr3: bigint;
  cr4: bigint;
  efer: bigint;
  pkru: bigint;
  pkrs: bigint;
  /** EFLAGS.AC */
  ac: boolean;
  /** For the record only: Access.user decides, because implicit accesses and WRUSS do not follow CPL. */
  cpl: number;
  maxphyaddr: number;
  vendor: "intel" | "amd";
  /** PAE paging uses these four registers, not memory, except under NPT (see loadPdptes). */
  pdptes?: readonly [bigint, bigint, bigint, bigint];
  /** CPUID.80000001H:EDX.Page1GB; true when left out. */
  gbPages?: boolean;
  /** CPUID.1:EDX.PSE-36; true when left out. */
  pse36?: boolean;
}

export interface Access {
  kind: "read" | "write" | "fetch";
  user: boolean;
  /** Descriptor-table and TSS accesses: supervisor-mode at any CPL (SDM 3A 4.6). */
  implicit: boolean;
  shadowStack?: boolean;
}

export type PagingMode = "none" | "32-bit" | "pae" | "4-level" | "5-level";

/** SDM 3A 4.1.1, Figure 4-1. */
export function pagingMode(regs: Pick<Registers, "cr0" | "cr4" | "efer">): PagingMode {
  if (!has(regs.cr0, CR0.PG)) return "none";
  if (!has(regs.cr4, CR4.PAE)) return "32-bit";
  if (!has(regs.efer, EFER.LMA)) return "pae";
  return has(regs.cr4, CR4.LA57) ? "5-level" : "4-level";
}

/** SDM 3A 4.5.1 and Vol. 1 3.3.7.1: the bits above the translated ones repeat the highest of these. */
export function isCanonical(mode: PagingMode, gva: bigint): boolean {
  const width = mode === "5-level" ? 57 : 48;
  return BigInt.asUintN(64, BigInt.asIntN(width, gva)) === gva;
}
