import { EventType } from "../records.js";
import type { GuestEvent } from "./decode.js";

/** What a walk of the recorded tables finds. Frames are guest frame numbers. */
export interface Leaf {
  frame: number;
  /** log2 of the leaf's size in bytes: 12, 21, 22 or 30. */
  shift: number;
  user: boolean;
  write: boolean;
  execute: boolean;
  global: boolean;
}

/** A walk that ends without a leaf. */
export type NoLeaf = "not present" | "its table page is not in the trace";

const CR0_WP = 1n << 16n;
const CR0_PG = 1n << 31n;
const CR4_PSE = 1n << 4n;
const CR4_PAE = 1n << 5n;
const CR4_LA57 = 1n << 12n;
const CR4_PCIDE = 1n << 17n;
const CR4_SMEP = 1n << 20n;
const CR4_SMAP = 1n << 21n;
/** LME, LMA: the CPU itself sets the second when paging goes on, which a recorder need not see. */
const EFER_LONG = (1n << 8n) | (1n << 10n);
const EFER_NXE = 1n << 11n;
const NO_FLUSH = 1n << 63n;
const FRAME = 0x000f_ffff_ffff_f000n;

/** "0x..." */
export function hexOf(value: bigint | number): string {
  return `0x${value.toString(16)}`;
}

/** The 4 KiB page of an address, as a number that Map takes. */
export function pageOf(hi: number, lo: number): number {
  return (hi >>> 0) * 0x10_0000 + (lo >>> 12);
}

/** The address of a page. */
export function addressOf(page: number): bigint {
  return BigInt(page) << 12n;
}

/**
 * The guest's registers and page tables as the trace has them, and a walk of those tables (Intel SDM volume 3, chapter
 * 5). It shares nothing with the walker of the core, which it checks.
 */
export class GuestTables {
  cr0 = 0n;
  cr3 = 0n;
  cr4 = 0n;
  efer = 0n;
  pkru = 0n;
  cpl = 3;
  ac = false;
  /** Table pages by frame. */
  readonly frames = new Map<number, { level: number; entries: BigUint64Array }>();
  #found = new Map<number, Leaf | NoLeaf>();

  get paging(): boolean {
    return (this.cr0 & CR0_PG) !== 0n;
  }
  get pcid(): number {
    return this.cr4 & CR4_PCIDE ? Number(this.cr3 & 0xfffn) : 0;
  }
  get writeProtect(): boolean {
    return (this.cr0 & CR0_WP) !== 0n;
  }
  get smep(): boolean {
    return (this.cr4 & CR4_SMEP) !== 0n;
  }
  get smap(): boolean {
    return (this.cr4 & CR4_SMAP) !== 0n;
  }
  /** How the guest pages now. */
  get mode(): "no paging" | "32-bit" | "PAE" | "4-level" | "5-level" {
    if (!this.paging) return "no paging";
    if (!(this.cr4 & CR4_PAE)) return "32-bit";
    if (!(this.efer & EFER_LONG)) return "PAE";
    return this.cr4 & CR4_LA57 ? "5-level" : "4-level";
  }

  /** Takes over an event; gives a sentence when it cannot be. */
  apply({ type, values, entries }: GuestEvent): string | undefined {
    switch (type) {
      case EventType.CR0:
        this.cr0 = values[0]!;
        break;
      case EventType.CR3:
        if (values[0]! & NO_FLUSH && !(this.cr4 & CR4_PCIDE))
          return "CR3 is loaded with the no-flush bit, but CR4.PCIDE is 0";
        this.cr3 = values[0]! & ~NO_FLUSH;
        break;
      case EventType.CR4:
        this.cr4 = values[0]!;
        break;
      case EventType.EFER:
        this.efer = values[0]!;
        break;
      case EventType.PKRU:
        this.pkru = values[0]!;
        return undefined;
      case EventType.MODE:
        this.cpl = Number(values[0]! & 3n);
        this.ac = (values[0]! & 4n) !== 0n;
        return undefined;
      case EventType.PTP: {
        const page = new BigUint64Array(512);
        for (const [i, value] of entries!) page[i] = value;
        this.frames.set(Number(values[0]), { level: Number(values[1]), entries: page });
        break;
      }
      case EventType.PTPDROP:
        if (!this.frames.delete(Number(values[0])))
          return `frame ${hexOf(values[0]!)} is dropped, but is no table page`;
        break;
      case EventType.PTW: {
        const page = this.frames.get(Number(values[0]! >> 12n));
        if (!page) return `the entry at ${hexOf(values[0]!)} is written, but lies in no table page`;
        page.entries[Number((values[0]! >> 3n) & 511n)] = values[1]!;
        break;
      }
      case EventType.INSN:
        return values[0]! < 4n || values[0]! > 8n ? `instruction ${values[0]} is not defined` : undefined;
      default:
        return undefined;
    }
    if (this.#found.size > 0) this.#found.clear();
    return undefined;
  }

  /** Walks the tables for a 4 KiB page of gva. */
  translate(page: number): Leaf | NoLeaf {
    let found = this.#found.get(page);
    if (found === undefined) {
      found = this.#walk(addressOf(page));
      this.#found.set(page, found);
    }
    return found;
  }

  /** The frame of a 4 KiB page within a leaf. */
  static frameOf(leaf: Leaf, page: number): number {
    const pages = 2 ** (leaf.shift - 12);
    return leaf.frame + (page % pages);
  }

  #walk(gva: bigint): Leaf | NoLeaf {
    const mode = this.mode;
    if (mode === "no paging") {
      const frame = Number((gva & 0xffff_ffffn) >> 12n);
      return { frame, shift: 12, user: true, write: true, execute: true, global: false };
    }
    if (mode === "32-bit") return this.#walk32(gva & 0xffff_ffffn);
    const nx = (this.efer & EFER_NXE) !== 0n;
    const leaf: Leaf = { frame: 0, shift: 12, user: true, write: true, execute: true, global: false };
    let table = this.cr3 & FRAME;
    let level = mode === "5-level" ? 5 : 4;
    let skip = 0;
    if (mode === "PAE") {
      level = 3;
      table = this.cr3 & 0xffff_f000n;
      skip = Number((this.cr3 >> 3n) & 0x1fcn);
      gva &= 0xffff_ffffn;
    }
    for (; ; level--) {
      const page = this.frames.get(Number(table >> 12n));
      if (!page) return "its table page is not in the trace";
      const shift = 12 + 9 * (level - 1);
      const top = mode === "PAE" && level === 3;
      const index = Number((gva >> BigInt(shift)) & (top ? 3n : 511n)) + (top ? skip : 0);
      const entry = page.entries[index]!;
      if (!(entry & 1n)) return "not present";
      if (!top) {
        leaf.write &&= (entry & 2n) !== 0n;
        leaf.user &&= (entry & 4n) !== 0n;
        if (nx && entry >> 63n) leaf.execute = false;
      }
      if (level === 1 || (!top && level <= 3 && entry & 0x80n)) {
        const mask = (1n << BigInt(shift)) - 1n;
        leaf.frame = Number((entry & FRAME & ~mask) >> 12n);
        leaf.shift = shift;
        leaf.global = (entry & 0x100n) !== 0n;
        return leaf;
      }
      table = entry & FRAME;
    }
  }

  #walk32(gva: bigint): Leaf | NoLeaf {
    const entryAt = (table: bigint, index: number): number | undefined => {
      const page = this.frames.get(Number(table >> 12n));
      if (!page) return undefined;
      return Number((page.entries[index >> 1]! >> (index & 1 ? 32n : 0n)) & 0xffff_ffffn);
    };
    const pde = entryAt(this.cr3 & 0xffff_f000n, Number(gva >> 22n));
    if (pde === undefined) return "its table page is not in the trace";
    if (!(pde & 1)) return "not present";
    const leaf: Leaf = {
      frame: 0,
      shift: 22,
      user: (pde & 4) !== 0,
      write: (pde & 2) !== 0,
      execute: true,
      global: (pde & 0x100) !== 0,
    };
    if (pde & 0x80 && this.cr4 & CR4_PSE) {
      // PSE-36: bits 13-20 are bits 32-39 of the address.
      leaf.frame = (pde >>> 22) * 1024 + ((pde >>> 13) & 0xff) * 0x10_0000;
      return leaf;
    }
    const pte = entryAt(BigInt(pde >>> 12) << 12n, Number((gva >> 12n) & 1023n));
    if (pte === undefined) return "its table page is not in the trace";
    if (!(pte & 1)) return "not present";
    leaf.shift = 12;
    leaf.frame = pte >>> 12;
    leaf.user &&= (pte & 4) !== 0;
    leaf.write &&= (pte & 2) !== 0;
    leaf.global = (pte & 0x100) !== 0;
    return leaf;
  }
}
