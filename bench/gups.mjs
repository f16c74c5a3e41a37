import { RecordEncoder } from "../dist/index.js";

const P_RW_US_A_D = 0x67n;
const CODE = 0x40_0000n;
const DATA = 0x100_0000_0000n;

/** Tables of one 4-level address space, built top down as pages are mapped. */
class AddressSpace {
  #tables = new Map();
  #nextTable = 0x101n;

  constructor() {
    this.#tables.set(0x100n, { level: 4, entries: new Map() });
  }

  map(gva, gfn) {
    let table = 0x100n;
    for (let level = 4; level > 1; --level) {
      const { entries } = this.#tables.get(table);
      const index = Number((gva >> BigInt(12 + 9 * (level - 1))) & 0x1ffn);
      if (!entries.has(index)) {
        const next = this.#nextTable++;
        this.#tables.set(next, { level: level - 1, entries: new Map() });
        entries.set(index, (next << 12n) | P_RW_US_A_D);
      }
      table = entries.get(index) >> 12n;
    }
    this.#tables.get(table).entries.set(Number((gva >> 12n) & 0x1ffn), (gfn << 12n) | P_RW_US_A_D);
  }

  announce(encoder) {
    for (const [gfn, { level, entries }] of this.#tables) encoder.ptp(gfn, level, entries);
  }
}

/**
 * Random updates: one access to a random 64-byte line of a region of `mebibytes` per instruction, every fourth a store
 * (peers' `gN` traces: xorshift64 with shifts 13, 7, 17, seed 88172645463325252). Returns slices of a record stream.
 */
export function gups(mebibytes, instructions) {
  const encoder = new RecordEncoder();
  const space = new AddressSpace();
  const pages = mebibytes * 256;
  space.map(CODE, 0x8_0000n);
  for (let i = 0n; i < pages; ++i) space.map(DATA + (i << 12n), 0x10_0000n + i);
  encoder.cr0(0x8001_0033).cr4(0x20).efer(0xd01).cr3(0x10_0000n);
  space.announce(encoder);
  encoder.mode(3).map(CODE, 0x8_0000n << 12n);
  for (let i = 0n; i < pages; ++i) encoder.map(DATA + (i << 12n), (0x10_0000n + i) << 12n);

  const slices = [];
  let x = 88172645463325252n;
  const lines = BigInt(mebibytes * 16384);
  for (let i = 0; i < instructions; ++i) {
    x ^= BigInt.asUintN(64, x << 13n);
    x ^= x >> 7n;
    x ^= BigInt.asUintN(64, x << 17n);
    encoder.fetch(CODE + BigInt((i % 16) * 4), 4);
    const gva = DATA + (x % lines) * 64n;
    if (i % 4 === 3) encoder.write(gva, 8);
    else encoder.read(gva, 8);
    if (encoder.length > 1 << 19) slices.push(encoder.take());
  }
  encoder.end();
  slices.push(encoder.take());
  return slices;
}
