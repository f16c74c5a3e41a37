import { TraceError } from "../error.js";
import type { Decoder } from "./importer.js";

/** Splits content into records of a fixed number of 32-bit little-endian words. */
export class FixedDecoder implements Decoder {
  /** Offset in the content of the first word given. */
  offset = 0;
  readonly #bytes: number;
  #held = new Uint8Array(0);

  constructor(
    readonly name: string,
    words: number,
    /** Takes `count` whole records. */
    readonly records: (words: Int32Array, count: number, where: FixedDecoder) => void,
    readonly advice: string,
    readonly finish: () => void = () => {},
  ) {
    this.#bytes = words * 4;
  }

  push(bytes: Uint8Array): void {
    const size = this.#bytes;
    let aligned = bytes;
    if (this.#held.length > 0 || bytes.byteOffset % 4 !== 0) {
      aligned = new Uint8Array(this.#held.length + bytes.length);
      aligned.set(this.#held);
      aligned.set(bytes, this.#held.length);
    }
    const count = Math.floor(aligned.length / size);
    const used = count * size;
    if (count > 0) this.records(new Int32Array(aligned.buffer, aligned.byteOffset, used / 4), count, this);
    this.offset += used;
    this.#held = aligned.slice(used);
  }

  end(): void {
    const left = this.#held.length;
    if (left > 0) {
      const length = this.offset + left;
      throw new TraceError(
        `${this.name} is truncated: its ${length} bytes are ${this.offset / this.#bytes} records of ${this.#bytes} bytes and ${left} bytes more, at byte ${this.offset}; ${this.advice}`,
        { kind: "truncated", offset: this.offset },
      );
    }
    this.finish();
  }
}

/** The words of a head, as far as records are whole. */
export function headWords(head: Uint8Array, words: number): Int32Array {
  const whole = head.length - (head.length % (words * 4));
  return new Int32Array(head.slice(0, whole).buffer);
}
