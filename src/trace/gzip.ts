import { concatBytes } from "./bytes.js";
import { InflateError, Inflater } from "./inflate.js";
import { crc32, nodeZlib } from "./platform.js";
import { corruptPacked, truncatedPacked } from "./unpack/drive.js";

/** True for the first bytes of a gzip file. */
export function looksLikeGzip(bytes: Uint8Array): boolean {
  return bytes.length >= 3 && bytes[0] === 0x1f && bytes[1] === 0x8b && bytes[2] === 8;
}

// No name, no time, operating system "unknown": nothing but the content decides the bytes.
const HEADER = Uint8Array.of(0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255);

/** One gzip member. The bytes depend only on `raw` and on the DEFLATE implementation of the platform. */
export async function gzipMember(raw: Uint8Array): Promise<Uint8Array> {
  const deflated = await deflateRaw(raw);
  const member = new Uint8Array(HEADER.length + deflated.length + 8);
  member.set(HEADER);
  member.set(deflated, HEADER.length);
  const view = new DataView(member.buffer);
  view.setUint32(member.length - 8, crc32(raw), true);
  view.setUint32(member.length - 4, raw.length, true);
  return member;
}

/** As a browser's CompressionStream has it. Level 9 takes three times as long to save 0.4 % of a recorded guest. */
const LEVEL = 6;

async function deflateRaw(raw: Uint8Array): Promise<Uint8Array> {
  const zlib = nodeZlib;
  if (zlib) {
    return new Promise((resolve, reject) => {
      zlib.deflateRaw(raw, { level: LEVEL }, (error, bytes) => (error ? reject(error) : resolve(bytes)));
    });
  }
  const packed = new Blob([raw as BlobPart]).stream().pipeThrough(new CompressionStream("deflate-raw"));
  return new Uint8Array(await new Response(packed).arrayBuffer());
}

/**
 * Unpacks exactly one gzip member of known content length.
 * Gives undefined when the member is damaged or holds anything but `rawLength` bytes.
 */
export async function gunzipMember(member: Uint8Array, rawLength: number): Promise<Uint8Array | undefined> {
  const zlib = nodeZlib;
  if (!zlib) return gunzipMemberInBrowser(member, rawLength);
  return new Promise((resolve) => {
    const options = { chunkSize: rawLength + 64, maxOutputLength: rawLength + 64 };
    zlib.gunzip(member, options, (error, bytes) => {
      resolve(error || bytes.length !== rawLength ? undefined : bytes);
    });
  });
}

/** `gunzipMember` by the browser's own DEFLATE, which takes one member and nothing behind it. */
export async function gunzipMemberInBrowser(
  member: Uint8Array,
  rawLength: number,
): Promise<Uint8Array | undefined> {
  if (typeof DecompressionStream === "undefined") return gunzipMemberPortable(member, rawLength);
  const stream = new DecompressionStream("gzip");
  /* What goes wrong is seen where it is read. */
  writeInSteps(stream.writable.getWriter(), member).catch(() => {});
  const reader = stream.readable.getReader();
  const raw = new Uint8Array(rawLength);
  let at = 0;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return at === rawLength ? raw : undefined;
      if (at + value.length > rawLength) return undefined;
      raw.set(value, at);
      at += value.length;
    }
  } catch {
    return undefined;
  } finally {
    reader.cancel().catch(() => {});
  }
}

async function writeInSteps(
  writer: WritableStreamDefaultWriter<BufferSource>,
  bytes: Uint8Array,
): Promise<void> {
  for (let at = 0; at < bytes.length; at += STEP)
    await writer.write(bytes.subarray(at, at + STEP) as BufferSource);
  await writer.close();
}

/** `gunzipMember` without native help. */
export function gunzipMemberPortable(member: Uint8Array, rawLength: number): Uint8Array | undefined {
  const raw = new Uint8Array(rawLength);
  let at = 0;
  let members = 0;
  const gunzip = new PortableGunzip(
    (bytes) => {
      if (at + bytes.length <= rawLength) raw.set(bytes, at);
      at += bytes.length;
    },
    () => members++,
  );
  try {
    gunzip.push(member);
  } catch {
    return undefined;
  }
  return members === 1 && at === rawLength && gunzip.between ? raw : undefined;
}

/**
 * Unpacks a gzip file of one or more members.
 * Throws TraceError ("truncated" or "corrupt") with the offset in the compressed file, after everything before it.
 */
export function gunzip(name: string, packed: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  return nodeZlib ? gunzipNative(nodeZlib, name, packed) : gunzipPortable(name, packed);
}

const truncatedGzip = (name: string, offset: number) => truncatedPacked(name, "gzip", offset);
const corruptGzip = (name: string, offset: number, why: string) => corruptPacked(name, "gzip", offset, why);

// Bounds what one step can unpack to (DEFLATE expands at most 1032 times).
const STEP = 1 << 16;

async function* gunzipNative(
  zlib: NonNullable<typeof nodeZlib>,
  name: string,
  packed: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void> {
  const stream = zlib.createGunzip({ chunkSize: 1 << 18 });
  const ready: Uint8Array[] = [];
  const failure: { error?: NodeJS.ErrnoException } = {};
  stream.on("data", (bytes: Uint8Array) => ready.push(bytes));
  stream.on("error", (error) => {
    failure.error = error;
  });
  // An error closes the stream without calling back the write that met it.
  let wake = () => {};
  stream.on("close", () => wake());
  let given = 0;
  const check = () => {
    if (!failure.error) return;
    if (failure.error.code === "Z_BUF_ERROR") throw truncatedGzip(name, given);
    throw corruptGzip(name, stream.bytesWritten, failure.error.message);
  };
  // The next step is unpacked, on another thread, while the output of the last one is in use.
  let step: Promise<void> | undefined;
  try {
    for await (const slice of packed) {
      for (let at = 0; at < slice.length; at += STEP) {
        await step;
        const output = ready.splice(0);
        check();
        const part = slice.subarray(at, at + STEP);
        given += part.length;
        step = new Promise((resolve) => {
          wake = resolve;
          stream.write(part, () => resolve());
        });
        yield* output;
      }
    }
    await step;
    yield* ready.splice(0);
    check();
    await new Promise<void>((resolve) => {
      wake = resolve;
      stream.once("end", resolve);
      stream.end();
    });
    yield* ready.splice(0);
    check();
  } finally {
    stream.destroy();
  }
}

/** `gunzip` without native help. */
export async function* gunzipPortable(
  name: string,
  packed: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void> {
  const ready: Uint8Array[] = [];
  const stream = new PortableGunzip((bytes) => ready.push(bytes));
  let given = 0;
  for await (const slice of packed) {
    for (let at = 0; at < slice.length; at += STEP) {
      const part = slice.subarray(at, at + STEP);
      given += part.length;
      let failure: unknown;
      try {
        stream.push(part);
      } catch (error) {
        failure = error;
      }
      yield* ready.splice(0);
      if (failure instanceof InflateError) throw corruptGzip(name, failure.offset, failure.message);
      if (failure) throw failure;
    }
  }
  if (!stream.between) throw truncatedGzip(name, given);
}

/** Gzip framing (RFC 1952) around the inflater. */
class PortableGunzip {
  /** True between members: the input may end here. */
  between = true;
  #held: Uint8Array = new Uint8Array(0);
  #inflater: Inflater | undefined;
  #offset = 0;
  #crc = 0;
  #length = 0;
  #padding = false;

  constructor(
    readonly emit: (bytes: Uint8Array) => void,
    readonly onMember: () => void = () => {},
  ) {}

  push(input: Uint8Array): void {
    this.#held = concatBytes(this.#held, input);
    while (this.#inflater ? this.#body() : this.#header());
  }

  #take(count: number): void {
    this.#held = this.#held.subarray(count);
    this.#offset += count;
  }

  #header(): boolean {
    const b = this.#held;
    if (b.length === 0) return false;
    // Zeros after a member are tape padding, as gzip(1) has it.
    if (b[0] === 0 && this.between && (this.#padding || this.#offset > 0)) {
      this.#padding = true;
      if (b.some((byte) => byte !== 0))
        throw new InflateError("data follows the zeros after its end", this.#offset);
      this.#take(b.length);
      return false;
    }
    if (this.#padding) throw new InflateError("data follows the zeros after its end", this.#offset);
    this.between = false;
    const magic = [0x1f, 0x8b, 8];
    for (let i = 0; i < Math.min(3, b.length); i++) {
      if (b[i] !== magic[i]) throw new InflateError("incorrect header", this.#offset);
    }
    if (b.length < 10) return false;
    const flags = b[3]!;
    if (flags & 0xe0) throw new InflateError("unknown header flags", this.#offset);
    let at = 10;
    if (flags & 4) {
      if (b.length < at + 2) return false;
      at += 2 + (b[at]! | (b[at + 1]! << 8));
    }
    for (const flag of [8, 16]) {
      if (!(flags & flag)) continue;
      const end = b.indexOf(0, at);
      if (end < 0) {
        if (b.length > 1 << 20) throw new InflateError("endless header text", this.#offset);
        return false;
      }
      at = end + 1;
    }
    if (flags & 2) at += 2;
    if (b.length < at) return false;
    this.#take(at);
    this.#inflater = new Inflater();
    this.#crc = 0;
    this.#length = 0;
    return true;
  }

  #body(): boolean {
    const inflater = this.#inflater!;
    if (!inflater.done) {
      const input = this.#held;
      this.#held = new Uint8Array(0);
      try {
        inflater.push(input, (bytes) => {
          this.#crc = crc32(bytes, this.#crc);
          this.#length = (this.#length + bytes.length) >>> 0;
          this.emit(bytes);
        });
      } catch (error) {
        if (error instanceof InflateError) throw new InflateError(error.message, this.#offset + error.offset);
        throw error;
      }
      if (!inflater.done) return false;
      this.#held = inflater.remaining();
      this.#offset += inflater.consumed;
    }
    if (this.#held.length < 8) return false;
    const view = new DataView(this.#held.buffer, this.#held.byteOffset, 8);
    if (view.getUint32(0, true) !== this.#crc) throw new InflateError("incorrect data check", this.#offset);
    if (view.getUint32(4, true) !== this.#length)
      throw new InflateError("incorrect length check", this.#offset + 4);
    this.#take(8);
    this.#inflater = undefined;
    this.between = true;
    this.onMember();
    return true;
  }
}
