import { Driven, FETCH, type Parameters, READ, SHADOW, WRITE } from "./driven.js";

export const P = 1n;
export const W = 2n;
export const U = 4n;
export const A = 0x20n;
export const D = 0x40n;
export const PS = 0x80n;

/** Entry bits of an upper table, of a used page, and of one that was never touched. */
export const TABLE = P | W | U | A | D;
export const USED = P | W | U | A | D;
export const FRESH = P | W | U;

const WINDOW = 0xffff_ffff_8000_0000n;
/** A page of the kernel's image; its mapping was touched, and so were its neighbours'. */
export const CODE = WINDOW + 0x100000n;

/** Tables are taken from 16 MiB up, data from 64 MiB up, 2 MiB apart if they are to lie in different host pages. */
export const DATA = 0x4000000n;

/**
 * A small 4-level guest: kernel tables at 4 KiB up that map 256 MiB of RAM as the window, and address spaces with the
 * kernel in their last entry. It stores its entries through the window, as Linux does through its direct map.
 */
export class KernelGuest {
  readonly machine: Driven;
  private nextTable = 0x1000000n;

  constructor(parameters: Parameters = {}, tlbs = false) {
    this.machine = new Driven({ technique: SHADOW, ...parameters }, tlbs);
    const m = this.machine;
    m.store(0x2ff0n, 0x3063n);
    for (let i = 0n; i < 128n; ++i) m.store(0x3000n + 8n * i, (i << 21n) | 0xe3n);
    m.store(0x1ff8n, 0x2063n);
    m.instruction(CODE);
    m.load("efer", 0xd00n);
    m.load("cr4", 0x20n);
    m.load("cr3", 0x1000n);
    m.load("cr0", 0x80010033n);
    this.touchCode();
  }

  /** A page for a table. The guest never read it: it is zero. */
  table(): bigint {
    const gpa = this.nextTable;
    this.nextTable += 0x1000n;
    return gpa;
  }

  /** A page for a table that shares no 2 MiB range with an earlier one. */
  tableApart(): bigint {
    this.nextTable = (this.nextTable + 0x1fffffn) & ~0x1fffffn;
    return this.table();
  }

  /** Stores an entry through the window. */
  store(table: bigint, slot: number, value: bigint): void {
    const gpa = table + BigInt(slot * 8);
    const { outcome } = this.machine.access(WINDOW + gpa, WRITE);
    if (outcome !== "ok") throw new Error(`a store to ${gpa.toString(16)} ended in ${outcome}`);
    this.machine.store(gpa, value);
  }

  /** A new address space; returns its PML4, PDPT, PD and PT, linked by slots 0. The last slot of the PT maps a page. */
  space(): { pml4: bigint; pdpt: bigint; pd: bigint; pt: bigint } {
    const [pml4, pdpt, pd, pt] = [this.table(), this.table(), this.table(), this.table()] as const;
    this.store(pml4, 511, 0x2063n);
    this.store(pml4, 0, pdpt | TABLE);
    this.store(pdpt, 0, pd | TABLE);
    this.store(pd, 0, pt | TABLE);
    this.store(pt, 511, (DATA + 0x1ff000n) | USED);
    return { pml4, pdpt, pd, pt };
  }

  /** Reads the page that each new space has, so that all its tables are shadowed. */
  touch(): void {
    if (this.read(at(0, 0, 0, 511)) === undefined) throw new Error("the space has lost its page");
  }

  /** The first fetch after a load of CR3. */
  touchCode(): void {
    this.machine.access(CODE, FETCH);
  }
  cr3(value: bigint): void {
    this.machine.load("cr3", value);
    this.touchCode();
  }
  read(va: bigint): bigint | undefined {
    return this.machine.access(va, READ).gpa;
  }
  write(va: bigint): bigint | undefined {
    return this.machine.access(va, WRITE).gpa;
  }
  invlpg(va: bigint): void {
    this.machine.invlpg(va);
  }
  moved(act: () => void): Record<string, number> {
    return this.machine.moved(act);
  }
}

/** The linear address of slots, from the top level down. */
export function at(l4: number, l3: number, l2: number, l1: number): bigint {
  return (BigInt(l4) << 39n) | (BigInt(l3) << 30n) | (BigInt(l2) << 21n) | (BigInt(l1) << 12n);
}
