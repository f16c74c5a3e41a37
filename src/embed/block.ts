import type { EmbedCore } from "./core-exports.js";

const TWO_32 = 2 ** 32;

/** A register's or an address's value; numbers must be exact. */
export type Value = bigint | number;

/** The 64-bit cells in which a host and the core pass values (assembly/embed/block.ts). */
export class Block {
  readonly #at: number;
  #cells: BigUint64Array;
  #words: Uint32Array;

  constructor(readonly core: EmbedCore) {
    this.#at = core.embedAddress();
    this.#cells = new BigUint64Array();
    this.#words = new Uint32Array();
  }

  /** Views are taken anew after the memory has grown. */
  refresh(): void {
    const { buffer } = this.core.memory;
    this.#cells = new BigUint64Array(buffer, this.#at, 32);
    this.#words = new Uint32Array(buffer, this.#at, 64);
  }
  set(cell: number, value: Value): void {
    if (this.#cells.length === 0) this.refresh();
    this.#cells[cell] = BigInt(value);
  }
  setHalves(cell: number, low: number, high: number): void {
    if (this.#words.length === 0) this.refresh();
    this.#words[2 * cell] = low;
    this.#words[2 * cell + 1] = high;
  }
  get(cell: number): bigint {
    if (this.#cells.length === 0) this.refresh();
    return this.#cells[cell]!;
  }
  /** Exact below 2^53, as every physical address is. */
  number(cell: number): number {
    if (this.#words.length === 0) this.refresh();
    return this.#words[2 * cell]! + this.#words[2 * cell + 1]! * TWO_32;
  }
  /** A half of a cell: 2 * cell is the lower one. */
  word(index: number): number {
    if (this.#words.length === 0) this.refresh();
    return this.#words[index]!;
  }
}
