import {
  Z_BUF_ERROR,
  Z_NO_FLUSH,
  Z_OK,
  Z_STREAM_END,
  ZStream,
  zlibInflate,
  zlibInflateEnd,
  zlibInflateInit2,
} from "pako";

/**
 * DEFLATE where there is no node:zlib, by pako. A browser's DecompressionStream will not do for whole files: it refuses
 * several gzip members, and what follows a zip member, and names no offset.
 */

/**
 * Compressed bytes that make no sense, or that use what is not known here: `advice` then says what unpacks them. `offset`
 * counts from the first byte given to the decoder.
 */
export class InflateError extends Error {
  constructor(
    message: string,
    readonly offset: number,
    readonly advice?: string,
  ) {
    super(message);
  }
}

/** No header, no checksum. */
const RAW = -15;
const OUTPUT_BYTES = 1 << 17;

/** A DEFLATE stream, in slices of any size. */
export class Inflater {
  /** The stream has ended. */
  done = false;
  /** Bytes of the stream so far. */
  consumed = 0;
  readonly #z = new ZStream();
  #rest: Uint8Array = new Uint8Array(0);

  constructor() {
    zlibInflateInit2(this.#z, RAW);
  }

  /** Gives what the input unpacks to. Throws InflateError, after everything before the damage. */
  push(input: Uint8Array, emit: (bytes: Uint8Array) => void): void {
    const z = this.#z;
    z.input = input;
    z.next_in = 0;
    z.avail_in = input.length;
    let full = false;
    do {
      if (z.avail_out === 0) {
        z.output = new Uint8Array(OUTPUT_BYTES);
        z.next_out = 0;
        z.avail_out = OUTPUT_BYTES;
      }
      const from = z.next_out;
      const status = zlibInflate(z, Z_NO_FLUSH);
      if (z.next_out > from) emit(z.output!.subarray(from, z.next_out));
      if (status === Z_STREAM_END) {
        this.done = true;
        this.#rest = input.subarray(z.next_in);
        zlibInflateEnd(z);
      } else if (status !== Z_OK && status !== Z_BUF_ERROR)
        throw new InflateError(z.msg || "invalid data", this.consumed + z.next_in);
      full = z.avail_out === 0;
    } while (full && !this.done);
    this.consumed += z.next_in;
  }

  /** What follows the stream in the input that ended it. */
  remaining(): Uint8Array {
    return this.#rest;
  }
}
