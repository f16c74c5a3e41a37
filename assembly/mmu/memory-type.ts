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

/** IA32_PAT at reset, SDM 3A table 12-12: the guest's, and that of a host with NPT. */
let guestPat: u64 = 0x0007_0406_0007_0406;
let hostPat: u64 = 0x0007_0406_0007_0406;
export function setPat(value: u64, ofHost: bool): void {
  if (ofHost) hostPat = value;
  else guestPat = value;
}

/** Type that a leaf of `level`, the guest's or of NPT, names by its PAT, PCD and PWT bits. SDM 3A 4.9.2. */
export function patType(leaf: u64, level: u32, ofHost: bool = false): u32 {
  if (level === 0) return MemoryType.writeBack;
  const pat = ofHost ? hostPat : guestPat;
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

/**
 * Type of the host's PAT and the guest's together. APM 2 15.25.8: what is write-back in one is what the other says. Of two
 * that differ otherwise this keeps to what both allow, uncacheable.
 */
export function combinePats(host: u32, its: u32): u32 {
  if (host === MemoryType.writeBack || host === its) return its;
  return its === MemoryType.writeBack ? host : MemoryType.uncacheable;
}

/** Bits of a second-stage leaf that decide about the type: the type in bits 0-2, "ignore PAT" in bit 3. */
export function eptTypeBits(leaf: u64): u32 {
  return <u32>((leaf & (EPT_TYPE | EPT_IGNORE_PAT)) >> 3);
}
