import { EventType, LABEL_BYTES_MAX } from "../records.js";

const ROOM = 512;
const FIRST_BYTES = 1 << 14;
/** log2 of a size that is a power of two up to 128; -1 for the others. */
const SHIFT = new Int8Array(256).fill(-1);
for (let shift = 0; shift <= 7; shift++) SHIFT[1 << shift] = shift;

/**
 * The record stream that an importer writes (traces/FORMAT.md, part 2). The same encoding as RecordEncoder, for speed
 * with addresses as two 32-bit halves of either sign, and with sizes as other tools have them.
 */
export class RecordOut {
  fetches = 0;
  reads = 0;
  writes = 0;
  /** Records of kind 3. */
  #others = 0;
  #bytes = new Uint8Array(FIRST_BYTES + ROOM);
  #limit = FIRST_BYTES;
  #at = 0;
  #fetchHi = 0;
  #fetchLo = 0;
  #dataHi = 0;
  #dataLo = 0;
  #process = -1;
  #thread = -1;
  /** Records that accesses of more than 128 bytes added. */
  split = 0;

  get length(): number {
    return this.#at;
  }

  /** Records written, of every kind. */
  get events(): number {
    return this.fetches + this.reads + this.writes + this.#others;
  }

  /** The bytes written since the last call. */
  take(): Uint8Array {
    const bytes = this.#bytes.slice(0, this.#at);
    this.#at = 0;
    return bytes;
  }

  /** An instruction of `length` bytes; lengths that no x86 instruction has are brought to 1-15. */
  fetch(hi: number, lo: number, length: number): void {
    if (length > 15 || length < 1) length = length < 1 ? 1 : 15;
    if (this.#at >= this.#limit) this.#grow();
    this.fetches++;
    if (lo === this.#fetchLo && hi === this.#fetchHi) this.#bytes[this.#at++] = (length << 2) | 0x40;
    else {
      this.#bytes[this.#at++] = length << 2;
      const borrow = lo >>> 0 < this.#fetchLo >>> 0 ? 1 : 0;
      this.#delta((hi - this.#fetchHi - borrow) | 0, (lo - this.#fetchLo) | 0);
    }
    const end = (lo + length) | 0;
    this.#fetchHi = end >>> 0 < length ? (hi + 1) | 0 : hi;
    this.#fetchLo = end;
  }

  read(hi: number, lo: number, size: number): void {
    const shift = size < 256 ? SHIFT[size]! : -1;
    if (shift < 0) this.#odd(1, hi, lo, size);
    else this.#data(1, hi, lo, shift);
  }

  write(hi: number, lo: number, size: number): void {
    const shift = size < 256 ? SHIFT[size]! : -1;
    if (shift < 0) this.#odd(2, hi, lo, size);
    else this.#data(2, hi, lo, shift);
  }

  /** A read or write of device memory. */
  device(write: boolean, hi: number, lo: number, size: number): void {
    this.#data((write ? 2 : 1) | 0x40, hi, lo, Math.max(0, SHIFT[size & 255]!));
  }

  /** Says who runs from here on, if that is news. */
  switchTo(process: number, thread: number): void {
    if (process === this.#process && thread === this.#thread) return;
    this.#process = process;
    this.#thread = thread;
    this.#event(EventType.SWITCH);
    this.#uv(process);
    this.#uv(thread);
  }

  mark(value: number): void {
    this.#event(EventType.MARK);
    this.#bytes[this.#at++] = value;
  }

  label(text: string): void {
    let bytes = new TextEncoder().encode(text);
    if (bytes.length > LABEL_BYTES_MAX) bytes = bytes.subarray(0, LABEL_BYTES_MAX);
    this.#event(EventType.LABEL);
    this.#uv(bytes.length);
    while (this.#at + bytes.length > this.#limit) this.#grow();
    this.#bytes.set(bytes, this.#at);
    this.#at += bytes.length;
  }

  end(): void {
    this.#event(EventType.END);
    this.#uv(this.fetches);
    this.#uv(this.reads);
    this.#uv(this.writes);
  }

  /**
   * An access of another size. Up to 128 bytes it becomes one of the next power of two, or of the one below where the
   * next would touch a page that the access does not; longer ones become several of 128 bytes.
   */
  #odd(kind: 1 | 2, hi: number, lo: number, size: number): void {
    if (size <= 0) size = 1;
    while (size > 128) {
      this.#data(kind, hi, lo, 7);
      this.split++;
      const next = (lo + 128) | 0;
      if (next >>> 0 < 128) hi = (hi + 1) | 0;
      lo = next;
      size -= 128;
    }
    let shift = 32 - Math.clz32(size - 1);
    const inPage = lo & 4095;
    if (inPage + size <= 4096 && inPage + (1 << shift) > 4096) shift--;
    this.#data(kind, hi, lo, shift);
  }

  #data(first: number, hi: number, lo: number, shift: number): void {
    if (this.#at >= this.#limit) this.#grow();
    if (first & 1) this.reads++;
    else this.writes++;
    this.#bytes[this.#at++] = first | (shift << 2);
    const borrow = lo >>> 0 < this.#dataLo >>> 0 ? 1 : 0;
    this.#delta((hi - this.#dataHi - borrow) | 0, (lo - this.#dataLo) | 0);
    this.#dataHi = hi;
    this.#dataLo = lo;
  }

  /** Zigzag and LEB128 of a signed 64-bit difference. */
  #delta(hi: number, lo: number): void {
    const bytes = this.#bytes;
    let at = this.#at;
    const sign = hi >> 31;
    let zHi = ((hi << 1) | (lo >>> 31)) ^ sign;
    let z = (lo << 1) ^ sign;
    if (zHi === 0) {
      while (z >>> 0 > 127) {
        bytes[at++] = (z & 127) | 128;
        z >>>= 7;
      }
    } else {
      while (zHi !== 0 || z >>> 0 > 127) {
        bytes[at++] = (z & 127) | 128;
        z = (z >>> 7) | (zHi << 25);
        zHi >>>= 7;
      }
    }
    bytes[at++] = z;
    this.#at = at;
  }

  #event(type: number): void {
    if (this.#at >= this.#limit) this.#grow();
    this.#others++;
    this.#bytes[this.#at++] = 3 | (type << 2);
  }

  #uv(value: number): void {
    let rest = value;
    while (rest > 127) {
      this.#bytes[this.#at++] = (rest % 128) | 128;
      rest = Math.floor(rest / 128);
    }
    this.#bytes[this.#at++] = rest;
  }

  #grow(): void {
    const bytes = new Uint8Array((this.#limit << 1) + ROOM);
    bytes.set(this.#bytes.subarray(0, this.#at));
    this.#bytes = bytes;
    this.#limit <<= 1;
  }
}
