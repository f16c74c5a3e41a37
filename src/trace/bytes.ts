import { TraceError } from "./error.js";

/** Where the bytes of a file come from. Iterating gives the whole file, front to back, in slices of any size. */
export interface ByteSource extends AsyncIterable<Uint8Array> {
  /** Named in every error message. */
  readonly name: string;
  /** File size in bytes, when known. */
  readonly size?: number;
  /** True when the bytes can be read only once (a pipe). */
  readonly once?: boolean;
  /** Random access. Gives fewer bytes than asked for only at the end of the file. */
  read?(offset: number, length: number): Promise<Uint8Array>;
}

/** A file held in memory. */
export function bytesInMemory(name: string, bytes: Uint8Array, sliceBytes = 1 << 18): ByteSource {
  return {
    name,
    size: bytes.length,
    read: async (offset, length) => bytes.subarray(offset, offset + length),
    async *[Symbol.asyncIterator]() {
      for (let at = 0; at < bytes.length; at += sliceBytes) yield bytes.subarray(at, at + sliceBytes);
    },
  };
}

/** A `File` or `Blob`, as a browser's file input gives it. */
export function bytesOfBlob(name: string, blob: Blob): ByteSource {
  const read = async (offset: number, length: number) =>
    new Uint8Array(await blob.slice(offset, offset + length).arrayBuffer());
  return {
    name,
    size: blob.size,
    read,
    async *[Symbol.asyncIterator]() {
      for (let at = 0; at < blob.size; at += 1 << 20) yield await read(at, 1 << 20);
    },
  };
}

/** Bytes that pass by once: a pipe, or the body of an HTTP response. */
export function bytesOfStream(
  name: string,
  stream: AsyncIterable<Uint8Array> | ReadableStream<Uint8Array>,
): ByteSource {
  return {
    name,
    once: true,
    [Symbol.asyncIterator]: () => (isAsyncIterable(stream) ? stream[Symbol.asyncIterator]() : drain(stream)),
  };
}

function isAsyncIterable(x: object): x is AsyncIterable<Uint8Array> {
  return Symbol.asyncIterator in x;
}

async function* drain(stream: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array, void> {
  const reader = stream.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}

export function concatBytes(a: Uint8Array, b: Uint8Array): Uint8Array {
  if (a.length === 0) return b;
  if (b.length === 0) return a;
  const joined = new Uint8Array(a.length + b.length);
  joined.set(a);
  joined.set(b, a.length);
  return joined;
}

export function toHex(bytes: Uint8Array): string {
  let hex = "";
  for (const byte of bytes) hex += byte.toString(16).padStart(2, "0");
  return hex;
}

/**
 * Reads an asynchronous byte sequence by count, with look-ahead.
 * An error of the underlying sequence is kept until every byte before it has been taken.
 */
export class ByteReader {
  /** Bytes taken so far. */
  offset = 0;
  #iterator: AsyncIterator<Uint8Array>;
  #held: Uint8Array = new Uint8Array(0);
  #ended = false;
  #error: unknown;

  constructor(bytes: AsyncIterable<Uint8Array>) {
    this.#iterator = bytes[Symbol.asyncIterator]();
  }

  /** The next `length` bytes without taking them; fewer only at the end or before an error. */
  async peek(length: number): Promise<Uint8Array> {
    if (this.#held.length < length && !this.#ended) {
      const parts = [this.#held];
      let total = this.#held.length;
      while (total < length && !this.#ended) {
        const part = await this.#next();
        parts.push(part);
        total += part.length;
      }
      const joined = new Uint8Array(total);
      let at = 0;
      for (const part of parts) {
        joined.set(part, at);
        at += part.length;
      }
      this.#held = joined;
    }
    return this.#held.subarray(0, length);
  }

  /** Takes `length` bytes. Fewer come only at the end of the data. Throws the underlying error when it is met first. */
  async take(length: number): Promise<Uint8Array> {
    const bytes = await this.peek(length);
    if (bytes.length < length && this.#error !== undefined) throw this.#error;
    this.#held = this.#held.subarray(bytes.length);
    this.offset += bytes.length;
    return bytes;
  }

  /** Takes whatever slice is at hand; empty at the end of the data. */
  async takeSome(): Promise<Uint8Array> {
    while (this.#held.length === 0 && !this.#ended) this.#held = await this.#next();
    const bytes = this.#held;
    if (bytes.length === 0 && this.#error !== undefined) throw this.#error;
    this.#held = new Uint8Array(0);
    this.offset += bytes.length;
    return bytes;
  }

  /** Lets go of the underlying sequence. */
  async close(): Promise<void> {
    this.#ended = true;
    await this.#iterator.return?.();
  }

  async #next(): Promise<Uint8Array> {
    try {
      const { done, value } = await this.#iterator.next();
      if (!done) return value;
    } catch (error) {
      this.#error = error ?? new TraceError("the bytes cannot be read", { kind: "unreadable" });
    }
    this.#ended = true;
    return new Uint8Array(0);
  }
}
