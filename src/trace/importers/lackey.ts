import { optionName } from "../../request/option-names.js";
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

const [I, SPACE, COMMA, NEWLINE] = [73, 32, 44, 10];
// The first three bytes of a line, the first one lowest.
const [FETCH, LOAD, STORE, MODIFY] = [0x20_20_49, 0x20_4c_20, 0x20_53_20, 0x20_4d_20];

/** The value of two hexadecimal digits, by their bytes, the first one lowest; negative when one is none. */
const PAIR = new Int16Array(1 << 16).fill(-1);
for (let n = 0; n < 256; n++) {
  const digits = n.toString(16).padStart(2, "0");
  PAIR[digits.charCodeAt(0) | (digits.charCodeAt(1) << 8)] = n;
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
      `${this.name} is truncated: it ends at byte ${this.#offset + this.#held.length}, inside line ${this.#line}; record it again, or read it as far as it is whole (${optionName("allow-truncated")})`,
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
      // The longest line of the common shape: "I  ", 16 digits, ",", 2 digits, a line end.
      if (at + 23 > b.length) {
        at = this.#other(b, at, line++);
        continue;
      }
      const kind = view.getInt32(at, true) & 0xff_ffff;
      // At least eight digits are printed: below 4 GiB, for the stack, for a PIE and its libraries, for a kernel.
      let p = at + 3;
      let hi = 0;
      let bad = 0;
      if (b[p + 8] !== COMMA) {
        if (b[p + 10] === COMMA) {
          bad = hi = PAIR[view.getUint16(p, true)]!;
          p += 2;
        } else if (b[p + 12] === COMMA) {
          bad = hi = (PAIR[view.getUint16(p, true)]! << 8) | PAIR[view.getUint16(p + 2, true)]!;
          p += 4;
        } else {
          const upper = (PAIR[view.getUint16(p, true)]! << 8) | PAIR[view.getUint16(p + 2, true)]!;
          const lower = (PAIR[view.getUint16(p + 4, true)]! << 8) | PAIR[view.getUint16(p + 6, true)]!;
          bad = b[p + 16] === COMMA ? upper | lower : -1;
          hi = (upper << 16) | lower;
          p += 8;
        }
      }
      const upper = (PAIR[view.getUint16(p, true)]! << 8) | PAIR[view.getUint16(p + 2, true)]!;
      const lower = (PAIR[view.getUint16(p + 4, true)]! << 8) | PAIR[view.getUint16(p + 6, true)]!;
      const lo = (upper << 16) | lower;
      let size = b[p + 9]! - 48;
      let after = b[p + 10]!;
      p += 11;
      if (after !== NEWLINE) {
        size = (after - 48) >>> 0 < 10 ? size * 10 + after - 48 : -1;
        after = b[p++]!;
      }
      if ((bad | upper | lower | size) < 0 || size > 99 || after !== NEWLINE || p > end) {
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
  looks: "lines such as I  0401ab70,3; virtual addresses",
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
