import { InflateError } from "../inflate.js";
import { crc32, sha256 } from "../platform.js";
import { Held, type Unpacker } from "./drive.js";
import { LzmaDecoder } from "./lzma.js";

export const XZ_MAGIC = Uint8Array.of(0xfd, 0x37, 0x7a, 0x58, 0x5a, 0);

/** Largest dictionary taken: xz -9 uses 64 MiB. */
const DICTIONARY_MAX = 256 << 20;
/** Bytes decoded at a time. */
const SLICE = 1 << 17;
const CHECK_BYTES = [0, 4, 4, 4, 8, 8, 8, 16, 16, 16, 32, 32, 32, 64, 64, 64];

/**
 * The .xz container (xz-file-format.txt 1.2) with the LZMA2 filter, the only one that `xz` uses unless told otherwise.
 * Checks the CRC-32 of headers and index, and CRC-32, CRC-64 or SHA-256 of the content.
 *
 * Done here, as no library for browsers does it well enough: xz-decompress (xz-embedded in WebAssembly) lets one file be
 * open at a time, so that merging two would wait for ever, drops what it has unpacked when it meets damage, does not know
 * SHA-256, and its errors are a number without a place.
 */
export class XzUnpacker implements Unpacker {
  between = false;
  readonly #held = new Held();
  #check = 0;

  *push(input: Uint8Array, last: boolean): Generator<Uint8Array, void> {
    this.#held.add(input);
    if (last) this.#last = true;
    this.#steps ??= this.#stream();
    for (;;) {
      const { done, value } = this.#steps.next();
      if (done) return;
      if (value === undefined) return;
      yield value;
    }
  }

  #steps: Generator<Uint8Array | undefined, void> | undefined;
  #last = false;

  /** Gives undefined where it needs more input. */
  *#stream(): Generator<Uint8Array | undefined, void> {
    for (;;) {
      const held = this.#held;
      // Padding of zeros may stand between and after streams.
      while (this.between) {
        while (held.length >= 4 && (held.bytes[held.at]! | held.bytes[held.at + 3]!) === 0) held.take(4);
        if (held.length >= 4) break;
        yield undefined;
      }
      const start = held.offset;
      yield* this.#need(12);
      this.between = false;
      const header = held.take(12);
      if (!XZ_MAGIC.every((byte, i) => header[i] === byte)) this.#fail("no stream header", start);
      if (word(header, 8) !== crc32(header.subarray(6, 8))) this.#fail("stream header", start);
      if (header[6] !== 0 || header[7]! > 15) this.#fail("unknown stream flags", start);
      this.#check = header[7]!;
      let blocks = 0;
      for (;;) {
        yield* this.#need(1);
        if (held.bytes[held.at] === 0) break;
        yield* this.#block();
        blocks++;
      }
      yield* this.#index(blocks);
      const foot = held.offset;
      yield* this.#need(12);
      const footer = held.take(12);
      if (footer[10] !== 0x59 || footer[11] !== 0x5a || word(footer, 0) !== crc32(footer.subarray(4, 10)))
        this.#fail("stream footer", foot);
      this.between = true;
    }
  }

  *#need(count: number): Generator<undefined, void> {
    while (this.#held.length < count) {
      yield undefined;
      if (this.#last && this.#held.length < count) while (true) yield undefined;
    }
  }

  *#block(): Generator<Uint8Array | undefined, void> {
    const held = this.#held;
    const start = held.offset;
    const size = (held.bytes[held.at]! + 1) * 4;
    yield* this.#need(size);
    const header = held.take(size);
    if (word(header, size - 4) !== crc32(header.subarray(0, size - 4))) this.#fail("block header", start);
    const flags = header[1]!;
    let at = 2;
    for (const bit of [0x40, 0x80]) if (flags & bit) at = this.#number(header, at, start).next;
    const dictionary = header[at + 2];
    if ((flags & 0x3f) !== 0 || header[at] !== 0x21)
      throw new InflateError("a filter other than LZMA2", start, "unpack it with xz -d");
    if (header[at + 1] !== 1 || dictionary === undefined || dictionary > 40)
      this.#fail("dictionary size", start);
    const bytes = dictionary === 40 ? 0xffff_ffff : (2 | (dictionary & 1)) * 2 ** ((dictionary >> 1) + 11);
    if (bytes > DICTIONARY_MAX)
      throw new InflateError(
        `a dictionary of ${Math.round(bytes / (1 << 20))} MiB`,
        start,
        "unpack it with xz -d",
      );
    const lzma = new LzmaDecoder(bytes);
    const check = contentCheck(this.#check);
    const body = held.offset;
    yield* this.#chunks(lzma, check);
    while ((held.offset - body) % 4 !== 0) {
      yield* this.#need(1);
      if (held.take(1)[0] !== 0) this.#fail("block padding", held.offset - 1);
    }
    const length = CHECK_BYTES[this.#check]!;
    yield* this.#need(length);
    const at2 = held.offset;
    const stored = held.take(length);
    const found = check?.digest();
    if (found && !found.every((byte, i) => stored[i] === byte)) this.#fail("incorrect data check", at2);
  }

  *#chunks(lzma: LzmaDecoder, check: Check | undefined): Generator<Uint8Array | undefined, void> {
    const held = this.#held;
    let needs = 0xe0;
    for (;;) {
      yield* this.#need(1);
      const start = held.offset;
      const control = held.bytes[held.at]!;
      if (control === 0) {
        held.take(1);
        return;
      }
      if (control < 0x80) {
        if (control > 2) this.#fail("chunk type", start);
        if (control === 2 && needs === 0xe0) this.#fail("no dictionary reset", start);
        yield* this.#need(3);
        const size = ((held.bytes[held.at + 1]! << 8) | held.bytes[held.at + 2]!) + 1;
        yield* this.#need(3 + size);
        const raw = held.take(3 + size).subarray(3);
        if (control === 1) {
          lzma.resetDictionary();
          needs = 0xc0;
        }
        for (let from = 0; from < size; ) {
          if (lzma.at === lzma.dictionary.length) lzma.at = 0;
          const n = Math.min(size - from, lzma.dictionary.length - lzma.at);
          lzma.copy(raw.subarray(from, from + n));
          from += n;
        }
        check?.update(raw);
        yield raw.slice();
        continue;
      }
      if (control < needs) this.#fail("chunk without a reset", start);
      needs = 0x80;
      const headBytes = control >= 0xc0 ? 6 : 5;
      yield* this.#need(headBytes);
      const h = held.bytes.subarray(held.at, held.at + headBytes);
      const raw = ((control & 0x1f) << 16) + (h[1]! << 8) + h[2]! + 1;
      const packed = (h[3]! << 8) + h[4]! + 1;
      yield* this.#need(headBytes + packed);
      const head = held.take(headBytes);
      if (control >= 0xe0) lzma.resetDictionary();
      if (control >= 0xc0 && !lzma.setProperties(head[5]!)) this.#fail("properties", start);
      if (control >= 0xa0) lzma.resetState();
      if (packed < 5 || held.bytes[held.at] !== 0) this.#fail("chunk start", start);
      lzma.begin(held.take(packed));
      for (let left = raw; left > 0; ) {
        if (lzma.at === lzma.dictionary.length) lzma.at = 0;
        const from = lzma.at;
        const limit = Math.min(lzma.dictionary.length, from + Math.min(left, SLICE));
        try {
          lzma.decode(limit);
        } catch (error) {
          if (error instanceof InflateError) this.#fail(error.message, start);
          throw error;
        }
        const bytes = lzma.dictionary.slice(from, limit);
        left -= bytes.length;
        check?.update(bytes);
        yield bytes;
      }
      if (!lzma.finished) this.#fail("a chunk of another length than it says", start);
    }
  }

  *#index(blocks: number): Generator<undefined, void> {
    const held = this.#held;
    const start = held.offset;
    let crc = 0;
    let bytes = 0;
    const byte = function* (this: XzUnpacker): Generator<undefined, number> {
      yield* this.#need(1);
      const one = held.take(1);
      crc = crc32(one, crc);
      bytes++;
      return one[0]!;
    }.bind(this);
    const number = function* (this: XzUnpacker): Generator<undefined, number> {
      let value = 0;
      for (let i = 0; i < 9; i++) {
        const part = yield* byte();
        value += (part & 127) * 2 ** (7 * i);
        if (part < 128) return value;
      }
      return this.#fail("index", start);
    }.bind(this);
    yield* byte();
    const records = yield* number();
    if (records !== blocks) this.#fail("the index does not match the blocks", start);
    for (let i = 0; i < records * 2; i++) yield* number();
    while (bytes % 4 !== 0) if ((yield* byte()) !== 0) this.#fail("index padding", start);
    yield* this.#need(4);
    if (word(held.take(4), 0) !== crc) this.#fail("index", start);
  }

  #number(bytes: Uint8Array, at: number, start: number): { value: number; next: number } {
    let value = 0;
    for (let i = 0; i < 9; i++) {
      const part = bytes[at + i];
      if (part === undefined) break;
      value += (part & 127) * 2 ** (7 * i);
      if (part < 128) return { value, next: at + i + 1 };
    }
    return this.#fail("block header", start);
  }

  #fail(what: string, offset: number): never {
    throw new InflateError(what, offset);
  }
}

function word(bytes: Uint8Array, at: number): number {
  return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0;
}

interface Check {
  update(bytes: Uint8Array): unknown;
  digest(): Uint8Array;
}

function contentCheck(type: number): Check | undefined {
  if (type === 1) {
    let crc = 0;
    return {
      update: (bytes) => {
        crc = crc32(bytes, crc);
      },
      digest: () => Uint8Array.of(crc, crc >>> 8, crc >>> 16, crc >>> 24),
    };
  }
  if (type === 4) return new Crc64();
  if (type === 10) return sha256();
  return undefined;
}

/** CRC-64 of ECMA-182, reflected, as .xz uses it; four bytes a step over 32-bit halves. */
class Crc64 implements Check {
  static #low: Int32Array | undefined;
  static #high = new Int32Array(4 * 256);
  #lo = -1;
  #hi = -1;

  update(bytes: Uint8Array): void {
    Crc64.#low ??= Crc64.#fill();
    const tl = Crc64.#low;
    const th = Crc64.#high;
    let lo = this.#lo;
    let hi = this.#hi;
    let i = 0;
    for (const whole = bytes.length & ~3; i < whole; i += 4) {
      const x = lo ^ (bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24));
      const a = 0x300 | (x & 255);
      const b = 0x200 | ((x >>> 8) & 255);
      const c = 0x100 | ((x >>> 16) & 255);
      const d = x >>> 24;
      lo = hi ^ tl[a]! ^ tl[b]! ^ tl[c]! ^ tl[d]!;
      hi = th[a]! ^ th[b]! ^ th[c]! ^ th[d]!;
    }
    for (; i < bytes.length; i++) {
      const t = (lo ^ bytes[i]!) & 255;
      lo = ((lo >>> 8) | (hi << 24)) ^ tl[t]!;
      hi = (hi >>> 8) ^ th[t]!;
    }
    this.#lo = lo;
    this.#hi = hi;
  }

  digest(): Uint8Array {
    const out = new Uint8Array(8);
    const view = new DataView(out.buffer);
    view.setInt32(0, ~this.#lo, true);
    view.setInt32(4, ~this.#hi, true);
    return out;
  }

  static #fill(): Int32Array {
    const tl = new Int32Array(4 * 256);
    const th = Crc64.#high;
    for (let n = 0; n < 256; n++) {
      let lo = n;
      let hi = 0;
      for (let bit = 0; bit < 8; bit++) {
        const odd = lo & 1;
        lo = (lo >>> 1) | (hi << 31);
        hi >>>= 1;
        if (odd) {
          lo ^= 0xd787_0f42;
          hi ^= 0xc96c_5795;
        }
      }
      tl[n] = lo;
      th[n] = hi;
    }
    for (let n = 0; n < 256; n++) {
      for (let k = 1; k < 4; k++) {
        const lo = tl[(k - 1) * 256 + n]!;
        const hi = th[(k - 1) * 256 + n]!;
        tl[k * 256 + n] = ((lo >>> 8) | (hi << 24)) ^ tl[lo & 255]!;
        th[k * 256 + n] = (hi >>> 8) ^ th[lo & 255]!;
      }
    }
    return tl;
  }
}
