import { RecordEncoder } from "../encode.js";

/**
 * A small Linux-like guest that writes itself down as a whole-guest recording: its page tables, every store into them,
 * and the true mapping of what it touches.
 */
const PAGE = 4096n;
/** Linux's `page_offset_base`. */
const DIRECT = 0xffff_8880_0000_0000n;
const KERNEL_CODE = 0xffff_ffff_8100_0000n;
const KERNEL_CODE_FRAME = 0x1000;
/** RAM that the direct map covers: 1 GiB. */
const RAM_FRAMES = 1 << 18;
const FIRST_FREE_FRAME = 0x4000;
/** The kernel's stack, in the direct map. */
const STACK = DIRECT + 0x300_0000n;

const TABLE = 0x67n;
const PAGE_RW = 0x8000_0000_0000_0067n;
const CODE_RX = 0x25n;
const KERNEL_LARGE = 0x8000_0000_0000_01e3n;
const KERNEL_LARGE_CODE = 0x1e1n;
export const WRITABLE = 2n;

/** A page table: its frame and its entries that are not 0. */
interface Table {
  frame: number;
  level: number;
  entries: Map<number, bigint>;
}

export interface Space {
  root: Table;
  /** Tables by level and the address bits above it. */
  tables: Map<string, Table>;
}

export class Guest {
  readonly e = new RecordEncoder();
  readonly ramMiB = RAM_FRAMES / 256;
  #next = FIRST_FREE_FRAME;
  #free: number[] = [];
  /** The mapping last recorded, by page of the address. */
  #told = new Map<bigint, number>();
  #space!: Space;
  /** Entries of every root's upper half. */
  #kernel: Map<number, bigint>;
  #kernelTables: Table[];
  #rip = 0;

  constructor() {
    const direct3 = this.#table(3);
    const code3 = this.#table(3);
    const code2 = this.#table(2);
    const direct2 = this.#table(2);
    for (let i = 0; i < 512; i++) direct2.entries.set(i, (BigInt(i) << 21n) | KERNEL_LARGE);
    for (let i = 8; i < 16; i++) code2.entries.set(i, (BigInt(i) << 21n) | KERNEL_LARGE_CODE);
    direct3.entries.set(0, entry(direct2.frame, TABLE));
    code3.entries.set(510, entry(code2.frame, TABLE));
    this.#kernel = new Map([
      [Number((DIRECT >> 39n) & 511n), entry(direct3.frame, TABLE)],
      [511, entry(code3.frame, TABLE)],
    ]);
    this.#kernelTables = [direct3, code3, code2, direct2];
  }

  #table(level: number): Table {
    return { frame: this.frame(), level, entries: new Map() };
  }

  /** A free frame. */
  frame(): number {
    const frame = this.#free.pop() ?? this.#next++;
    if (frame >= RAM_FRAMES)
      throw new RangeError(`the guest's ${this.ramMiB} MiB are used up; use fewer pages`);
    return frame;
  }
  release(frame: number): void {
    this.#free.push(frame);
  }

  /** A process with nothing but the kernel's half. */
  space(): Space {
    const root = this.#table(4);
    root.entries = new Map(this.#kernel);
    return { root, tables: new Map([["4", root]]) };
  }

  /** The table of `level` for `va`, made if it is not there; `made` is told of each new one and the entry that leads to it. */
  table(
    space: Space,
    va: bigint,
    level: number,
    made?: (above: Table, index: number, table: Table) => void,
  ): Table {
    if (level === 4) return space.root;
    const key = `${level}:${va >> BigInt(12 + 9 * level)}`;
    let table = space.tables.get(key);
    if (table === undefined) {
      const above = this.table(space, va, level + 1, made);
      table = this.#table(level);
      space.tables.set(key, table);
      const index = indexOf(va, level + 1);
      above.entries.set(index, entry(table.frame, TABLE));
      made?.(above, index, table);
    }
    return table;
  }

  /** Maps a page before the guest runs, or in a space that has not run. */
  map(space: Space, va: bigint, frame: number, code = false): void {
    this.table(space, va, 1).entries.set(indexOf(va, 1), entry(frame, code ? CODE_RX : PAGE_RW));
  }

  /** The state that the recording begins with. */
  boot(space: Space): void {
    this.e
      .cr0(0x8005_0033)
      .cr4(0x35_0ef8)
      .efer(0xd01)
      .cr3(BigInt(space.root.frame) * PAGE);
    this.#space = space;
    for (const table of [...space.tables.values(), ...this.#kernelTables]) this.#announce(table);
    this.e.mode(3);
  }

  #announce({ frame, level, entries }: Table): void {
    this.e.ptp(frame, level, entries);
  }

  /** Loads another address space; tables that it shows for the first time are announced. */
  load(space: Space, fresh: boolean): void {
    this.kernelCode(8);
    this.e.cr3(BigInt(space.root.frame) * PAGE);
    this.#space = space;
    if (fresh) for (const table of space.tables.values()) this.#announce(table);
  }

  #truth(va: bigint): number {
    if (va >= KERNEL_CODE) return KERNEL_CODE_FRAME + Number((va - KERNEL_CODE) >> 12n);
    if (va >= DIRECT) return Number((va - DIRECT) >> 12n);
    const found = this.entryOf(this.#space, va);
    return Number((found >> 12n) & 0xff_ffff_ffffn);
  }

  /** The entry that maps a page, 0 if there is none. */
  entryOf(space: Space, va: bigint): bigint {
    return space.tables.get(`1:${va >> 21n}`)?.entries.get(indexOf(va, 1)) ?? 0n;
  }

  #tell(va: bigint): void {
    const page = va >> 12n;
    const frame = this.#truth(va);
    if (this.#told.get(page) === frame) return;
    this.#told.set(page, frame);
    this.e.map(va, BigInt(frame) * PAGE);
  }

  fetch(va: bigint, length = 4): void {
    this.#tell(va);
    this.e.fetch(va, length);
  }
  read(va: bigint, size = 8): void {
    this.#tell(va);
    this.e.read(va, size);
  }
  write(va: bigint, size = 8, cpu = false): void {
    this.#tell(va);
    this.e.write(va, size, { cpu });
  }

  /** A few instructions of the kernel. */
  kernelCode(n: number): void {
    for (let i = 0; i < n; i++) this.fetch(KERNEL_CODE + BigInt((this.#rip++ % 256) * 4));
  }

  /** The program enters the kernel: a page fault at `va` with its error code, or a system call. */
  enter(fault?: { va: bigint; code: number; rip: bigint }): void {
    this.e.mode(0);
    if (fault) {
      this.e.exception(14, fault.code, fault.rip, fault.va);
      for (let i = 1; i <= 6; i++) this.write(STACK - BigInt(8 * i), 8, true);
    }
    this.kernelCode(20);
  }
  leave(): void {
    this.kernelCode(10);
    this.e.mode(3);
  }

  /** A store into a table that the hypervisor may know of: the write, then what it changed. */
  store(table: Table, index: number, value: bigint): void {
    const at = BigInt(table.frame) * PAGE + BigInt(index * 8);
    this.kernelCode(2);
    this.write(DIRECT + at);
    if (value === 0n) table.entries.delete(index);
    else table.entries.set(index, value);
    this.e.ptw(at, value);
  }

  /** A store into a table that no root leads to yet. */
  prepare(table: Table, index: number, value: bigint): void {
    table.entries.set(index, value);
    this.write(DIRECT + BigInt(table.frame) * PAGE + BigInt(index * 8));
  }

  /** Fills a frame with zeros, or with another's content, 64 bytes at a time. */
  fill(frame: number, from?: number): void {
    for (let at = 0n; at < PAGE; at += 64n) {
      if (from !== undefined) this.read(DIRECT + BigInt(from) * PAGE + at, 64);
      this.write(DIRECT + BigInt(frame) * PAGE + at, 64);
    }
  }

  invlpg(va: bigint): void {
    this.kernelCode(1);
    this.e.invlpg(va);
  }

  drop(table: Table): void {
    this.e.ptpDrop(table.frame);
    this.release(table.frame);
  }
}

export function entry(frame: number, flags: bigint): bigint {
  return (BigInt(frame) << 12n) | flags;
}
export function indexOf(va: bigint, level: number): number {
  return Number((va >> BigInt(12 + 9 * (level - 1))) & 511n);
}
