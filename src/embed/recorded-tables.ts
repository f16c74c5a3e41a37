import type { RecordEncoder } from "../trace/index.js";
import type { RecordedMmu } from "./recorder.js";

const PRESENT = 1n;
const LARGE = 0x80n;
const FLAGS = 0x60n;
const TWO_FLAGS = FLAGS | (FLAGS << 32n);
const FRAME = 0x000f_ffff_ffff_f000n;
const CR0_PG = 1n << 31n;
const CR4_PSE = 1n << 4n;
const CR4_PAE = 1n << 5n;
const CR4_LA57 = 1n << 12n;
const EFER_LMA = 1n << 10n;

interface Table {
  level: number;
  words: BigUint64Array;
}

interface Mode {
  /** Levels of tables; 0 with paging off. */
  levels: number;
  entryBytes: 4 | 8;
  root: number;
  /** 4 MiB pages of 32-bit paging. */
  pse: boolean;
}

function isLarge(mode: Mode, entry: bigint, level: number): boolean {
  return (entry & LARGE) !== 0n && (level === 2 ? mode.pse : level === 3 && mode.levels > 3);
}

/**
 * The page tables that a trace has told so far, and what it must still be told: a table when it becomes reachable, an
 * entry when it is stored, a table that no entry leads to any more. Accessed and dirty flags that the CPU sets are not told.
 */
export class RecordedTables {
  /** By frame. */
  readonly #known = new Map<number, Table>();
  /** Entries of known tables that lead to a frame, as entries of the current mode. */
  readonly #references = new Map<number, number>();
  /** Frames that something else may lead to: CR3, the PDPTE registers, tables of another mode. They stay tables. */
  readonly #kept = new Set<number>();
  #counted = "";

  constructor(
    readonly mmu: RecordedMmu,
    readonly encoder: RecordEncoder,
  ) {}

  #mode(): Mode {
    const { cr0, cr3, cr4, efer } = this.mmu.state();
    if (!(cr0 & CR0_PG)) return { levels: 0, entryBytes: 8, root: 0, pse: false };
    if (efer & EFER_LMA)
      return { levels: cr4 & CR4_LA57 ? 5 : 4, entryBytes: 8, root: Number(cr3 & FRAME), pse: true };
    if (cr4 & CR4_PAE) return { levels: 3, entryBytes: 8, root: Number(cr3 & 0xffff_ffe0n), pse: true };
    return { levels: 2, entryBytes: 4, root: Number(cr3 & 0xffff_f000n), pse: (cr4 & CR4_PSE) !== 0n };
  }

  /** The mode; references of another one count no longer. */
  #current(): Mode {
    const mode = this.#mode();
    const name = `${mode.levels} ${mode.pse}`;
    if (mode.levels > 0 && name !== this.#counted) {
      for (const frame of this.#known.keys()) this.#kept.add(frame);
      this.#references.clear();
      this.#counted = name;
    }
    return mode;
  }

  /** A register was loaded: tables that are reachable now are told, and a root that was changed behind the MMU's back. */
  reach(): void {
    const mode = this.#current();
    if (mode.levels === 0) return;
    this.#kept.add(Math.floor(mode.root / 4096));
    const root = this.#known.get(Math.floor(mode.root / 4096));
    if (root !== undefined && this.#differs(mode, mode.root, root.words))
      this.#tellAnew(mode, mode.root, mode.levels);
    else this.#tell(mode, mode.root, mode.levels);
  }

  /** Whether a table holds something else than was told, but for flags that the CPU sets. */
  #differs(mode: Mode, table: number, words: BigUint64Array): boolean {
    const flags = mode.entryBytes === 8 ? FLAGS : TWO_FLAGS;
    const first = table - (table % 4096);
    return words.some((word, i) => ((word ^ this.mmu.peek(first + 8 * i)) & ~flags) !== 0n);
  }
  #tellAnew(mode: Mode, table: number, level: number): void {
    const frame = Math.floor(table / 4096);
    const before = this.#known.get(frame);
    this.#known.delete(frame);
    this.#tell(mode, table, level);
    if (before !== undefined) for (const word of before.words) this.#unlink(mode, word, before.level);
  }

  #tell(mode: Mode, table: number, level: number): void {
    const frame = Math.floor(table / 4096);
    if (this.#known.has(frame) || !this.mmu.holds(frame * 4096)) return;
    const words = new BigUint64Array(512);
    const entries: [number, bigint][] = [];
    for (let i = 0; i < 512; ++i) {
      words[i] = this.mmu.peek(frame * 4096 + 8 * i);
      if (words[i] !== 0n) entries.push([i, words[i]!]);
    }
    this.#known.set(frame, { level, words });
    this.encoder.ptp(frame, level, entries);
    for (const [i] of entries)
      if (mode.levels !== 3 || level !== 3 || (i >= (table % 4096) / 8 && i < (table % 4096) / 8 + 4))
        this.#link(mode, words[i]!, level);
  }

  /** Frames of the tables that a word of a table of `level` leads to. */
  #below(mode: Mode, word: bigint, level: number): number[] {
    if (level === 1) return [];
    const entries = mode.entryBytes === 8 ? [word] : [word & 0xffff_ffffn, word >> 32n];
    return entries
      .filter((entry) => (entry & PRESENT) !== 0n && !isLarge(mode, entry, level))
      .map((entry) => Number((entry & FRAME) >> 12n));
  }

  #link(mode: Mode, word: bigint, level: number): void {
    for (const frame of this.#below(mode, word, level)) {
      /* A PDPTE register keeps its table whatever becomes of the entry in memory. */
      if (mode.levels === 3 && level === 3) this.#kept.add(frame);
      this.#references.set(frame, (this.#references.get(frame) ?? 0) + 1);
      this.#tell(mode, frame * 4096, level - 1);
    }
  }

  /** A word is in its table no more: tables that nothing leads to are dropped, and what they led to. */
  #unlink(mode: Mode, word: bigint, level: number): void {
    for (const frame of this.#below(mode, word, level)) {
      const left = (this.#references.get(frame) ?? 1) - 1;
      this.#references.set(frame, Math.max(left, 0));
      const its = this.#known.get(frame);
      if (left > 0 || its === undefined || this.#kept.has(frame)) continue;
      this.#known.delete(frame);
      this.encoder.ptpDrop(frame);
      for (const entry of its.words) this.#unlink(mode, entry, its.level);
    }
  }

  /** The guest stored `bytes` at a guest-physical address. */
  stored(address: number, bytes: number): void {
    const its = this.#known.get(Math.floor(address / 4096));
    if (its === undefined) return;
    for (let at = address - (address % 8); at < address + bytes; at += 8) this.#entry(its, at);
  }

  #entry(its: Table, at: number): void {
    const value = this.mmu.peek(at);
    const before = its.words[(at % 4096) / 8]!;
    its.words[(at % 4096) / 8] = value;
    this.encoder.ptw(at, value);
    const mode = this.#current();
    if (mode.levels === 0) return;
    this.#link(mode, value, its.level);
    this.#unlink(mode, before, its.level);
  }

  /**
   * A walk of `va` was made: what it met that the trace does not have, as memory that nobody stored to through the MMU. A
   * table that changed so is told anew as a whole: no hypervisor saw a store. PAE's level 3 is left, since only a load of
   * CR3 reads it.
   */
  check(va: bigint): void {
    const mode = this.#current();
    if (mode.levels === 0) return;
    const bits = mode.entryBytes === 8 ? 9n : 10n;
    let table = mode.root;
    for (let level = mode.levels; level >= 1; --level) {
      const pdpt = mode.levels === 3 && level === 3;
      const index = (va >> (12n + bits * BigInt(level - 1))) & (pdpt ? 3n : (1n << bits) - 1n);
      const at = table + Number(index) * mode.entryBytes;
      const word = at - (at % 8);
      const told = this.#known.get(Math.floor(table / 4096))?.words[(word % 4096) / 8];
      const now = this.mmu.peek(word);
      const flags = mode.entryBytes === 8 ? FLAGS : TWO_FLAGS;
      if (told !== undefined && ((told ^ now) & ~flags) !== 0n && !pdpt) this.#tellAnew(mode, table, level);
      else this.#tell(mode, table, level);
      if (!this.#known.has(Math.floor(table / 4096))) return;
      const entry = mode.entryBytes === 8 ? now : at % 8 === 0 ? now & 0xffff_ffffn : now >> 32n;
      if (!(entry & PRESENT) || level === 1 || isLarge(mode, entry, level)) return;
      table = Number(entry & FRAME);
    }
  }
}
