import { optionName } from "../../request/option-names.js";
import { TraceError } from "../error.js";
import type { Decoder } from "./importer.js";

/** No line of any format is longer. */
export const LINE_MAX = 1 << 16;

/** What some editors begin a text in UTF-8 with, read as Latin-1. */
const BYTE_ORDER_MARK = "\xef\xbb\xbf";

/** A line in the words of a message. */
export function quoted(line: string): string {
  const text = line.replace(/[^\x20-\x7e]/g, "?");
  return text.length > 60 ? `"${text.slice(0, 57)}..."` : `"${text}"`;
}

/** Splits content into lines and gives each to `line`, without its end. */
export class LineDecoder implements Decoder {
  /** Number of the current line, from 1. */
  number = 0;
  /** Offset of the current line in the content. */
  offset = 0;
  #held = "";
  #decoder = new TextDecoder("latin1");

  constructor(
    readonly name: string,
    readonly line: (text: string, where: LineDecoder) => void,
    readonly finish: () => void = () => {},
  ) {}

  push(bytes: Uint8Array): void {
    const text = this.#held + this.#decoder.decode(bytes);
    let at = 0;
    for (;;) {
      const end = text.indexOf("\n", at);
      if (end < 0) break;
      this.#line(text.slice(at, end));
      at = end + 1;
    }
    this.#held = text.slice(at);
    if (this.#held.length > LINE_MAX) {
      this.number++;
      throw this.corrupt(`has more than ${LINE_MAX} characters`, "check that it is text");
    }
  }

  end(): void {
    if (this.#held !== "") this.#last(this.#held);
    this.#held = "";
    this.finish();
  }

  /** A line without an end that makes no sense has been cut. */
  #last(text: string): void {
    try {
      this.#line(text);
    } catch (error) {
      if (!(error instanceof TraceError) || error.kind !== "corrupt") throw error;
      const end = this.offset + text.length;
      this.finish();
      throw new TraceError(
        `${this.name} is truncated: it ends at byte ${end}, inside line ${this.number}; get the file again, or read it as far as it is whole (${optionName("allow-truncated")})`,
        { kind: "truncated", offset: end },
      );
    }
  }

  #line(text: string): void {
    const from = this.number++ === 0 && text.startsWith(BYTE_ORDER_MARK) ? BYTE_ORDER_MARK.length : 0;
    this.line(text.slice(from, text.endsWith("\r") ? -1 : undefined), this);
    this.offset += text.length + 1;
  }

  /** The error of a line that makes no sense. */
  corrupt(what: string, advice: string): TraceError {
    return new TraceError(
      `${this.name} is corrupt: line ${this.number}, at byte ${this.offset}, ${what}; ${advice}`,
      { kind: "corrupt", offset: this.offset },
    );
  }
}

/** The lines at the start of a file that are all there, or undefined when it is not text. */
export function headLines(head: Uint8Array, whole: boolean): string[] | undefined {
  let text = new TextDecoder("latin1").decode(head);
  if (text.startsWith(BYTE_ORDER_MARK)) text = text.slice(BYTE_ORDER_MARK.length);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: that is the question
  if (/[\0-\x08\x0e-\x1f\x7f-\xff]/.test(text)) return undefined;
  const lines = text.split(/\r?\n/);
  if (!whole || lines.at(-1) === "") lines.pop();
  return lines;
}

/** The share of lines that `test` takes, of those that are not empty or a comment; 0 when there is none. */
export function allMatch(lines: readonly string[], test: RegExp): boolean {
  const counted = lines.filter((line) => line.trim() !== "" && !/^\s*#/.test(line));
  return counted.length > 0 && counted.every((line) => test.test(line));
}

/** A hexadecimal or decimal number as two signed 32-bit halves; undefined when it is none or over 64 bits. */
export function address(text: string, base: 10 | 16): { hi: number; lo: number } | undefined {
  if (base === 10) {
    if (!/^\d{1,20}$/.test(text)) return undefined;
    const value = Number(text);
    if (Number.isSafeInteger(value)) return { hi: (value / 0x1_0000_0000) | 0, lo: value | 0 };
    const big = BigInt(text);
    if (big >> 64n) return undefined;
    return { hi: Number(BigInt.asIntN(32, big >> 32n)), lo: Number(BigInt.asIntN(32, big)) };
  }
  const digits = text.startsWith("0x") || text.startsWith("0X") ? text.slice(2) : text;
  if (!/^[0-9a-fA-F]{1,16}$/.test(digits)) return undefined;
  return {
    lo: Number.parseInt(digits.slice(-8), 16) | 0,
    hi: digits.length > 8 ? Number.parseInt(digits.slice(0, -8), 16) | 0 : 0,
  };
}
