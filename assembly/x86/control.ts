/** Bits of the control registers that paging reads. SDM 3A 2.5, 4.1.3; EFER: 2.2.1. */
export const CR0_PE: u64 = 1;
export const CR0_NW: u64 = 1 << 29;
export const CR0_WP: u64 = 1 << 16;
export const CR0_CD: u64 = 1 << 30;
export const CR0_PG: u64 = 1 << 31;

export const CR3_NO_FLUSH: u64 = 1 << 63;
export const CR3_PCID: u64 = 0xfff;

export const CR4_PSE: u64 = 1 << 4;
export const CR4_PAE: u64 = 1 << 5;
export const CR4_PGE: u64 = 1 << 7;
export const CR4_LA57: u64 = 1 << 12;
export const CR4_PCIDE: u64 = 1 << 17;
export const CR4_SMEP: u64 = 1 << 20;
export const CR4_SMAP: u64 = 1 << 21;
export const CR4_PKE: u64 = 1 << 22;
export const CR4_CET: u64 = 1 << 23;
export const CR4_PKS: u64 = 1 << 24;

export const EFER_LME: u64 = 1 << 8;
export const EFER_LMA: u64 = 1 << 10;
export const EFER_NXE: u64 = 1 << 11;
