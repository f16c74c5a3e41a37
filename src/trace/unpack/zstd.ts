import { Decompress } from "fzstd";
import xxhash, { type XXHash, type XXHashAPI } from "xxhash-wasm";
import { concatBytes } from "../bytes.js";
import { InflateError } from "../inflate.js";
import { Held, type Unpacker } from "./drive.js";

export const ZSTD_MAGIC = Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd);

/** Levels up to 21 of `zstd` need no more. */
const WINDOW_MAX = 32 << 20;
/**
 * The decoder moves its whole window at each block. Bytes moved for each that comes out, beyond a first gigabyte: a file
 * that needs more would take minutes for nothing.
 */
const MOVES_MAX = 1024;
const FREE_MOVES = 2 ** 30;
const BLOCK_MAX = 1 << 17;

/**
 * Zstandard (RFC 8878). The frames and blocks are found here, so that each block is given to the decoder whole and its
 * memory is known; the blocks themselves are fzstd's work, and the content checksum, which it leaves out, that of
 * xxhash-wasm.
 */
export class ZstdUnpacker implements Unpacker {
  between = false;
  readonly #held = new Held();
  readonly #ready: Uint8Array[] = [];
  #frame: Decompress | undefined;
  /** Bytes of the frame that the decoder has not been given. */
  #lead: Uint8Array | undefined;
  /** Of the frame's content so far, where the frame has a checksum. */
  #checksum: XXHash<bigint> | undefined;
  #windowBytes = 0;
  #moved = 0;
  #made = 0;
  /** Bytes left of a skippable frame. */
  #skip = 0;

  private constructor(readonly hashes: XXHashAPI) {}

  static async create(): Promise<ZstdUnpacker> {
    return new ZstdUnpacker(await xxhash());
  }

  *push(input: Uint8Array): Generator<Uint8Array, void> {
    this.#held.add(input);
    while (this.#step()) yield* this.#ready.splice(0);
    yield* this.#ready.splice(0);
  }

  #step(): boolean {
    const held = this.#held;
    if (this.#skip > 0) {
      const n = Math.min(this.#skip, held.length);
      held.take(n);
      this.#skip -= n;
      if (this.#skip === 0) this.between = true;
      return n > 0;
    }
    if (this.#frame) return this.#block(this.#frame);
    return this.#checksum ? this.#check(this.#checksum) : this.#header();
  }

  #header(): boolean {
    const held = this.#held;
    if (held.length > 0) this.between = false;
    if (held.length < 18 && !(held.length >= 8 && this.#skippable())) return this.#shortHeader();
    if (this.#skippable()) {
      const h = held.take(8);
      this.#skip = (h[4]! | (h[5]! << 8) | (h[6]! << 16) | (h[7]! << 24)) >>> 0;
      if (this.#skip === 0) this.between = true;
      return true;
    }
    return this.#open();
  }

  /** A frame may be shorter than the longest header: its own flags say how long it is. */
  #shortHeader(): boolean {
    const held = this.#held;
    if (held.length < 5) return false;
    if (this.#skippable()) return false;
    return held.length >= this.#headerBytes() + 3 ? this.#open() : false;
  }

  #skippable(): boolean {
    const { bytes, at } = this.#held;
    return (
      bytes[at]! >> 4 === 5 && bytes[at + 1] === 0x2a && bytes[at + 2] === 0x4d && bytes[at + 3] === 0x18
    );
  }

  #headerBytes(): number {
    const { bytes, at, offset } = this.#held;
    if (!ZSTD_MAGIC.every((byte, i) => bytes[at + i] === byte))
      throw new InflateError("incorrect frame header", offset);
    const flags = bytes[at + 4]!;
    const single = (flags >> 5) & 1;
    const dictionary = [0, 1, 2, 4][flags & 3]!;
    const size = flags >> 6 ? 1 << (flags >> 6) : single;
    if (flags & 8) throw new InflateError("reserved header bit", offset);
    if (dictionary) throw new InflateError("needs a dictionary; unpack it with zstd -D", offset);
    return 6 - single + dictionary + size;
  }

  #open(): boolean {
    const held = this.#held;
    const offset = held.offset;
    const length = this.#headerBytes();
    const header = held.take(length).slice();
    const flags = header[4]!;
    const checksum = flags & 4 ? this.hashes.create64() : undefined;
    this.#checksum = checksum;
    if ((flags >> 5) & 1) {
      let size = 0;
      for (let i = length - 1; i >= 5; i--) size = size * 256 + header[i]!;
      this.#window(size + (flags >> 6 === 1 ? 256 : 0), offset);
    } else {
      const base = 2 ** (10 + (header[5]! >> 3));
      this.#window(base + (base / 8) * (header[5]! & 7), offset);
    }
    const frame = new Decompress((bytes) => {
      this.#made += bytes.length;
      if (bytes.length === 0) return;
      checksum?.update(bytes);
      this.#ready.push(bytes.slice());
    });
    this.#frame = frame;
    // Its checksum is taken here, not there.
    header[4]! &= ~4;
    this.#lead = header;
    return true;
  }

  #window(bytes: number, offset: number): void {
    this.#windowBytes = bytes;
    this.#moved += bytes;
    if (bytes > WINDOW_MAX)
      throw new InflateError(
        `a window of ${Math.ceil(bytes / (1 << 20))} MiB; unpack it with zstd -d --long=31`,
        offset,
      );
  }

  #block(frame: Decompress): boolean {
    const held = this.#held;
    if (held.length < 3) return false;
    const { bytes, at, offset } = held;
    const head = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16);
    const type = (head >> 1) & 3;
    const size = head >> 3;
    if (type === 3 || size > BLOCK_MAX) throw new InflateError("impossible block", offset);
    const length = 3 + (type === 1 ? 1 : size);
    if (held.length < length) return false;
    const block = held.take(length);
    const lead = this.#lead;
    this.#lead = undefined;
    const last = (head & 1) === 1;
    const given = lead ? concatBytes(lead, block) : block.slice();
    // fzstd looks at a frame when it has 18 bytes of it, or all.
    if (lead && given.length < 18 && !last) {
      this.#lead = given;
      return true;
    }
    this.#moved += this.#windowBytes;
    if (this.#moved > FREE_MOVES + MOVES_MAX * this.#made)
      throw new InflateError("blocks far smaller than their window; unpack it with zstd -d", offset);
    try {
      frame.push(given, last && given.length < 18);
    } catch (error) {
      throw new InflateError(error instanceof Error ? error.message : "impossible data", offset);
    }
    if (last) {
      this.#frame = undefined;
      this.between = !this.#checksum;
    }
    return true;
  }

  /** The low half of the content's XXH64. */
  #check(checksum: XXHash<bigint>): boolean {
    const held = this.#held;
    if (held.length < 4) return false;
    const { offset } = held;
    const stored = held.take(4);
    let computed = Number(checksum.digest() & 0xffff_ffffn);
    for (const byte of stored) {
      if (byte !== (computed & 255)) throw new InflateError("incorrect data check", offset);
      computed >>>= 8;
    }
    this.#checksum = undefined;
    this.between = true;
    return true;
  }
}
