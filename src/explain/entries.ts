import type { Bit, Decoded, Hex, PageSizeName, Tables } from "./types.js";

/** Entries of page tables as a person reads them. Bits: SDM 3A tables 4-5 to 4-20, 3C tables 29-1 to 29-7. */

export function hex(value: bigint): Hex {
  return `0x${value.toString(16)}`;
}

const FRAME = 0x000f_ffff_ffff_f000n;
const NAMES = ["", "PTE", "PDE", "PDPTE", "PML4E", "PML5E"];

/** "PDPTE", "EPT PDPTE", "shadow PDPTE". */
export function entryName(tables: Tables, level: number, second: "EPT" | "NPT" | null): string {
  const prefix = tables === "host" ? `${second} ` : tables === "shadow" ? "shadow " : "";
  return prefix + NAMES[level]!;
}

/** How the entries of one set of tables are laid out. */
export interface Layout {
  kind: "page tables" | "EPT" | "NPT";
  levels: number;
  entryBytes: number;
  noExecute: boolean;
  pse36: boolean;
  /** EPT: accessed and dirty flags are on; mode-based execute control is on. */
  flags: boolean;
  modeBased: boolean;
}

const LEAF_SIZES: readonly (PageSizeName | undefined)[] = [undefined, "4k", "2m", "1g"];

function bitOf(value: bigint, at: number, name: string, whenSet: string, whenClear: string): Bit {
  const set = ((value >> BigInt(at)) & 1n) !== 0n;
  return { name, set, meaning: set ? whenSet : whenClear };
}

function isLeaf(value: bigint, level: number): boolean {
  return level === 1 || (level < 4 && (value & 0x80n) !== 0n);
}

/** `reserved` are the reserved bits that are set. */
export function decodeEntry(value: bigint, level: number, layout: Layout, reserved: bigint): Decoded {
  const ept = layout.kind === "EPT";
  const present = ept ? (value & (layout.modeBased ? 0x407n : 7n)) !== 0n : (value & 1n) !== 0n;
  if (!present)
    return { type: "notPresent", bits: [presence(ept)], text: value === 0n ? "empty" : "not present" };
  const leaf = isLeaf(value, level) && !(layout.entryBytes === 4 && level === 2 && !layout.pse36);
  const bits = ept ? eptBits(value, leaf, layout) : pageBits(value, level, leaf, layout);
  const key = !ept && leaf && layout.levels >= 4 ? Number((value >> 59n) & 15n) : 0;
  const memoryType = ept && leaf ? MEMORY_TYPES[Number((value >> 3n) & 7n)]! : undefined;
  const named = bits.filter(({ set }) => set).map(({ name }) => name.replace("/", ""));
  const text = [
    ...named,
    ...(memoryType === undefined ? [] : [memoryType]),
    ...(key === 0 ? [] : [`key ${key}`]),
    ...(reserved === 0n ? [] : [`reserved ${reservedText(reserved)}`]),
  ].join(" ");
  const size = leaf ? (layout.entryBytes === 4 && level === 2 ? "4m" : LEAF_SIZES[level]) : undefined;
  return {
    type: reserved !== 0n ? "reserved" : leaf ? "leaf" : "table",
    frame: hex(frameOf(value, level, leaf, layout)),
    ...(size === undefined ? {} : { size }),
    bits,
    text,
    ...(key === 0 ? {} : { key }),
    ...(memoryType === undefined ? {} : { memoryType }),
    ...(reserved === 0n ? {} : { reserved: hex(reserved) }),
  };
}

function presence(ept: boolean): Bit {
  return ept
    ? { name: "R", set: false, meaning: "not present: no right at all" }
    : { name: "P", set: false, meaning: "not present" };
}

function frameOf(value: bigint, level: number, leaf: boolean, { entryBytes, pse36 }: Layout): bigint {
  if (entryBytes === 4) {
    if (leaf && level === 2 && pse36) return (value & 0xffc0_0000n) | (((value >> 13n) & 0xffn) << 32n);
    return value & 0xffff_f000n;
  }
  return leaf ? value & FRAME & ~((1n << BigInt(12 + 9 * (level - 1))) - 1n) : value & FRAME;
}

function pageBits(value: bigint, level: number, leaf: boolean, layout: Layout): Bit[] {
  const plain = layout.levels === 3 && level === 3;
  const bit = (at: number, name: string, set: string, clear: string) => bitOf(value, at, name, set, clear);
  const rights = plain
    ? []
    : [bit(1, "R/W", "writes allowed", "read-only"), bit(2, "U/S", "user", "supervisor only")];
  const upper =
    level > 1 ? [bit(7, "PS", "a large page", "leads to a table")] : [bit(7, "PAT", "PAT", "no PAT")];
  return [
    bit(0, "P", "present", "not present"),
    ...rights,
    bit(3, "PWT", "write-through", "write-back"),
    bit(4, "PCD", "not cached", "cached"),
    ...(plain ? [] : [bit(5, "A", "accessed", "not accessed yet")]),
    ...(leaf ? [bit(6, "D", "dirty", "clean")] : []),
    ...(plain ? [] : upper),
    ...(leaf ? [bit(8, "G", "global", "of one address space")] : []),
    ...(leaf && level > 1 ? [bit(12, "PAT", "PAT", "no PAT")] : []),
    ...(layout.entryBytes === 8 && !plain
      ? [bit(63, "XD", layout.noExecute ? "not executable" : "reserved without EFER.NXE", "executable")]
      : []),
  ];
}

const MEMORY_TYPES = ["UC", "WC", "type 2", "type 3", "WT", "WP", "WB", "type 7"];

function eptBits(value: bigint, leaf: boolean, layout: Layout): Bit[] {
  const bit = (at: number, name: string, set: string, clear: string) => bitOf(value, at, name, set, clear);
  return [
    bit(0, "R", "reads allowed", "no reads"),
    bit(1, "W", "writes allowed", "no writes"),
    layout.modeBased
      ? bit(2, "XS", "executable from supervisor pages", "not executable from supervisor pages")
      : bit(2, "X", "executable", "not executable"),
    ...(layout.modeBased
      ? [bit(10, "XU", "executable from user pages", "not executable from user pages")]
      : []),
    ...(leaf ? [bit(6, "IPAT", "the guest's PAT is ignored", "the guest's PAT counts")] : []),
    ...(leaf || (value & 0x80n) !== 0n ? [bit(7, "PS", "a large page", "a page of 4 KiB")] : []),
    ...(layout.flags ? [bit(8, "A", "accessed", "not accessed yet")] : []),
    ...(layout.flags && leaf ? [bit(9, "D", "dirty", "clean")] : []),
    ...(leaf ? [bit(63, "SVE", "a violation is an exit", "a violation may be a #VE")] : []),
  ];
}

/** "bit 51" or "bits 51, 50". */
export function reservedText(reserved: bigint): string {
  const bits = Array.from({ length: 64 }, (_, i) => 63 - i).filter((i) => (reserved >> BigInt(i)) & 1n);
  return `bit${bits.length > 1 ? "s" : ""} ${bits.join(", ")}`;
}

/** Data of a TLB entry (assembly/mmu/tlb.ts). */
export function tlbEntry(data: bigint) {
  const size = (at: bigint): PageSizeName =>
    (["4k", "2m", "1g", "4m", "16k"] as const)[Number((data >> at) & 7n)] ?? "4k";
  const has = (bit: number) => ((data >> BigInt(bit)) & 1n) !== 0n;
  return {
    address: data & FRAME,
    size: size(52n),
    stage1Size: size(55n),
    write: has(0),
    user: has(1),
    execute: has(2),
    dirty: has(3),
    global: has(6),
    key: Number((data >> 8n) & 15n),
    rights: [
      has(5) ? "R" : "",
      has(0) && has(4) ? "W" : "",
      has(2) ? "X" : "",
      has(1) ? " user" : " supervisor",
      has(3) ? " dirty" : " clean",
      has(6) ? " global" : "",
    ].join(""),
  };
}
