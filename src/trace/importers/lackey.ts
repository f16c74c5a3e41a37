import { concatBytes } from "../bytes.js";
import { TraceError } from "../error.js";
import { type Decoder, type Import, type Importer, type ImportHints, withoutTables } from "./importer.js";
import { address, allMatch, headLines, LINE_MAX, quoted } from "./lines.js";
import type { RecordOut } from "./out.js";

/**
 * What `valgrind --tool=lackey --trace-mem=yes` writes: "I  04001000,3", " S 1fff000678,8", " L ...", " M ..." (a load,
 * then a store of the same place), between valgrind's own "==pid==" lines.
 */
const LINE = /^(?:(?:I {2}| [LSM] )[0-9a-f]{1,16},\d{1,4}|(?:==|--|\*\*)\d+(?:==|--|\*\*).*| ?SB [0-9a-f]+)$/;

const HEX = new Uint8Array(256).fill(255);
for (let n = 0; n < 16; n++) HEX[n.toString(16).charCodeAt(0)] = n;

const [I, SPACE, COMMA, NEWLINE, RETURN] = [73, 32, 44, 10, 13];
// The first three bytes of a line, the first one lowest.
const [FETCH, LOAD, STORE, MODIFY] = [0x20_20_49, 0x20_4c_20, 0x20_53_20, 0x20_4d_20];
// What ends a line with a size of one digit: "," a digit "\n".
const [ENDS, ONE_DIGIT] = [0x0a_00_2c, 0xff_00_ff];
// And with one of two.
const [ENDS_LATER, TWO_DIGITS] = [0x0a_00_00_2c, 0xff00_00ff | 0];

/** The value of four hexadecimal digits, the first in the lowest byte; -1 when one is none. */
function nibbles(x: number): number {
  const letters = (x >>> 6) & 0x0101_0101;
  const v = (x & 0x0f0f_0f0f) + letters * 9;
  const above9 = ((v + 0x0606_0606) >>> 4) & 0x0101_0101;
  // Written again, it is the same text.
  if ((v & 0xf0f0_f0f0) !== 0 || ((v + 0x3030_3030 + Math.imul(above9, 0x27)) | 0) !== x) return -1;
  const pairs = ((v << 4) | (v >>> 8)) & 0x00ff_00ff;
  return ((pairs & 0xff) << 8) | (pairs >>> 16);
}

class LackeyDecoder implements Decoder {
  #held: Uint8Array = new Uint8Array(0);
  #offset = 0;
  #line = 1;
  #started = false;
  #process = 1;

  constructor(
    readonly name: string,
    readonly out: RecordOut,
  ) {}

  push(slice: Uint8Array): void {
    let bytes = slice;
    if (this.#held.length > 0) {
      // The line that the last slice began, by itself.
      const first = slice.indexOf(NEWLINE) + 1;
      this.#take(concatBytes(this.#held, slice.subarray(0, first === 0 ? slice.length : first)));
      if (first === 0) return;
      bytes = slice.subarray(first);
    }
    this.#take(bytes);
  }

  #take(bytes: Uint8Array): void {
    const end = bytes.lastIndexOf(NEWLINE) + 1;
    this.#lines(bytes, end);
    this.#offset += end;
    this.#held = bytes.slice(end);
    if (this.#held.length > LINE_MAX) throw this.#corrupt(this.#held, this.#offset);
  }

  end(): void {
    if (this.#held.length === 0) return;
    throw new TraceError(
      `${this.name} is truncated: it ends at byte ${this.#offset + this.#held.length}, inside line ${this.#line}; record it again, or read it as far as it is whole (--allow-truncated)`,
      { kind: "truncated", offset: this.#offset + this.#held.length },
    );
  }

  #lines(b: Uint8Array, end: number): void {
    const out = this.out;
    const view = new DataView(b.buffer, b.byteOffset, b.byteLength);
    let at = 0;
    let line = this.#line;
    if (!this.#started) {
      // Who ran stands in the lines before the first reference.
      while (at < end && b[at] !== I && b[at] !== SPACE) at = this.#other(b, at, line++);
      if (at >= end) {
        this.#line = line;
        return;
      }
      this.#started = true;
      out.switchTo(this.#process, this.#process);
    }
    while (at < end) {
      // The longest line of the common shape: "I  ", 16 digits, ",", 4 digits, a line end.
      if (at + 26 > b.length) {
        at = this.#other(b, at, line++);
        continue;
      }
      // At least eight digits are printed, and nearly always eight or ten: four at a time.
      const upper = nibbles(view.getInt32(at + 3, true));
      const lower = nibbles(view.getInt32(at + 7, true));
      const kind = view.getInt32(at, true) & 0xff_ffff;
      let hi = 0;
      let lo = (upper << 16) | lower;
      let good = (upper | lower) >= 0;
      let p = at + 11;
      let tail = view.getInt32(p, true);
      for (let pairs = 0; pairs < 4 && (tail & ONE_DIGIT) !== ENDS; pairs++) {
        const next = HEX[tail & 255]!;
        const last = HEX[(tail >>> 8) & 255]!;
        if ((next | last) > 15) break;
        hi = (hi << 8) | (lo >>> 24);
        lo = (lo << 8) | (next << 4) | last;
        p += 2;
        tail = view.getInt32(p, true);
      }
      let size = ((tail >>> 8) & 255) - 48;
      const units = ((tail >>> 16) & 255) - 48;
      if ((tail & ONE_DIGIT) === ENDS && size >>> 0 < 10) p += 3;
      else if ((tail & TWO_DIGITS) === ENDS_LATER && size >>> 0 < 10 && units >>> 0 < 10) {
        size = size * 10 + units;
        p += 4;
      } else {
        // Other numbers of digits.
        let digit = HEX[b[p]!]!;
        for (; digit < 16; digit = HEX[b[++p]!]!) {
          if (hi >>> 28 !== 0) good = false;
          hi = (hi << 4) | (lo >>> 28);
          lo = (lo << 4) | digit;
        }
        if (b[p] !== COMMA) good = false;
        size = b[++p]! - 48;
        if (size >>> 0 > 9) good = false;
        let next = b[++p]!;
        for (; next >= 48 && next < 58 && size < 10_000; next = b[++p]!) size = size * 10 + next - 48;
        if (next === RETURN) p++;
        if (b[p] !== NEWLINE) good = false;
        p++;
      }
      if (!good || p > end) {
        at = this.#other(b, at, line++);
        continue;
      }
      if (kind === FETCH) out.fetch(hi, lo, size);
      else if (kind === LOAD) out.read(hi, lo, size);
      else if (kind === STORE) out.write(hi, lo, size);
      else if (kind === MODIFY) {
        out.read(hi, lo, size);
        out.write(hi, lo, size);
      } else {
        at = this.#other(b, at, line++);
        continue;
      }
      at = p;
      line++;
    }
    this.#line = line;
  }

  /** A line that is not of the common shape: valgrind's own, a superblock, or none of lackey. Gives where the next begins. */
  #other(b: Uint8Array, at: number, line: number): number {
    const end = b.indexOf(NEWLINE, at);
    const text = String.fromCharCode(...b.subarray(at, Math.min(end, at + 200))).replace(/\r$/, "");
    if (text === "" || /^(==|--|\*\*)\d+(==|--|\*\*)/.test(text) || /^ ?SB [0-9a-f]+$/.test(text)) {
      const process = /^..(\d{1,15})/.exec(text)?.[1];
      if (process && !this.#started && text.startsWith("==")) this.#process = Number(process);
      return end + 1;
    }
    this.#line = line;
    const offset = this.#offset + at;
    // Near the end of a slice, or with fewer digits than lackey prints.
    const other = /^(?:I {2}| ([LSM]) )([0-9a-f]{1,16}),(\d{1,4})$/.exec(text);
    if (other) {
      const { hi, lo } = address(other[2]!, 16)!;
      const size = Number(other[3]);
      if (other[1] === undefined) this.out.fetch(hi, lo, size);
      if (other[1] === "L" || other[1] === "M") this.out.read(hi, lo, size);
      if (other[1] === "S" || other[1] === "M") this.out.write(hi, lo, size);
      return end + 1;
    }
    throw this.#corrupt(b.subarray(at, end), offset);
  }

  #corrupt(bytes: Uint8Array, offset: number): TraceError {
    const text = quoted(String.fromCharCode(...bytes.subarray(0, 100)));
    return new TraceError(
      `${this.name} is corrupt: line ${this.#line}, at byte ${offset}, is no line of lackey: ${text}; record with --log-file=FILE to keep the program's own output apart`,
      { kind: "corrupt", offset },
    );
  }
}

export const lackey: Importer = {
  format: "lackey",
  title: "a valgrind lackey trace",
  probe(head, whole) {
    const lines = headLines(head, whole);
    if (!lines?.some((line) => /^(I {2}| [LSM] )/.test(line))) {
      // A long preamble, or a recording of nothing.
      return lines !== undefined && /^==\d+== Lackey/.test(lines[0] ?? "") ? 0.9 : 0;
    }
    if (allMatch(lines, LINE)) return 1;
    const good = lines.filter((line) => LINE.test(line)).length;
    return good > lines.length * 0.5 ? 0.6 : 0;
  },
  open(_head, { name }: ImportHints): Import {
    return {
      recorded: withoutTables("valgrind lackey", "virtual", {
        missing: ["which thread ran"],
        notes: ["valgrind lays out memory in its own way: addresses are not those of a run without it"],
      }),
      start: (out) => new LackeyDecoder(name, out),
    };
  },
};
