import { TraceError } from "../error.js";
import { InflateError } from "../inflate.js";

/** Decompresses step by step: what `push` gives is bounded by the format's block size, whatever the input claims. */
export interface Unpacker {
  /** Takes more input and gives what can be unpacked. Throws InflateError with the offset of the damage. */
  push(input: Uint8Array, last: boolean): Iterable<Uint8Array>;
  /** True where the input may end. */
  readonly between: boolean;
}

const ADVICE = "get the file again";

export function truncatedPacked(name: string, format: string, offset: number): TraceError {
  return new TraceError(`${name} is truncated: its ${format} data ends early, at byte ${offset}; ${ADVICE}`, {
    kind: "truncated",
    offset,
  });
}

export function corruptPacked(name: string, format: string, offset: number, why: string): TraceError {
  return new TraceError(
    `${name} is corrupt: its ${format} data is damaged near byte ${offset} (${why}); ${ADVICE}`,
    { kind: "corrupt", offset },
  );
}

/** Input bytes given to an unpacker at a time. */
export const STEP = 1 << 16;

/** Runs an unpacker over a file. Errors come after everything before them. */
export async function* drive(
  name: string,
  format: string,
  packed: AsyncIterable<Uint8Array>,
  unpacker: Unpacker,
): AsyncGenerator<Uint8Array, void> {
  let given = 0;
  function* step(part: Uint8Array, last: boolean): Generator<Uint8Array, void> {
    try {
      yield* unpacker.push(part, last);
    } catch (error) {
      if (!(error instanceof InflateError)) throw error;
      const { offset, message, advice } = error;
      if (advice === undefined) throw corruptPacked(name, format, offset, message);
      throw new TraceError(
        `${name} is packed by ${format} with ${message}, at byte ${offset}, which is not known here; ${advice}`,
        { kind: "unsupported", offset },
      );
    }
  }
  for await (const slice of packed) {
    for (let at = 0; at < slice.length; at += STEP) {
      const part = slice.subarray(at, at + STEP);
      given += part.length;
      yield* step(part, false);
    }
  }
  yield* step(new Uint8Array(0), true);
  if (!unpacker.between) throw truncatedPacked(name, format, given);
}

/** Input that is kept until a decoder has used it. */
export class Held {
  bytes: Uint8Array = new Uint8Array(0);
  /** Bytes of `bytes` that are used up. */
  at = 0;
  /** Offset in the file of `bytes[0]`. */
  #origin = 0;

  get length(): number {
    return this.bytes.length - this.at;
  }

  /** Offset in the file of the next byte. */
  get offset(): number {
    return this.#origin + this.at;
  }

  add(more: Uint8Array): void {
    if (more.length === 0) return;
    const rest = this.bytes.subarray(this.at);
    const joined = new Uint8Array(rest.length + more.length);
    joined.set(rest);
    joined.set(more, rest.length);
    this.#origin += this.at;
    this.bytes = joined;
    this.at = 0;
  }

  take(count: number): Uint8Array {
    this.at += count;
    return this.bytes.subarray(this.at - count, this.at);
  }
}
