import { Guest, indexOf, type Space, WRITABLE } from "./guest.js";
import { DATA, LINE, sliced } from "./programs.js";
import { Xorshift64 } from "./random.js";

/** Whole guests whose point is what they do to their page tables. */

export interface StormOptions {
  instructions: number;
  pages: number;
  /** Changes of the tables in a million instructions. */
  rate: number;
  forks: number;
  /** Pages that a child, and then its parent, writes. */
  writes: number;
  seed: bigint;
}

const CODE = 0x40_0000n;
const REGION = BigInt(DATA);
const PAGE = 4096n;
/** User write to a page that is present. */
const WRITE_REFUSED = 7;

function pageAt(i: number): bigint {
  return REGION + BigInt(i) * PAGE;
}

/** A process with a page of code and `pages` of data, which runs. */
function process(guest: Guest, pages: number): Space {
  const space = guest.space();
  guest.map(space, CODE, guest.frame(), true);
  for (let i = 0; i < pages; i++) guest.map(space, pageAt(i), guest.frame());
  guest.boot(space);
  return space;
}

/**
 * Random accesses to `pages` pages, and `rate` times in a million instructions one of them is unmapped and mapped
 * elsewhere, with an INVLPG: the more often, the more shadow paging pays, and nested paging nothing.
 */
function* tableUpdates(guest: Guest, o: StormOptions): Generator<void, void> {
  const numbers = new Xorshift64(o.seed);
  const space = process(guest, o.pages);
  let due = 0;
  for (let i = 0; i < o.instructions; i++) {
    guest.fetch(CODE + BigInt((i % 16) * 4));
    const va = pageAt(numbers.below(o.pages)) + BigInt(numbers.below(64) * LINE);
    if (i % 4 === 3) guest.write(va);
    else guest.read(va);
    due += o.rate;
    for (; due >= 1_000_000; due -= 1_000_000) {
      const page = pageAt(numbers.below(o.pages));
      guest.enter();
      remap(guest, space, page);
      guest.leave();
    }
    yield;
  }
}

function remap(guest: Guest, space: Space, va: bigint): void {
  const old = guest.entryOf(space, va);
  const table = guest.table(space, va, 1);
  const index = indexOf(va, 1);
  guest.store(table, index, 0n);
  guest.invlpg(va);
  const frame = guest.frame();
  guest.fill(frame);
  guest.store(table, index, (BigInt(frame) << 12n) | (old & 0x8000_0000_0000_0fffn));
  guest.release(Number((old >> 12n) & 0xff_ffff_ffffn));
}

/** A parent that forks again and again; each child writes some pages and exits, and then the parent does. */
function* forkStorm(guest: Guest, o: StormOptions): Generator<void, void> {
  const numbers = new Xorshift64(o.seed);
  const parent = process(guest, o.pages);
  const shared = new Set<bigint>();
  for (let n = 0; n < o.forks; n++) {
    guest.fetch(CODE);
    guest.enter();
    const child = copySpace(guest, parent, o.pages, shared);
    guest.load(child, true);
    guest.leave();
    yield;
    const own = new Set<bigint>();
    for (let i = 0; i < o.writes; i++) {
      const va = pageAt(numbers.below(o.pages));
      if (!own.has(va)) copyOnWrite(guest, child, va, own);
      userWrite(guest, va, i);
      yield;
    }
    guest.fetch(CODE);
    guest.enter();
    exit(guest, child, parent, o.pages, own);
    guest.leave();
    yield;
    for (let i = 0; i < o.writes; i++) {
      const va = pageAt(numbers.below(o.pages));
      if (shared.has(va)) reuse(guest, parent, va, shared);
      userWrite(guest, va, i);
      yield;
    }
  }
}

function userWrite(guest: Guest, va: bigint, i: number): void {
  guest.fetch(CODE + BigInt((i % 16) * 4));
  guest.write(va);
}

/** Linux: `copy_page_range`: both sides lose the right to write. */
function copySpace(guest: Guest, parent: Space, pages: number, shared: Set<bigint>): Space {
  const child = guest.space();
  guest.fill(child.root.frame);
  for (const [index, value] of child.root.entries) guest.prepare(child.root, index, value);
  const copy = (va: bigint): void => {
    const value = guest.entryOf(parent, va) & ~WRITABLE;
    if ((guest.entryOf(parent, va) & WRITABLE) !== 0n) {
      guest.store(guest.table(parent, va, 1), indexOf(va, 1), value);
      shared.add(va);
    }
    const table = guest.table(child, va, 1, (above, at, made) => {
      guest.fill(made.frame);
      guest.prepare(above, at, above.entries.get(at)!);
    });
    guest.prepare(table, indexOf(va, 1), value);
  };
  copy(CODE);
  for (let i = 0; i < pages; i++) copy(pageAt(i));
  guest.load(parent, false);
  return child;
}

/** Linux: `wp_page_copy`. */
function copyOnWrite(guest: Guest, space: Space, va: bigint, own: Set<bigint>): void {
  guest.enter({ va, code: WRITE_REFUSED, rip: CODE });
  const old = guest.entryOf(space, va);
  const frame = guest.frame();
  guest.fill(frame, Number((old >> 12n) & 0xff_ffff_ffffn));
  const table = guest.table(space, va, 1);
  guest.store(table, indexOf(va, 1), 0n);
  guest.invlpg(va);
  guest.store(table, indexOf(va, 1), (BigInt(frame) << 12n) | (old & 0x8000_0000_0000_0fffn) | WRITABLE);
  guest.leave();
  own.add(va);
}

/** Linux: `wp_page_reuse`: nobody else has the page any more. */
function reuse(guest: Guest, space: Space, va: bigint, shared: Set<bigint>): void {
  guest.enter({ va, code: WRITE_REFUSED, rip: CODE });
  guest.store(guest.table(space, va, 1), indexOf(va, 1), guest.entryOf(space, va) | WRITABLE);
  guest.leave();
  shared.delete(va);
}

/** The child's pages are unmapped, then the parent runs, and the child's tables are free. Linux: `exit_mmap`. */
function exit(guest: Guest, child: Space, parent: Space, pages: number, own: Set<bigint>): void {
  for (let i = 0; i < pages; i++) {
    const va = pageAt(i);
    const value = guest.entryOf(child, va);
    guest.store(guest.table(child, va, 1), indexOf(va, 1), 0n);
    if (own.has(va)) guest.release(Number((value >> 12n) & 0xff_ffff_ffffn));
  }
  guest.load(parent, false);
  for (const table of child.tables.values()) guest.drop(table);
}

const storms = { "table-updates": tableUpdates, "fork-storm": forkStorm } as const;

/** The record stream of a whole guest, in slices. */
export function stormStream(storm: keyof typeof storms, options: StormOptions): Generator<Uint8Array, void> {
  const guest = new Guest();
  return sliced(guest.e, storms[storm](guest, options));
}
