import { bit, bits, has } from "./bits.js";
import { CR4, EFER, type PagingMode, type Registers } from "./registers.js";

export const P = bit(0);
export const RW = bit(1);
export const US = bit(2);
export const A = bit(5);
export const D = bit(6);
export const PS = bit(7);
export const G = bit(8);
export const XD = bit(63);

/** What decides the layout of an entry; the host's own values when the tables are NPT's. */
export interface Format {
  mode: Exclude<PagingMode, "none">;
  maxphyaddr: number;
  vendor: "intel" | "amd";
  nxe: boolean;
  pse: boolean;
  pse36: boolean;
  gbPages: boolean;
}

const LEVELS = { "32-bit": 2, pae: 3, "4-level": 4, "5-level": 5 } as const;

export function rootLevel(format: Format): number {
  return LEVELS[format.mode];
}

export function entryBytes(format: Format): 4 | 8 {
  return format.mode === "32-bit" ? 4 : 8;
}

/** CR3 (or nCR3) without its flags or PCID: SDM 3A Tables 4-3, 4-7 and 4-12. */
export function rootAddress(format: Format, cr3: bigint): bigint {
  if (format.mode === "32-bit") return cr3 & bits(31, 12);
  if (format.mode === "pae") return cr3 & bits(31, 5);
  return cr3 & bits(format.maxphyaddr - 1, 12);
}

/** log2 of the bytes one entry of this level covers. */
export function levelShift(format: Format, level: number): number {
  return 12 + (format.mode === "32-bit" ? 10 : 9) * (level - 1);
}

export function entryAddress(format: Format, table: bigint, level: number, address: bigint): bigint {
  const indexBits = format.mode === "32-bit" ? 10 : format.mode === "pae" && level === 3 ? 2 : 9;
  const index = (address >> BigInt(levelShift(format, level))) & bits(indexBits - 1, 0);
  return table + index * BigInt(entryBytes(format));
}

/** PAE's PDPTE has neither rights nor an accessed flag (SDM 3A Table 4-8). */
export function isBarePdpte(format: Format, level: number): boolean {
  return format.mode === "pae" && level === 3;
}

export function isLeaf(format: Format, level: number, entry: bigint): boolean {
  if (level === 1) return true;
  if (!has(entry, PS)) return false;
  // SDM 3A 4.3: with CR4.PSE=0, 32-bit paging ignores PS.
  if (format.mode === "32-bit") return format.pse;
  return level === 2 || (level === 3 && format.mode !== "pae");
}

/** The bits that must be zero in a present entry: SDM 3A Tables 4-4 to 4-20, APM 2 5.2-5.3. */
export function reservedBits(format: Format, level: number, leaf: boolean): bigint {
  if (format.mode === "32-bit") {
    if (level === 1 || !leaf) return 0n;
    return bits(21, wideAddressBits(format) + 13);
  }

  const m = format.maxphyaddr;
  if (format.mode === "pae") {
    if (level === 3) return bits(2, 1) | bits(8, 5) | bits(63, m);
    const high = bits(62, m) | (format.nxe ? 0n : XD);
    return level === 2 && leaf ? high | bits(20, 13) : high;
  }

  let reserved = bits(51, m) | (format.nxe ? 0n : XD);
  // APM 2 5.3.3 has bit 8 MBZ in a PML5E and PML4E, where Intel ignores it.
  if (level >= 4) reserved |= PS | (format.vendor === "amd" ? G : 0n);
  if (level === 3 && leaf) reserved |= format.gbPages ? bits(29, 13) : PS;
  if (level === 2 && leaf) reserved |= bits(20, 13);
  return reserved;
}

/** The physical address in an entry: of the next table, or of the page when it is a leaf. */
export function frameAddress(format: Format, level: number, leaf: boolean, entry: bigint): bigint {
  const low = leaf ? levelShift(format, level) : 12;
  if (format.mode !== "32-bit") return entry & bits(format.maxphyaddr - 1, low);
  const address = entry & bits(31, low);
  if (level === 1 || !leaf) return address;
  const wide = wideAddressBits(format);
  return address | (((entry >> 13n) & bits(wide - 1, 0)) << 32n);
}

/** SDM 3A Table 4-4: a 4-MByte PDE holds address bits (M-1):32 in (M-20):13, M = min(MAXPHYADDR, 40). */
function wideAddressBits(format: Format): number {
  return format.pse36 ? Math.max(0, Math.min(format.maxphyaddr, 40) - 32) : 0;
}

export function stage1Format(mode: Format["mode"], regs: Registers): Format {
  return {
    mode,
    maxphyaddr: regs.maxphyaddr,
    vendor: regs.vendor,
    nxe: has(regs.efer, EFER.NXE),
    pse: has(regs.cr4, CR4.PSE),
    pse36: regs.pse36 ?? true,
    gbPages: regs.gbPages ?? true,
  };
}
