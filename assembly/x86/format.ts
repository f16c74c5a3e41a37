import {
  ACCESSED,
  DIRTY,
  EPT_ACCESSED,
  EPT_DIRTY,
  EPT_EXECUTE,
  EPT_EXECUTE_USER,
  EPT_READ,
  EPT_WRITE,
  FRAME,
  LARGE,
  NO_EXECUTE,
  PRESENT,
  USER_PAGE,
  WRITABLE,
} from "./entries";

/** Kinds of format: what the rights bits of an entry mean, and how a refusal is reported. */
export const KIND_PAGE_TABLE: u32 = 0;
export const KIND_EPT: u32 = 1;
export const KIND_NPT: u32 = 2;

/**
 * One format of paging structures as data: everything the walker must know of 32-bit, PAE, 4-level, 5-level
 * tables, EPT and NPT. Recomputed when a register that it depends on changes; a walk then checks each entry with
 * one AND per rule.
 *
 * `reserved` holds the reserved bits by level and PS: index level * 2 + PS.
 */
export class Format {
  kind: u32 = KIND_PAGE_TABLE;
  /** Levels of tables; 0 when paging is off. */
  levels: u32 = 0;
  /** log2 of the bytes of an entry: 3, or 2 for 32-bit paging. */
  entryShift: u32 = 3;
  /** Address bits each level consumes: 9, or 10 for 32-bit paging. */
  indexBits: u32 = 9;
  /** The index of the top level is cut to these bits: 2 bits under PAE. */
  topMask: u64 = 0x1ff;
  /** An entry with none of these bits is not present. */
  present: u64 = PRESENT;
  /** Levels (bit n: level n) where PS makes a leaf. Level 1 always is one. */
  largeLevels: u32 = 0;
  /** Rights bits, after `invert` all of the kind that combine by AND. */
  rights: u64 = 0;
  invert: u64 = 0;
  /** Accessed and dirty flags; 0 where the format has none. */
  accessed: u64 = 0;
  dirty: u64 = 0;
  /** Page number of a table or a leaf. */
  frame: u64 = FRAME;
  reserved: StaticArray<u64> = new StaticArray<u64>(12);
  /** Combinations of bits 2:0 (and 10) that misconfigure an EPT entry: bit n set for the combination n. */
  badRights: u32 = 0;
  /** PSE-36: a 4 MiB leaf has physical bits 39:32 in bits 20:13. */
  pse36: bool = false;
  /** PAE: the level-3 entries hold neither rights nor flags. */
  plainTop: bool = false;
  /** PAE: the level-3 entries are registers, loaded by MOV CR (SDM 3A 4.4.1); not so under NPT (APM 2 15.25.10). */
  pdpteRegisters: bool = false;

  shiftOf(level: u32): u32 {
    return 12 + this.indexBits * (level - 1);
  }

  /** Physical address of the page that leaf `entry` at `level` maps. */
  leafAddress(entry: u64, level: u32): u64 {
    if (this.pse36 && level === 2) return (entry & 0xffc0_0000) | (((entry >> 13) & 0xff) << 32);
    return entry & this.frame & ~(((<u64>1) << this.shiftOf(level)) - 1);
  }
}

/** Bits 51 down to `width`: physical-address bits that the CPU does not have. */
function beyond(width: u32): u64 {
  return FRAME & ~(((<u64>1) << width) - 1);
}

function bits(high: u32, low: u32): u64 {
  return (((<u64>1) << (high + 1)) - 1) & ~(((<u64>1) << low) - 1);
}

/** SDM 1 3.3.7.1: the bits above the translated ones repeat the highest of these; 4- and 5-level paging only. */
export function isCanonical(address: u64, format: Format): bool {
  if (format.levels < 4) return true;
  const above: u32 = format.levels === 5 ? 7 : 16;
  return <u64>(<i64>(address << above) >> above) === address;
}

/** Ordinary 4- or 5-level tables. Reserved bits: SDM 3A 4.5 and 4.7; AMD's bit 8 of upper entries: APM 2 5.3.3. */
export function longFormat(
  format: Format,
  levels: u32,
  width: u32,
  noExecute: bool,
  page1g: bool,
  amd: bool,
): void {
  format.kind = KIND_PAGE_TABLE;
  format.levels = levels;
  format.entryShift = 3;
  format.indexBits = 9;
  format.topMask = 0x1ff;
  format.present = PRESENT;
  format.largeLevels = page1g ? (1 << 2) | (1 << 3) : 1 << 2;
  format.rights = noExecute ? WRITABLE | USER_PAGE | NO_EXECUTE : WRITABLE | USER_PAGE;
  format.invert = noExecute ? NO_EXECUTE : 0;
  format.accessed = ACCESSED;
  format.dirty = DIRTY;
  format.frame = FRAME;
  format.badRights = 0;
  format.pse36 = false;
  format.plainTop = false;
  format.pdpteRegisters = false;
  const reserved = format.reserved;
  const always = beyond(width) | (noExecute ? 0 : NO_EXECUTE);
  const upper = always | LARGE | (amd ? (<u64>1) << 8 : 0);
  for (let ps: i32 = 0; ps < 2; ++ps) {
    reserved[10 + ps] = upper;
    reserved[8 + ps] = upper;
    reserved[2 + ps] = always;
  }
  reserved[6] = always;
  reserved[7] = page1g ? always | bits(29, 13) : always | LARGE;
  reserved[4] = always;
  reserved[5] = always | bits(20, 13);
}

/**
 * PAE tables. With `registers` the level-3 entries are checked when they are loaded (`pdpteReserved`); without, as a
 * nested walk or a guest under NPT reads them. SDM 3A 4.4.
 */
export function paeFormat(format: Format, width: u32, noExecute: bool, registers: bool): void {
  longFormat(format, 3, width, noExecute, false, false);
  format.topMask = 3;
  format.plainTop = true;
  format.pdpteRegisters = registers;
  const reserved = format.reserved;
  for (let i: i32 = 2; i < 6; ++i) reserved[i] = reserved[i] | bits(62, 52);
  reserved[6] = pdpteReserved(width);
  reserved[7] = pdpteReserved(width);
}

/** Bits that make a PAE PDPTE illegal when it is loaded. SDM 3A table 4-8. */
export function pdpteReserved(width: u32): u64 {
  return bits(2, 1) | bits(8, 5) | beyond(width) | bits(62, 52) | NO_EXECUTE;
}

/** 32-bit tables; PS is ignored without CR4.PSE, and a 4 MiB leaf has up to 40 physical bits. SDM 3A 4.3. */
export function legacyFormat(format: Format, width: u32, pse: bool): void {
  longFormat(format, 2, 52, false, false, false);
  format.entryShift = 2;
  format.indexBits = 10;
  format.topMask = 0x3ff;
  format.frame = 0xffff_f000;
  format.largeLevels = pse ? 1 << 2 : 0;
  format.pse36 = pse;
  for (let i: i32 = 0; i < 12; ++i) format.reserved[i] = 0;
  /* Bits 20:13 hold physical bits 39:32; those the CPU does not have are reserved, and so is bit 21. */
  const high = min<u32>(max<u32>(width, 32), 40) - 32;
  if (pse) format.reserved[5] = bits(21, 13) & ~((((<u64>1) << high) - 1) << 13);
}

/** Paging off: every address is its own translation. */
export function identityFormat(format: Format): void {
  longFormat(format, 0, 52, false, false, false);
}

/**
 * EPT of 4 or 5 levels. Misconfigurations: SDM 3C 29.3.3.1; accessed and dirty flags: 29.3.5; mode-based execute
 * control: 29.3.3.2.
 */
export function eptFormat(
  format: Format,
  levels: u32,
  width: u32,
  accessedDirty: bool,
  executeOnly: bool,
  modeBased: bool,
): void {
  format.kind = KIND_EPT;
  format.levels = levels;
  format.entryShift = 3;
  format.indexBits = 9;
  format.topMask = 0x1ff;
  format.rights = EPT_READ | EPT_WRITE | EPT_EXECUTE | (modeBased ? EPT_EXECUTE_USER : 0);
  format.present = format.rights;
  format.invert = 0;
  format.largeLevels = (1 << 2) | (1 << 3);
  format.accessed = accessedDirty ? EPT_ACCESSED : 0;
  format.dirty = accessedDirty ? EPT_DIRTY : 0;
  format.frame = FRAME;
  format.pse36 = false;
  format.plainTop = false;
  format.pdpteRegisters = false;
  const reserved = format.reserved;
  const always = beyond(width);
  for (let ps: i32 = 0; ps < 2; ++ps) {
    reserved[10 + ps] = always | bits(7, 3);
    reserved[8 + ps] = always | bits(7, 3);
    reserved[2 + ps] = always;
  }
  reserved[6] = always | bits(6, 3);
  reserved[7] = always | bits(29, 12);
  reserved[4] = always | bits(6, 3);
  reserved[5] = always | bits(20, 12);
  /* Index: R 1, W 2, X 4, XU 8. W without R; execute without R unless the CPU allows it. */
  let bad: u32 = 0;
  for (let i: u32 = 1; i < 16; ++i) {
    const readable = (i & 1) !== 0;
    if (!readable && ((i & 2) !== 0 || !executeOnly)) bad |= 1 << i;
  }
  format.badRights = bad;
}

/** Nested page tables: the host's ordinary format, of a PAE, 4-level or 5-level host. APM 2 15.25. */
export function nptFormat(format: Format, levels: u32, width: u32, noExecute: bool): void {
  if (levels === 3) {
    paeFormat(format, width, noExecute, false);
  } else {
    longFormat(format, levels, width, noExecute, true, true);
  }
  format.kind = KIND_NPT;
}
