import {
  BackwardBits,
  damaged,
  type HuffmanTable,
  huffmanStream,
  oneSymbol,
  readHuffman,
  readStateTable,
  type StateTable,
  stateTable,
} from "./zstd-entropy.js";

/** No block holds or gives more. */
export const BLOCK_MAX = 1 << 17;

/** What a code of a sequence stands for: the least value, and the bits that are added to it. */
interface Codes {
  base: Int32Array;
  bits: Uint8Array;
  mostLog: number;
  byDefault: StateTable;
}

/** Codes below `plain` stand for themselves and `least`; what follows has the bits given. */
function codes(least: number, plain: number, more: number[], mostLog: number, byDefault: StateTable): Codes {
  const bits = Uint8Array.from([...new Array<number>(plain).fill(0), ...more]);
  const base = new Int32Array(bits.length);
  for (let i = 0, at = least; i < bits.length; at += 1 << bits[i++]!) base[i] = at;
  return { base, bits, mostLog, byDefault };
}

const ones = (count: number) => new Array<number>(count).fill(1);
const twos = (count: number) => new Array<number>(count).fill(2);
const rare = (count: number) => new Array<number>(count).fill(-1);

/** RFC 8878 sections 3.1.1.3.2.1.1 and 3.1.1.3.2.2. */
const LITERAL = codes(
  0,
  16,
  [1, 1, 1, 1, 2, 2, 3, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16],
  9,
  stateTable([4, 3, ...twos(11), ...ones(3), ...twos(9), 3, 2, ...ones(5), ...rare(4)], 6),
);
const MATCH = codes(
  3,
  32,
  [1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16],
  9,
  stateTable([1, 4, 3, ...twos(6), ...ones(37), ...rare(7)], 6),
);
const OFFSET = {
  mostLog: 8,
  mostSymbol: 31,
  byDefault: stateTable([...ones(6), ...twos(3), ...ones(15), ...rare(5)], 5),
};

/** What is kept of a frame: its last bytes, and what one block leaves for the next. */
export class ZstdFrame {
  /** The content, from somewhere at least a window back. */
  bytes: Uint8Array = new Uint8Array(0);
  /** Where the next byte goes. */
  at = 0;
  readonly #window: number;
  readonly #literals = new Uint8Array(BLOCK_MAX);
  #offsets: [number, number, number] = [1, 4, 8];
  #huffman: HuffmanTable | undefined;
  #tables: { literal?: StateTable; offset?: StateTable; match?: StateTable } = {};
  readonly #stream = new BackwardBits();

  /** `window` in bytes: how far back a match may lie. Memory is taken as content comes, up to twice the window. */
  constructor(window: number) {
    this.#window = window;
  }

  /** Makes room for a block. */
  #room(): void {
    const need = this.at + BLOCK_MAX;
    if (need <= this.bytes.length) return;
    if (this.at >= 2 * this.#window && this.#window + BLOCK_MAX <= this.bytes.length) {
      this.bytes.copyWithin(0, this.at - this.#window, this.at);
      this.at = this.#window;
      return;
    }
    const most = 2 * this.#window + BLOCK_MAX;
    const grown = new Uint8Array(Math.max(need, Math.min(most, 2 * need)));
    grown.set(this.bytes.subarray(0, this.at));
    this.bytes = grown;
  }

  /** The content of a block that holds it as it is. */
  raw(content: Uint8Array): Uint8Array {
    this.#room();
    this.bytes.set(content, this.at);
    return this.#made(this.at, this.at + content.length);
  }

  /** The content of a block that repeats one byte. */
  repeated(byte: number, count: number): Uint8Array {
    this.#room();
    this.bytes.fill(byte, this.at, this.at + count);
    return this.#made(this.at, this.at + count);
  }

  #made(from: number, to: number): Uint8Array {
    this.at = to;
    return this.bytes.slice(from, to);
  }

  /** The content of the compressed block `b[from..to)`, with padding before and behind it. Throws BlockDamage. */
  compressed(b: Uint8Array, from: number, to: number): Uint8Array {
    this.#room();
    const { literals, next } = this.#readLiterals(b, from, to);
    return this.#made(this.at, this.#sequences(b, next, to, literals));
  }

  /** Decodes literals into #literals; gives their number, and where the sequences begin. */
  #readLiterals(b: Uint8Array, from: number, to: number): { literals: number; next: number } {
    const kind = b[from]! & 3;
    const format = (b[from]! >> 2) & 3;
    const head = (b[from]! | (b[from + 1]! << 8) | (b[from + 2]! << 16) | (b[from + 3]! << 24)) >>> 0;
    const out = this.#literals;
    if (kind < 2) {
      const [bytes, size] =
        format === 1
          ? [2, (head >> 4) & 0xfff]
          : format === 3
            ? [3, (head >> 4) & 0xfffff]
            : [1, (head >> 3) & 31];
      const start = from + bytes;
      const next = start + (kind === 0 ? size : 1);
      if (size > BLOCK_MAX || next > to) damaged("literals that end early");
      if (kind === 0) out.set(b.subarray(start, next));
      else out.fill(b[start]!, 0, size);
      return { literals: size, next };
    }
    const width = format < 2 ? 10 : format === 2 ? 14 : 18;
    const size = (head >>> 4) & ((1 << width) - 1);
    const start = from + (width === 10 ? 3 : width === 14 ? 4 : 5);
    const packed =
      width === 18 ? (head >>> 22) | (b[from + 4]! << 10) : (head >>> (4 + width)) & ((1 << width) - 1);
    const next = start + packed;
    if (size > BLOCK_MAX || next > to) damaged("literals that end early");
    let at = start;
    if (kind === 2) ({ table: this.#huffman, next: at } = readHuffman(b, start, next));
    const table = this.#huffman;
    if (table === undefined) return damaged("no Huffman table");
    if (format === 0) {
      huffmanStream(table, [b, at, next], [out, 0, size]);
      return { literals: size, next };
    }
    // Four streams; the first three have their lengths before them.
    const part = (size + 3) >> 2;
    if (at + 6 > next || size < 3 * part) damaged("literals that end early");
    let stream = at + 6;
    for (let i = 0; i < 4; i++) {
      const end = i < 3 ? stream + (b[at + 2 * i]! | (b[at + 2 * i + 1]! << 8)) : next;
      if (end > next) damaged("literals that end early");
      huffmanStream(table, [b, stream, end], [out, i * part, i < 3 ? (i + 1) * part : size]);
      stream = end;
    }
    return { literals: size, next };
  }

  /** Carries out the sequences in b[from..to), and gives where the content ends. */
  #sequences(b: Uint8Array, from: number, to: number, literals: number): number {
    let at = from;
    let count = b[at++]!;
    if (from >= to) damaged("no sequences");
    if (count === 255) {
      count = (b[at]! | (b[at + 1]! << 8)) + 0x7f00;
      at += 2;
    } else if (count > 127) count = ((count - 128) << 8) | b[at++]!;
    const start = this.at;
    if (count === 0) {
      if (at !== to) damaged("bytes after the literals");
      this.bytes.set(this.#literals.subarray(0, literals), start);
      return start + literals;
    }
    const modes = b[at++]!;
    if ((modes & 3) !== 0 || at > to) damaged("impossible modes");
    const read = (
      mode: number,
      { mostLog, mostSymbol, byDefault }: typeof OFFSET,
      last: StateTable | undefined,
    ) => {
      if (mode === 0) return byDefault;
      if (mode === 3) return last ?? damaged("no table to repeat");
      if (mode === 1) {
        if (at >= to || b[at]! > mostSymbol) damaged("an impossible table");
        return oneSymbol(b[at++]!);
      }
      const { table, next } = readStateTable(b, at, to, { mostLog, mostSymbol });
      at = next;
      return table;
    };
    const tables = this.#tables;
    const ll = read(modes >> 6, { ...LITERAL, mostSymbol: LITERAL.bits.length - 1 }, tables.literal);
    const of = read((modes >> 4) & 3, OFFSET, tables.offset);
    const ml = read((modes >> 2) & 3, { ...MATCH, mostSymbol: MATCH.bits.length - 1 }, tables.match);
    this.#tables = { literal: ll, offset: of, match: ml };
    this.#stream.open(b, at, to);
    return this.#carryOut(count, ll, of, ml, literals);
  }

  #carryOut(count: number, ll: StateTable, of: StateTable, ml: StateTable, literals: number): number {
    const { bytes } = this;
    const stream = this.#stream;
    const source = this.#literals;
    const start = this.at;
    const most = start + BLOCK_MAX;
    const furthest = this.#window;
    let [one, two, three] = this.#offsets;
    let from = 0;
    let at = start;
    let l = stream.read(ll.log);
    let o = stream.read(of.log);
    let m = stream.read(ml.log);
    for (let left = count; ; ) {
      const offsetCode = of.symbols[o]!;
      let offset = 1;
      if (offsetCode > 16) {
        const high = stream.read(offsetCode - 16);
        offset = (((1 << (offsetCode - 16)) | high) >>> 0) * 0x1_0000 + stream.read(16);
      } else offset = (1 << offsetCode) + stream.read(offsetCode);
      const matchCode = ml.symbols[m]!;
      const matchLength = MATCH.base[matchCode]! + stream.read(MATCH.bits[matchCode]!);
      const literalCode = ll.symbols[l]!;
      const literalLength = LITERAL.base[literalCode]! + stream.read(LITERAL.bits[literalCode]!);
      if (offset > 3) {
        three = two;
        two = one;
        one = offset - 3;
      } else {
        const which = literalLength === 0 ? offset : offset - 1;
        if (which > 0) {
          const again = which === 1 ? two : which === 2 ? three : one - 1;
          if (which > 1) three = two;
          two = one;
          one = again;
        }
      }
      if (from + literalLength > literals || at + literalLength + matchLength > most)
        damaged("a block that holds too much");
      at = copied(source, from, literalLength, bytes, at);
      from += literalLength;
      if (one < 1 || one > at || one > furthest) damaged("a match before the content");
      at = matched(bytes, at, one, matchLength);
      if (--left === 0) break;
      l = ll.base[l]! + stream.read(ll.bits[l]!);
      m = ml.base[m]! + stream.read(ml.bits[m]!);
      o = of.base[o]! + stream.read(of.bits[o]!);
    }
    if (stream.left !== 0) damaged("sequences of another length");
    if (at + literals - from > most) damaged("a block that holds too much");
    this.#offsets = [one, two, three];
    return copied(source, from, literals - from, bytes, at);
  }
}

/** Short copies are quicker by hand. */
const SHORT = 32;

function copied(source: Uint8Array, from: number, count: number, out: Uint8Array, at: number): number {
  if (count > SHORT) out.set(source.subarray(from, from + count), at);
  else for (let i = 0; i < count; i++) out[at + i] = source[from + i]!;
  return at + count;
}

function matched(bytes: Uint8Array, at: number, offset: number, count: number): number {
  if (count > SHORT && offset >= count) bytes.copyWithin(at, at - offset, at - offset + count);
  else for (let i = at, end = at + count; i < end; i++) bytes[i] = bytes[i - offset]!;
  return at + count;
}
