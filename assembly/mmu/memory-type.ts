import { EPT_IGNORE_PAT, EPT_TYPE } from "../x86/entries";

/** Memory types as IA32_PAT and EPT entries code them. SDM 3A 12.3, 12.12.2. */
export enum MemoryType {
  uncacheable,
  writeCombining,
  writeThrough = 4,
  writeProtected,
  writeBack,
  /** UC-: gives way to write combining. In IA32_PAT only. */
  uncacheableMinus,
}

/** IA32_PAT at reset. SDM 3A table 12-12. */
let pat: u64 = 0x0007_0406_0007_0406;
export function setPat(value: u64): void {
  pat = value;
}

/** Type that a guest leaf of `level` names by its PAT, PCD and PWT bits. SDM 3A 4.9.2. */
export function patType(leaf: u64, level: u32): u32 {
  if (level === 0) return MemoryType.writeBack;
  const high = (leaf >> (level === 1 ? 7 : 12)) & 1;
  const index = ((leaf >> 3) & 3) | (high << 2);
  return <u32>(pat >> (index << 3)) & 7;
}

/** SDM 3A table 12-7: for each type of the MTRRs the types of the PAT, a nibble each. */
const combined = memory.data<u32>([
  0x0000_0010, 0x1100_0010, 0, 0, 0x0454_0010, 0x1554_0010, 0x0654_0010, 0x0000_0010,
]);

/** Effective type of a page of `pat`'s type where the MTRRs, or EPT in their place (SDM 3C 29.3.7.2), say `range`. */
export function combineTypes(range: u32, its: u32): u32 {
  return (load<u32>(combined + ((<usize>range & 7) << 2)) >> (its << 2)) & 7;
}

/** Bits of a second-stage leaf that decide about the type: the type in bits 0-2, "ignore PAT" in bit 3. */
export function eptTypeBits(leaf: u64): u32 {
  return <u32>((leaf & (EPT_TYPE | EPT_IGNORE_PAT)) >> 3);
}
