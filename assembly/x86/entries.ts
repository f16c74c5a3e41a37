/** Bits of paging-structure entries. SDM 3A tables 4-14 to 4-20; EPT: 3C tables 29-1 to 29-7; APM 2 figures 5-16 to 5-25. */
export const PRESENT: u64 = 1;
export const WRITABLE: u64 = 1 << 1;
export const USER_PAGE: u64 = 1 << 2;
export const ACCESSED: u64 = 1 << 5;
export const DIRTY: u64 = 1 << 6;
export const LARGE: u64 = 1 << 7;
export const GLOBAL: u64 = 1 << 8;
export const NO_EXECUTE: u64 = 1 << 63;
export const KEY_SHIFT: u32 = 59;

export const EPT_READ: u64 = 1;
export const EPT_WRITE: u64 = 1 << 1;
/** Execute; under mode-based execute control, execute from supervisor pages. */
export const EPT_EXECUTE: u64 = 1 << 2;
export const EPT_TYPE: u64 = 7 << 3;
export const EPT_WRITE_BACK: u64 = 6 << 3;
export const EPT_IGNORE_PAT: u64 = 1 << 6;
export const EPT_ACCESSED: u64 = 1 << 8;
export const EPT_DIRTY: u64 = 1 << 9;
/** Execute from user pages, under mode-based execute control. */
export const EPT_EXECUTE_USER: u64 = 1 << 10;
export const EPT_SUPPRESS_VE: u64 = 1 << 63;

/** Bits 51:12, the widest physical page number. */
export const FRAME: u64 = 0x000f_ffff_ffff_f000;

/** Page sizes as the TLBs code them; see `SIZE_SHIFT`. */
export const SIZE_4K: u32 = 0;
export const SIZE_2M: u32 = 1;
export const SIZE_1G: u32 = 2;
export const SIZE_4M: u32 = 3;
/** Four aligned 4 KiB pages that a TLB keeps as one entry: no page size of the architecture. */
export const SIZE_GROUP: u32 = 4;

const SHIFTS: u64 = (14 << 32) | (22 << 24) | (30 << 16) | (21 << 8) | 12;

/** log2 of a coded page size. */
export function sizeShift(size: u32): u32 {
  return <u32>(SHIFTS >> (size << 3)) & 0xff;
}
