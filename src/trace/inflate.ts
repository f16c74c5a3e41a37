/** Bytes that are not a valid DEFLATE stream. `offset` counts from the first byte given to the inflater. */
export class InflateError extends Error {
  constructor(
    message: string,
    readonly offset: number,
  ) {
    super(message);
  }
}

const HISTORY = 32768;
const BLOCK = 1 << 17;
const LENGTH_BASE = Uint16Array.of(
  ...[3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163],
  ...[195, 227, 258],
);
const LENGTH_EXTRA = Uint8Array.of(
  ...[0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0],
);
const DISTANCE_BASE = Uint16Array.of(
  ...[1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049],
  ...[3073, 4097, 6145, 8193, 12289, 16385, 24577],
);
const DISTANCE_EXTRA = Uint8Array.of(
  ...[0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13],
);
const CODE_ORDER = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/** Look-up by the next `bits` bits: symbol << 4 | code length; 0 where no code starts so. */
interface Huffman {
  table: Uint16Array;
  mask: number;
}

/** Builds the table, or gives undefined when the lengths are no valid code (one code alone may be incomplete). */
function huffman(lengths: Uint8Array): Huffman | undefined {
  const count = new Uint16Array(17);
  let max = 0;
  let codes = 0;
  for (const length of lengths) {
    if (length === 0) continue;
    count[length]!++;
    codes++;
    if (length > max) max = length;
  }
  if (max === 0) return { table: new Uint16Array(1), mask: 0 };
  const next = new Uint16Array(17);
  let left = 1;
  for (let length = 1, code = 0; length <= 15; length++) {
    left = left * 2 - count[length]!;
    if (left < 0) return undefined;
    next[length] = code;
    code = (code + count[length]!) << 1;
  }
  if (left > 0 && (codes > 1 || max > 1)) return undefined;
  const table = new Uint16Array(1 << max);
  for (let symbol = 0; symbol < lengths.length; symbol++) {
    const length = lengths[symbol]!;
    if (length === 0) continue;
    let code = next[length]!++;
    let reversed = 0;
    for (let bit = 0; bit < length; bit++, code >>= 1) reversed = (reversed << 1) | (code & 1);
    for (let at = reversed; at < table.length; at += 1 << length) table[at] = (symbol << 4) | length;
  }
  return { table, mask: table.length - 1 };
}

const FIXED_LENGTHS = new Uint8Array(288).fill(8, 0, 144).fill(9, 144, 256).fill(7, 256, 280).fill(8, 280);
const FIXED_LITERAL = huffman(FIXED_LENGTHS)!;
const FIXED_DISTANCE = huffman(new Uint8Array(32).fill(5))!;

type State = "header" | "stored" | "codes" | "done";

/**
 * Streaming raw DEFLATE (RFC 1951). The browser's DecompressionStream refuses concatenated gzip members, and on
 * an error drops output it has already decoded; this one says exactly where a stream ends.
 */
export class Inflater {
  /** True once the final block has ended; `remaining()` is what follows it. */
  get done(): boolean {
    return this.#state === "done";
  }
  #state: State = "header";
  #last = false;
  #stored = 0;
  #literal: Huffman = FIXED_LITERAL;
  #distance: Huffman = FIXED_DISTANCE;
  #in: Uint8Array = new Uint8Array(0);
  #bit = 0;
  #before = 0;
  #out = new Uint8Array(HISTORY + BLOCK + 258);
  #at = 0;
  #emitted = 0;

  /** Bytes of the stream consumed so far, the last one perhaps in part. */
  get consumed(): number {
    return this.#before + ((this.#bit + 7) >>> 3);
  }

  /** The bytes given that lie after the end of the stream. */
  remaining(): Uint8Array {
    return this.#in.subarray((this.#bit + 7) >>> 3);
  }

  /** Decodes as far as `input` goes; `emit` receives fresh arrays. Throws InflateError. */
  push(input: Uint8Array, emit: (bytes: Uint8Array) => void): void {
    const used = this.#bit >>> 3;
    const rest = this.#in.subarray(used);
    this.#before += used;
    this.#bit &= 7;
    if (rest.length === 0) this.#in = input;
    else {
      this.#in = new Uint8Array(rest.length + input.length);
      this.#in.set(rest);
      this.#in.set(input, rest.length);
    }
    while (this.#state !== "done" && this.#step(emit));
    this.#flush(emit);
  }

  #step(emit: (bytes: Uint8Array) => void): boolean {
    if (this.#state === "header") return this.#header();
    const whole = this.#state === "stored" ? this.#copyStored() : this.#decode();
    if (this.#at >= HISTORY + BLOCK) this.#flush(emit);
    return whole;
  }

  #fail(message: string, bit: number): never {
    throw new InflateError(message, this.#before + (bit >>> 3));
  }

  #flush(emit: (bytes: Uint8Array) => void): void {
    if (this.#at > this.#emitted) emit(this.#out.slice(this.#emitted, this.#at));
    if (this.#at > HISTORY) {
      this.#out.copyWithin(0, this.#at - HISTORY, this.#at);
      this.#at = HISTORY;
    }
    this.#emitted = this.#at;
  }

  /** Up to 17 bits at `bit`; zeros stand in for bits not there yet. */
  #bits(bit: number): number {
    const o = bit >>> 3;
    return (
      ((this.#in[o] ?? 0) | ((this.#in[o + 1] ?? 0) << 8) | ((this.#in[o + 2] ?? 0) << 16)) >>> (bit & 7)
    );
  }

  /** Block header. Leaves everything as it was and gives false when the header is not all there. */
  #header(): boolean {
    const end = this.#in.length * 8;
    let bit = this.#bit;
    if (bit + 3 > end) return false;
    const head = this.#bits(bit);
    bit += 3;
    const type = (head >> 1) & 3;
    if (type === 0) {
      bit = (bit + 7) & ~7;
      if (bit + 32 > end) return false;
      const length = this.#bits(bit) & 0xffff;
      if (((length ^ this.#bits(bit + 16)) & 0xffff) !== 0xffff)
        this.#fail("a stored block's length is wrong", bit);
      bit += 32;
      this.#stored = length;
    } else if (type === 1) {
      this.#literal = FIXED_LITERAL;
      this.#distance = FIXED_DISTANCE;
    } else if (type === 2) {
      bit = this.#dynamic(bit, end);
      if (bit < 0) return false;
    } else this.#fail("a block has an unknown type", bit);
    this.#last = (head & 1) === 1;
    this.#bit = bit;
    this.#state = type === 0 ? "stored" : "codes";
    return true;
  }

  #dynamic(start: number, end: number): number {
    let bit = start;
    if (bit + 14 > end) return -1;
    const sizes = this.#bits(bit);
    const literals = (sizes & 31) + 257;
    const distances = ((sizes >> 5) & 31) + 1;
    const codes = ((sizes >> 10) & 15) + 4;
    if (literals > 286 || distances > 30) this.#fail("a block declares too many codes", bit);
    bit += 14;
    const lengths = new Uint8Array(19);
    for (let i = 0; i < codes; i++, bit += 3) lengths[CODE_ORDER[i]!] = this.#bits(bit) & 7;
    if (bit > end) return -1;
    const code = huffman(lengths);
    if (!code) this.#fail("a block's code lengths are no valid code", bit);
    const all = new Uint8Array(literals + distances);
    for (let i = 0; i < all.length; ) {
      const entry = code.table[this.#bits(bit) & code.mask]!;
      if (entry === 0) {
        if (bit + 7 > end) return -1;
        this.#fail("a code length has an invalid code", bit);
      }
      bit += entry & 15;
      const symbol = entry >> 4;
      if (symbol < 16) {
        all[i++] = symbol;
      } else {
        const extra = symbol === 16 ? 2 : symbol === 17 ? 3 : 7;
        const repeat = (symbol === 18 ? 11 : 3) + (this.#bits(bit) & ((1 << extra) - 1));
        bit += extra;
        if (bit > end) return -1;
        if ((symbol === 16 && i === 0) || i + repeat > all.length)
          this.#fail("code lengths repeat wrongly", bit);
        all.fill(symbol === 16 ? all[i - 1]! : 0, i, i + repeat);
        i += repeat;
      }
      if (bit > end) return -1;
    }
    const literal = huffman(all.subarray(0, literals));
    const distance = huffman(all.subarray(literals));
    if (!literal || !distance || all[256] === 0) this.#fail("a block's codes are not valid", bit);
    this.#literal = literal;
    this.#distance = distance;
    return bit;
  }

  #copyStored(): boolean {
    const from = this.#bit >>> 3;
    const n = Math.min(this.#stored, this.#in.length - from, HISTORY + BLOCK - this.#at);
    this.#out.set(this.#in.subarray(from, from + n), this.#at);
    this.#at += n;
    this.#bit += n * 8;
    this.#stored -= n;
    if (this.#stored === 0) this.#state = this.#last ? "done" : "header";
    return this.#stored === 0 || this.#at >= HISTORY + BLOCK;
  }

  /** Symbols until the block ends, the output is full (true) or the input runs out (false). */
  #decode(): boolean {
    const input = this.#in;
    const end = input.length * 8;
    const out = this.#out;
    const { table: lit, mask: litMask } = this.#literal;
    const { table: dist, mask: distMask } = this.#distance;
    const limit = HISTORY + BLOCK;
    let at = this.#at;
    let bit = this.#bit;
    let whole = true;
    while (at < limit) {
      // A symbol needs at most 48 bits; near the end of the input it is tried on zeros and taken back.
      const start = bit;
      let o = bit >>> 3;
      let w = ((input[o] ?? 0) | ((input[o + 1] ?? 0) << 8) | ((input[o + 2] ?? 0) << 16)) >>> (bit & 7);
      const entry = lit[w & litMask]!;
      bit += entry & 15;
      const symbol = entry >> 4;
      if (bit > end || entry === 0) {
        if (entry === 0 && start + 15 <= end) this.#fail("a symbol has an invalid code", start);
        bit = start;
        whole = false;
        break;
      }
      if (symbol < 256) {
        out[at++] = symbol;
        continue;
      }
      if (symbol === 256) {
        this.#state = this.#last ? "done" : "header";
        break;
      }
      if (symbol > 285) this.#fail("a length code is not defined", start);
      o = bit >>> 3;
      w = ((input[o] ?? 0) | ((input[o + 1] ?? 0) << 8)) >>> (bit & 7);
      const lengthExtra = LENGTH_EXTRA[symbol - 257]!;
      const length = LENGTH_BASE[symbol - 257]! + (w & ((1 << lengthExtra) - 1));
      bit += lengthExtra;
      o = bit >>> 3;
      w = ((input[o] ?? 0) | ((input[o + 1] ?? 0) << 8) | ((input[o + 2] ?? 0) << 16)) >>> (bit & 7);
      const distEntry = dist[w & distMask]!;
      if (distEntry === 0 && bit + 15 <= end) this.#fail("a distance has an invalid code", start);
      bit += distEntry & 15;
      const code = distEntry >> 4;
      o = bit >>> 3;
      w = ((input[o] ?? 0) | ((input[o + 1] ?? 0) << 8) | ((input[o + 2] ?? 0) << 16)) >>> (bit & 7);
      const extra = DISTANCE_EXTRA[code] ?? 0;
      bit += extra;
      if (bit > end || distEntry === 0) {
        bit = start;
        whole = false;
        break;
      }
      if (code > 29) this.#fail("a distance code is not defined", start);
      let from = at - DISTANCE_BASE[code]! - (w & ((1 << extra) - 1));
      if (from < 0) this.#fail("a distance reaches before the start", start);
      const stop = at + length;
      while (at < stop) out[at++] = out[from++]!;
    }
    this.#at = at;
    this.#bit = bit;
    return whole;
  }
}
