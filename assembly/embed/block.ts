/**
 * What passes between a host and the core: one block of 64-bit cells.
 *
 *   0 cr0  1 cr3  2 cr4  3 efer  4 pkru  5 pkrs  6 EFLAGS.AC  7-10 PAE level-3 entries  11 EPTP or nCR3
 *   12 address  13 value or second operand  14 VPID or ASID  15 CS.L
 *   16 host-physical address  17 guest-physical address  18 TLB entry (mmu/tlb.ts)  19 stage-1 rights
 *   20 error code  21 CR2 or guest-linear address  22 qualification  23 guest-physical address of the exit
 *   24 table entries read  25 #VE information area, all ones without  26 EPTP index  27 PML base  28 PML index
 */
const block = memory.data(32 * 8, 16);

export enum Cell {
  cr0,
  cr3,
  cr4,
  efer,
  pkru,
  pkrs,
  ac,
  pdptes,
  secondRoot = 11,
  address,
  value,
  vpid,
  codeLong,
  hostPhysical,
  guestPhysical,
  entry,
  rights,
  errorCode,
  faultAddress,
  qualification,
  exitAddress,
  references,
  veArea,
  eptpIndex,
  pmlBase,
  pmlIndex,
}

export function embedAddress(): usize {
  return block;
}
export function cell(i: u32): u64 {
  return load<u64>(block + ((<usize>i) << 3));
}
export function put(i: u32, value: u64): void {
  store<u64>(block + ((<usize>i) << 3), value);
}
