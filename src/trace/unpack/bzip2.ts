import { InflateError } from "../inflate.js";
import { Held, type Unpacker } from "./drive.js";

/** "BZh1" to "BZh9", then the first block or the end. */
export function looksLikeBzip2(b: Uint8Array): boolean {
  if (b.length < 10 || b[0] !== 0x42 || b[1] !== 0x5a || b[2] !== 0x68 || b[3]! < 0x31 || b[3]! > 0x39)
    return false;
  return (b[4] === 0x31 && b[5] === 0x41) || (b[4] === 0x17 && b[5] === 0x72);
}

/** No compressed block is longer: 900,000 symbols of at most 20 bits and the tables. */
const BLOCK_BYTES_MAX = 900_000 * 3 + (1 << 16);
const SLICE = 1 << 17;

const CRC = new Int32Array(256);
for (let n = 0; n < 256; n++) {
  let c = n << 24;
  for (let bit = 0; bit < 8; bit++) c = c & 0x8000_0000 ? (c << 1) ^ 0x04c1_1db7 : c << 1;
  CRC[n] = c;
}

/**
 * bzip2, block by block: Huffman tables, move to front, Burrows-Wheeler, run lengths. Checks every CRC.
 *
 * Done here, as no library for browsers streams it with errors that name a place: seek-bzip and bz2 want the whole file in
 * memory, and unbzip2-stream needs Node's streams and Buffer and does not say where.
 */
export class Bzip2Unpacker implements Unpacker {
  between = false;
  readonly #held = new Held();
  /** Bits of the first held byte that are used up. */
  #bit = 0;
  #level = 0;
  #streamCrc = 0;
  #counts = new Int32Array(0);

  *push(input: Uint8Array, last: boolean): Generator<Uint8Array, void> {
    this.#waiting.push(input);
    this.#waitingBytes += input.length;
    // A block has no length: it is decoded when it must be all there.
    if (!last && this.#held.length + this.#waitingBytes < BLOCK_BYTES_MAX) return;
    for (const part of this.#waiting.splice(0)) this.#held.add(part);
    this.#waitingBytes = 0;
    while (last ? this.#held.length > 0 : this.#held.length >= BLOCK_BYTES_MAX) {
      try {
        yield* this.#step();
      } catch (error) {
        // What is missing at the end makes the file truncated rather than damaged.
        if (error instanceof OutOfInput && last) {
          this.between = false;
          return;
        }
        throw error;
      }
    }
  }

  #waiting: Uint8Array[] = [];
  #waitingBytes = 0;

  *#step(): Generator<Uint8Array, void> {
    if (this.#level === 0) {
      const start = this.#held.offset;
      if (this.#held.length < 4) throw new OutOfInput();
      const head = this.#held.bytes.subarray(this.#held.at, this.#held.at + 4);
      if (head[0] !== 0x42 || head[1] !== 0x5a || head[2] !== 0x68 || head[3]! < 0x31 || head[3]! > 0x39)
        throw new InflateError(this.between ? "data follows its end" : "incorrect header", start);
      this.between = false;
      this.#held.take(4);
      this.#level = head[3]! - 0x30;
      this.#streamCrc = 0;
    }
    const bits = new Bits(this.#held, this.#bit);
    const high = bits.take(24);
    const low = bits.take(24);
    if (high === 0x177245 && low === 0x385090) {
      const crc = ((bits.take(16) << 16) | bits.take(16)) >>> 0;
      if (crc !== this.#streamCrc >>> 0) throw new InflateError("incorrect data check", bits.offset);
      bits.align();
      this.#bit = bits.commit();
      this.#level = 0;
      this.between = true;
      return;
    }
    if (high !== 0x314159 || low !== 0x265359) throw new InflateError("no block header", bits.offset);
    const crc = (bits.take(16) << 16) | bits.take(16);
    if (bits.take(1) === 1)
      throw new InflateError("a randomised block", bits.offset, "unpack it with bunzip2");
    const start = bits.take(24);
    const length = this.#symbols(bits);
    if (start >= length) throw new InflateError("block origin", bits.offset);
    const where = bits.offset;
    this.#bit = bits.commit();
    const found = yield* this.#unwind(start, length);
    if (found !== crc) throw new InflateError("incorrect data check of a block", where);
    this.#streamCrc = ((this.#streamCrc << 1) | (this.#streamCrc >>> 31)) ^ crc;
  }

  /** Decodes the block into the low bytes of #counts; gives its length. */
  #symbols(bits: Bits): number {
    const fail = (what: string): never => {
      throw new InflateError(what, bits.offset);
    };
    const used: number[] = [];
    const groups = bits.take(16);
    for (let i = 0; i < 16; i++) {
      if (!(groups & (0x8000 >> i))) continue;
      const map = bits.take(16);
      for (let j = 0; j < 16; j++) if (map & (0x8000 >> j)) used.push(i * 16 + j);
    }
    if (used.length === 0) fail("no symbols");
    const alphabet = used.length + 2;
    const tables = bits.take(3);
    if (tables < 2 || tables > 6) fail("number of tables");
    const selectors = bits.take(15);
    if (selectors === 0) fail("number of selectors");
    const order = [0, 1, 2, 3, 4, 5].slice(0, tables);
    const selector = new Uint8Array(selectors);
    for (let i = 0; i < selectors; i++) {
      let j = 0;
      while (bits.take(1)) if (++j >= tables) fail("selector");
      const [chosen] = order.splice(j, 1);
      order.unshift(chosen!);
      selector[i] = chosen!;
    }
    const codes = Array.from({ length: tables }, () => {
      const lengths = new Uint8Array(alphabet);
      let size = bits.take(5);
      for (let i = 0; i < alphabet; i++) {
        for (;;) {
          if (size < 1 || size > 20) fail("code length");
          if (!bits.take(1)) break;
          size += bits.take(1) ? -1 : 1;
        }
        lengths[i] = size;
      }
      return new Code(lengths);
    });
    const most = this.#level * 100_000;
    if (this.#counts.length !== most) this.#counts = new Int32Array(most);
    const out = this.#counts;
    const front = Uint8Array.from(used);
    const end = alphabet - 1;
    let length = 0;
    let run = 0;
    let weight = 1;
    let group = -1;
    let left = 0;
    let code = codes[0]!;
    for (;;) {
      if (left === 0) {
        if (++group >= selectors) fail("too few selectors");
        code = codes[selector[group]!]!;
        left = 50;
      }
      left--;
      const symbol = bits.symbol(code);
      if (symbol < 0) fail("code");
      if (symbol < 2) {
        run += weight << symbol;
        weight <<= 1;
        if (run > most) fail("a run longer than a block");
        continue;
      }
      if (run > 0) {
        if (length + run > most) fail("a block longer than its level allows");
        out.fill(front[0]!, length, length + run);
        length += run;
        run = 0;
        weight = 1;
      }
      if (symbol === end) return length;
      if (length >= most) fail("a block longer than its level allows");
      const n = symbol - 1;
      const byte = front[n]!;
      front.copyWithin(1, 0, n);
      front[0] = byte;
      out[length++] = byte;
    }
  }

  /** Undoes the Burrows-Wheeler transform and the run lengths; gives the CRC. */
  *#unwind(start: number, length: number): Generator<Uint8Array, number> {
    const table = this.#counts;
    const sums = new Int32Array(257);
    for (let i = 0; i < length; i++) sums[(table[i]! & 255) + 1]!++;
    for (let i = 0; i < 256; i++) sums[i + 1]! += sums[i]!;
    for (let i = 0; i < length; i++) {
      const at = sums[table[i]! & 255]!++;
      table[at]! |= i << 8;
    }
    let out = new Uint8Array(SLICE + 256);
    let filled = 0;
    let crc = -1;
    let at = table[start]! >>> 8;
    let previous = -1;
    let same = 0;
    for (let i = 0; i < length; i++) {
      const entry = table[at]!;
      const byte = entry & 255;
      at = entry >>> 8;
      let count = 1;
      if (same === 4) {
        count = byte;
        same = 0;
        for (let k = 0; k < count; k++) {
          out[filled++] = previous;
          crc = (crc << 8) ^ CRC[(crc >>> 24) ^ previous]!;
        }
        previous = -1;
      } else {
        same = byte === previous ? same + 1 : 1;
        previous = byte;
        out[filled++] = byte;
        crc = (crc << 8) ^ CRC[(crc >>> 24) ^ byte]!;
      }
      if (filled >= SLICE) {
        yield out.subarray(0, filled);
        out = new Uint8Array(SLICE + 256);
        filled = 0;
      }
    }
    if (filled > 0) yield out.subarray(0, filled);
    return ~crc;
  }
}

class OutOfInput extends Error {}

/** A canonical Huffman code of lengths up to 20, most significant bit first. */
class Code {
  readonly limit = new Int32Array(22);
  readonly base = new Int32Array(22);
  readonly permutation: Uint16Array;
  readonly shortest: number;
  readonly longest: number;

  constructor(lengths: Uint8Array) {
    const counts = new Int32Array(22);
    for (const length of lengths) counts[length]!++;
    const order: number[] = [];
    for (let size = 1; size <= 20; size++)
      for (let i = 0; i < lengths.length; i++) if (lengths[i] === size) order.push(i);
    this.permutation = Uint16Array.from(order);
    let code = 0;
    let seen = 0;
    for (let size = 1; size <= 20; size++) {
      this.base[size] = seen - code;
      code += counts[size]!;
      seen += counts[size]!;
      this.limit[size] = code - 1;
      code <<= 1;
    }
    this.shortest = Math.min(...lengths);
    this.longest = Math.max(...lengths);
  }
}

/** Reads bits from held input without taking it, until `commit`. */
class Bits {
  #at: number;
  #value: number;
  #count: number;

  constructor(
    readonly held: Held,
    used: number,
  ) {
    this.#at = held.at;
    this.#value = 0;
    this.#count = 0;
    if (used > 0) {
      this.#value = held.bytes[this.#at++]! & (255 >> used);
      this.#count = 8 - used;
    }
  }

  get offset(): number {
    return this.held.offset + (this.#at - this.held.at);
  }

  take(bits: number): number {
    while (this.#count < bits) {
      const byte = this.held.bytes[this.#at];
      if (byte === undefined) throw new OutOfInput();
      this.#at++;
      this.#value = ((this.#value << 8) | byte) & 0x7fff_ffff;
      this.#count += 8;
    }
    this.#count -= bits;
    const taken = (this.#value >>> this.#count) & ((1 << bits) - 1);
    this.#value &= (1 << this.#count) - 1;
    return taken;
  }

  symbol(code: Code): number {
    let size = code.shortest;
    let value = this.take(size);
    while (value > code.limit[size]!) {
      if (++size > code.longest) return -1;
      value = (value << 1) | this.take(1);
    }
    return code.permutation[code.base[size]! + value] ?? -1;
  }

  align(): void {
    this.#count &= ~7;
  }

  /** Takes what was read; gives the bits used of the byte that is left. */
  commit(): number {
    const spare = this.#count >> 3;
    const part = this.#count & 7;
    const at = this.#at - spare - (part > 0 ? 1 : 0);
    this.held.take(at - this.held.at);
    return part > 0 ? 8 - part : 0;
  }
}
