import { concatBytes } from "../bytes.js";
import { TraceError } from "../error.js";
import { type Decoder, type Import, type Importer, type ImportHints, withoutTables } from "./importer.js";
import { allMatch, headLines, LINE_MAX, quoted } from "./lines.js";
import type { RecordOut } from "./out.js";

/**
 * What `valgrind --tool=lackey --trace-mem=yes` writes: "I  04001000,3", " S 1fff000678,8", " L ...", " M ..." (a load,
 * then a store of the same place), between valgrind's own "==pid==" lines.
 */
const LINE = /^(?:(?:I {2}| [LSM] )[0-9a-f]{1,16},\d{1,4}|(?:==|--|\*\*)\d+(?:==|--|\*\*).*| ?SB [0-9a-f]+)$/;

const HEX = new Uint8Array(256).fill(255);
for (let n = 0; n < 16; n++) HEX[n.toString(16).charCodeAt(0)] = n;

const [I, L, S, M, SPACE, COMMA, NEWLINE, RETURN] = [73, 76, 83, 77, 32, 44, 10, 13];

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
    const bytes = concatBytes(this.#held, slice);
    const end = bytes.lastIndexOf(NEWLINE) + 1;
    this.#lines(bytes, end);
    this.#offset += end;
    this.#held = bytes.slice(end);
    if (this.#held.length > LINE_MAX)
      throw this.#corrupt(this.#held, 0, this.#offset, "is no line of lackey");
  }

  end(): void {
    if (this.#held.length === 0) return;
    throw new TraceError(
      `${this.name} is truncated: it ends at byte ${this.#offset + this.#held.length}, inside line ${this.#line}; record it again, or read it with truncation allowed`,
      { kind: "truncated", offset: this.#offset + this.#held.length },
    );
  }

  #lines(b: Uint8Array, end: number): void {
    const out = this.out;
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
      const kind = b[at]! === I ? I : b[at] === SPACE ? b[at + 1]! : 0;
      let p = at + 3;
      // At least eight digits are printed, and nearly always eight or ten.
      const d0 = HEX[b[p]!]!;
      const d1 = HEX[b[p + 1]!]!;
      const d2 = HEX[b[p + 2]!]!;
      const d3 = HEX[b[p + 3]!]!;
      const d4 = HEX[b[p + 4]!]!;
      const d5 = HEX[b[p + 5]!]!;
      const d6 = HEX[b[p + 6]!]!;
      const d7 = HEX[b[p + 7]!]!;
      let lo = (d0 << 28) | (d1 << 24) | (d2 << 20) | (d3 << 16) | (d4 << 12) | (d5 << 8) | (d6 << 4) | d7;
      let hi = 0;
      let good = (d0 | d1 | d2 | d3 | d4 | d5 | d6 | d7) < 16 && b[at + 2] === SPACE;
      p += 8;
      for (let digit = HEX[b[p]!]!; digit < 16; digit = HEX[b[++p]!]!) {
        if (hi >>> 28 !== 0) good = false;
        hi = (hi << 4) | (lo >>> 28);
        lo = (lo << 4) | digit;
      }
      if (b[p] !== COMMA) good = false;
      let size = b[++p]! - 48;
      if (size >>> 0 > 9) good = false;
      for (let digit = b[++p]! - 48; digit >>> 0 < 10 && size < 10_000; digit = b[++p]! - 48)
        size = size * 10 + digit;
      if (b[p] === RETURN) p++;
      if (!good || b[p] !== NEWLINE || p >= end) {
        at = this.#other(b, at, line++);
        continue;
      }
      if (kind === I && b[at + 1] === SPACE) out.fetch(hi, lo, size);
      else if (kind === L) out.read(hi, lo, size);
      else if (kind === S) out.write(hi, lo, size);
      else if (kind === M) {
        out.read(hi, lo, size);
        out.write(hi, lo, size);
      } else {
        at = this.#other(b, at, line++);
        continue;
      }
      at = p + 1;
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
    // Written with fewer digits than lackey does, by another tool.
    const other = /^(?:I {2}| ([LSM]) )([0-9a-f]{1,7}),(\d{1,4})$/.exec(text);
    if (other) {
      const lo = Number.parseInt(other[2]!, 16);
      const size = Number(other[3]);
      if (other[1] === undefined) this.out.fetch(0, lo, size);
      if (other[1] === "L" || other[1] === "M") this.out.read(0, lo, size);
      if (other[1] === "S" || other[1] === "M") this.out.write(0, lo, size);
      return end + 1;
    }
    throw this.#corrupt(b.subarray(at, end), at, offset, "is no line of lackey");
  }

  #corrupt(bytes: Uint8Array, _at: number, offset: number, what: string): TraceError {
    const text = quoted(String.fromCharCode(...bytes.subarray(0, 100)));
    return new TraceError(
      `${this.name} is corrupt: line ${this.#line}, at byte ${offset}, ${what}: ${text}; record with --log-file=FILE to keep the program's own output apart`,
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
