/**
 * The entropy coders of Zstandard (RFC 8878 section 4): finite state entropy and Huffman tables, as they are written in a
 * block, and bit streams that are read from their end.
 */

/** Damage in a block. Whoever knows where the block lies says where. */
export class BlockDamage extends Error {}

export function damaged(what: string): never {
  throw new BlockDamage(what);
}

/** Bytes before and behind a block that may be read, whatever they hold. */
export const PADDING = 8;

const highestBit = (value: number) => 31 - Math.clz32(value);

/** Bits of a stream that is read backwards, from the bit below its highest one bit. */
export class BackwardBits {
  bytes: Uint8Array = new Uint8Array(0);
  /** Bit number in `bytes` of the stream's start, and of the end of what is unread. */
  start = 0;
  at = 0;

  open(bytes: Uint8Array, from: number, to: number): void {
    const last = to > from ? bytes[to - 1]! : 0;
    if (last === 0) damaged("a bit stream without an end");
    this.bytes = bytes;
    this.start = from * 8;
    this.at = (to - 1) * 8 + highestBit(last);
  }

  get left(): number {
    return this.at - this.start;
  }

  /** The next `count` bits, 24 at most. */
  read(count: number): number {
    const at = this.at - count;
    if (at < this.start) damaged("a bit stream that ends early");
    this.at = at;
    const { bytes } = this;
    const i = at >> 3;
    const word = bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24);
    return (word >>> (at & 7)) & ((1 << count) - 1);
  }
}

/** A decoding table of finite state entropy: symbol, bits to read, and what they are added to, by state. */
export interface StateTable {
  log: number;
  symbols: Uint8Array;
  bits: Uint8Array;
  base: Uint16Array;
}

/** The table for symbols whose counts sum to 2^log; -1 is a count of less than one. */
export function stateTable(counts: ArrayLike<number>, log: number): StateTable {
  const size = 1 << log;
  const symbols = new Uint8Array(size);
  const bits = new Uint8Array(size);
  const base = new Uint16Array(size);
  const next = new Uint16Array(counts.length);
  let high = size;
  for (let s = 0; s < counts.length; s++) {
    if (counts[s] === -1) {
      symbols[--high] = s;
      next[s] = 1;
    } else next[s] = counts[s]!;
  }
  const step = (size >> 1) + (size >> 3) + 3;
  let at = 0;
  for (let s = 0; s < counts.length; s++) {
    for (let i = 0; i < counts[s]!; i++) {
      symbols[at] = s;
      do at = (at + step) & (size - 1);
      while (at >= high);
    }
  }
  if (at !== 0) damaged("an impossible table");
  for (let i = 0; i < size; i++) {
    const state = next[symbols[i]!]!++;
    bits[i] = log - highestBit(state);
    base[i] = (state << bits[i]!) - size;
  }
  return { log, symbols, bits, base };
}

/** The table that always gives one symbol. */
export function oneSymbol(symbol: number): StateTable {
  return { log: 0, symbols: Uint8Array.of(symbol), bits: new Uint8Array(1), base: new Uint16Array(1) };
}

/** A table as a block describes it at `from`, and where what follows it begins. */
export function readStateTable(
  bytes: Uint8Array,
  from: number,
  to: number,
  { mostLog, mostSymbol }: { mostLog: number; mostSymbol: number },
): { table: StateTable; next: number } {
  const log = (bytes[from]! & 15) + 5;
  if (from >= to || log > mostLog) damaged("an impossible table");
  const counts: number[] = [];
  let at = from * 8 + 4;
  let left = (1 << log) + 1;
  let threshold = 1 << log;
  let width = log + 1;
  const peek = (count: number) => {
    const i = at >> 3;
    return ((bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16)) >> (at & 7)) & ((1 << count) - 1);
  };
  while (left > 1) {
    if (at >= to * 8 || counts.length > mostSymbol) damaged("an impossible table");
    const spare = 2 * threshold - 1 - left;
    let count = peek(width);
    if ((count & (threshold - 1)) < spare) {
      count &= threshold - 1;
      at += width - 1;
    } else {
      if (count >= threshold) count -= spare;
      at += width;
    }
    count--;
    left -= Math.abs(count);
    counts.push(count);
    if (count === 0) {
      let more: number;
      do {
        more = peek(2);
        at += 2;
        for (let i = 0; i < more; i++) counts.push(0);
        if (counts.length > mostSymbol + 1) damaged("an impossible table");
      } while (more === 3);
    }
    while (left < threshold && threshold > 1) {
      width--;
      threshold >>= 1;
    }
  }
  const next = (at + 7) >> 3;
  if (left !== 1 || next > to) damaged("an impossible table");
  return { table: stateTable(counts, log), next };
}

/** A Huffman table: symbol and length of the code that the next `log` bits begin with. */
export interface HuffmanTable {
  log: number;
  symbols: Uint8Array;
  bits: Uint8Array;
}

const HUFFMAN_LOG_MAX = 11;

/** A Huffman table as a block describes it at `from`, and where what follows it begins. */
export function readHuffman(
  bytes: Uint8Array,
  from: number,
  to: number,
): { table: HuffmanTable; next: number } {
  if (from >= to) damaged("no Huffman table");
  const head = bytes[from]!;
  const direct = head >= 128;
  const size = direct ? (head - 126) >> 1 : head;
  const next = from + 1 + size;
  if (next > to) damaged("a Huffman table that ends early");
  const weights: number[] = [];
  if (direct) {
    for (let i = 0; i < head - 127; i++) {
      const pair = bytes[from + 1 + (i >> 1)]!;
      weights.push(i & 1 ? pair & 15 : pair >> 4);
    }
  } else compressedWeights(bytes, from + 1, next, weights);
  return { table: huffmanTable(weights), next };
}

function compressedWeights(bytes: Uint8Array, from: number, to: number, weights: number[]): void {
  const { table, next } = readStateTable(bytes, from, to, { mostLog: 6, mostSymbol: HUFFMAN_LOG_MAX });
  const stream = new BackwardBits();
  stream.open(bytes, next, to);
  // Two states take turns until one cannot be renewed; the other's symbol is the last.
  let [one, other] = [stream.read(table.log), stream.read(table.log)];
  for (;;) {
    weights.push(table.symbols[one]!);
    if (weights.length > 254) damaged("too many Huffman weights");
    if (stream.left < table.bits[one]!) break;
    const renewed = table.base[one]! + stream.read(table.bits[one]!);
    one = other;
    other = renewed;
  }
  weights.push(table.symbols[other]!);
}

function huffmanTable(weights: number[]): HuffmanTable {
  let sum = 0;
  for (const weight of weights) {
    if (weight > HUFFMAN_LOG_MAX) damaged("an impossible Huffman table");
    if (weight > 0) sum += 1 << (weight - 1);
  }
  if (sum === 0) damaged("an impossible Huffman table");
  const log = highestBit(sum) + 1;
  const rest = (1 << log) - sum;
  if (log > HUFFMAN_LOG_MAX || (rest & (rest - 1)) !== 0) damaged("an impossible Huffman table");
  weights.push(highestBit(rest) + 1);
  const starts: number[] = [];
  for (let weight = 1, start = 0; weight <= log; weight++) {
    starts[weight] = start;
    start += weights.filter((one) => one === weight).length << (weight - 1);
  }
  const symbols = new Uint8Array(1 << log);
  const bits = new Uint8Array(1 << log);
  for (const [symbol, weight] of weights.entries()) {
    if (weight === 0) continue;
    const start = starts[weight]!;
    const end = start + (1 << (weight - 1));
    symbols.fill(symbol, start, end);
    bits.fill(log + 1 - weight, start, end);
    starts[weight] = end;
  }
  return { log, symbols, bits };
}

/** Decodes the Huffman stream in `bytes[from..to)` into `out[at..end)`. */
export function huffmanStream(
  { log, symbols, bits }: HuffmanTable,
  [bytes, from, to]: readonly [Uint8Array, number, number],
  [out, at, end]: readonly [Uint8Array, number, number],
): void {
  const stream = new BackwardBits();
  stream.open(bytes, from, to);
  const { start } = stream;
  const mask = (1 << log) - 1;
  // The bits below the stream's start do not matter: no code needs them, unless the stream ends early.
  let p = stream.at - log;
  const least = start - log;
  for (let i = at; i < end; i++) {
    if (p < least) damaged("a Huffman stream that ends early");
    const b = p >> 3;
    const state = ((bytes[b]! | (bytes[b + 1]! << 8) | (bytes[b + 2]! << 16)) >> (p & 7)) & mask;
    out[i] = symbols[state]!;
    p -= bits[state]!;
  }
  if (p !== least) damaged("a Huffman stream of another length");
}
