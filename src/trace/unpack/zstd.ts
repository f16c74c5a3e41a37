import xxhash, { type XXHash, type XXHashAPI } from "xxhash-wasm";
import { InflateError } from "../inflate.js";
import { Held, type Unpacker } from "./drive.js";
import { BLOCK_MAX, ZstdFrame } from "./zstd-block.js";
import { BlockDamage, PADDING } from "./zstd-entropy.js";

export const ZSTD_MAGIC = Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd);

/** Largest window taken: that of `zstd --long`. Ultra levels use less. */
const WINDOW_MAX = 128 << 20;

/**
 * Zstandard (RFC 8878), without dictionaries; the content checksum is the work of xxhash-wasm.
 *
 * Done here, as no library for browsers does it well enough: fzstd runs on for minutes in a damaged block, reads past the
 * ends of its bit streams without a word, moves its whole window at every block and leaves out the checksum; those of the
 * reference code in WebAssembly unpack a file as a whole.
 */
export class ZstdUnpacker implements Unpacker {
  between = false;
  readonly #held = new Held();
  readonly #ready: Uint8Array[] = [];
  #frame: ZstdFrame | undefined;
  /** Bytes of content that the frame has yet to give, where it says how many it holds. */
  #promised: number | undefined;
  /** Of the frame's content so far, where the frame has a checksum. */
  #checksum: XXHash<bigint> | undefined;
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
    if (dictionary) throw new InflateError("a dictionary", offset, "unpack it with zstd -D");
    return 6 - single + dictionary + size;
  }

  #open(): boolean {
    const held = this.#held;
    const offset = held.offset;
    const length = this.#headerBytes();
    const header = held.take(length).slice();
    const flags = header[4]!;
    this.#checksum = flags & 4 ? this.hashes.create64() : undefined;
    const single = ((flags >> 5) & 1) === 1;
    const sizeBytes = flags >> 6 ? 1 << (flags >> 6) : single ? 1 : 0;
    let size = flags >> 6 === 1 ? 256 : 0;
    for (let i = 0; i < sizeBytes; i++) size += header[length - sizeBytes + i]! * 2 ** (8 * i);
    this.#promised = sizeBytes > 0 ? size : undefined;
    const base = 2 ** (10 + (header[5]! >> 3));
    const window = single ? size : base + (base / 8) * (header[5]! & 7);
    if (window > WINDOW_MAX)
      throw new InflateError(
        `a window of ${Math.ceil(window / (1 << 20))} MiB`,
        offset,
        "unpack it with zstd -d --long=31",
      );
    this.#frame = new ZstdFrame(window);
    return true;
  }

  #block(frame: ZstdFrame): boolean {
    const held = this.#held;
    if (held.length < 3) return false;
    const { bytes, at, offset } = held;
    const head = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16);
    const type = (head >> 1) & 3;
    const size = head >> 3;
    if (type === 3 || size > BLOCK_MAX) throw new InflateError("impossible block", offset);
    const length = 3 + (type === 1 ? 1 : size);
    if (held.length < length) return false;
    const block = held.take(length).subarray(3);
    const content = this.#content(frame, type, size, block, offset);
    if (this.#promised !== undefined) this.#promised -= content.length;
    const last = (head & 1) === 1;
    if (last ? (this.#promised ?? 0) !== 0 : (this.#promised ?? 0) < 0)
      throw new InflateError("a frame of another length than it says", offset);
    if (content.length > 0) {
      this.#checksum?.update(content);
      this.#ready.push(content);
    }
    if (last) {
      this.#frame = undefined;
      this.between = !this.#checksum;
    }
    return true;
  }

  #content(frame: ZstdFrame, type: number, size: number, block: Uint8Array, offset: number): Uint8Array {
    if (type === 0) return frame.raw(block);
    if (type === 1) return frame.repeated(block[0]!, size);
    const padded = new Uint8Array(size + 2 * PADDING);
    padded.set(block, PADDING);
    try {
      return frame.compressed(padded, PADDING, PADDING + size);
    } catch (error) {
      if (error instanceof BlockDamage) throw new InflateError(error.message, offset);
      throw error;
    }
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
