import { concatBytes } from "../bytes.js";
import { EventType, RecordScanner } from "../records.js";
import type { TraceSource } from "../source.js";

/** Kinds of access, as bits 0-1 of a record have them. */
export const Access = { fetch: 0, read: 1, write: 2 } as const;
export type AccessKind = 0 | 1 | 2;
/** Bits of `flags`. */
export const BY_CPU = 1;
export const DEVICE = 2;

/** A record of kind 3. The operands are in the order of traces/FORMAT.md; gva pages and PTW addresses as addresses. */
export interface GuestEvent {
  type: number;
  values: bigint[];
  /** PTP: index and value. */
  entries?: [number, bigint][];
  /** LABEL. */
  text?: string;
}

/** Is told of each record, in order. Addresses come as two signed 32-bit halves. */
export interface RecordVisitor {
  access(kind: AccessKind, hi: number, lo: number, size: number, flags: number): void;
  event(event: GuestEvent): void;
  /** Nothing more is wanted. */
  readonly done?: boolean;
}

/** A 64-bit address from its halves. */
export function joined(hi: number, lo: number): bigint {
  return (BigInt(hi >>> 0) << 32n) | BigInt(lo >>> 0);
}

/** The halves of a 64-bit number, signed. */
export function halves(value: bigint): [hi: number, lo: number] {
  return [Number(BigInt.asIntN(32, value >> 32n)), Number(BigInt.asIntN(32, value))];
}

/** Decodes whole records that a RecordScanner has found good. */
export class RecordDecoder {
  #fetchHi = 0;
  #fetchLo = 0;
  #dataHi = 0;
  #dataLo = 0;
  #ptw = 0n;
  #bytes: Uint8Array = new Uint8Array(0);
  #at = 0;
  #hi = 0;
  #lo = 0;

  /** Decodes `bytes[start, end)`. */
  decode(bytes: Uint8Array, start: number, end: number, visitor: RecordVisitor): void {
    this.#bytes = bytes;
    this.#at = start;
    while (this.#at < end) {
      const first = bytes[this.#at++]!;
      const kind = first & 3;
      if (kind === 0) {
        const length = (first >> 2) & 15;
        if ((first & 0x40) === 0) {
          this.#delta(this.#fetchHi, this.#fetchLo);
          this.#fetchHi = this.#hi;
          this.#fetchLo = this.#lo;
        }
        const hi = this.#fetchHi;
        const lo = this.#fetchLo;
        this.#fetchLo = (lo + length) | 0;
        if (this.#fetchLo >>> 0 < length) this.#fetchHi = (hi + 1) | 0;
        visitor.access(0, hi, lo, length, 0);
      } else if (kind !== 3) {
        this.#delta(this.#dataHi, this.#dataLo);
        this.#dataHi = this.#hi;
        this.#dataLo = this.#lo;
        visitor.access(kind as AccessKind, this.#hi, this.#lo, 1 << ((first >> 2) & 7), (first >> 5) & 3);
      } else visitor.event(this.#event(first >> 2));
    }
  }

  #number(): void {
    const bytes = this.#bytes;
    let lo = 0;
    let hi = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[this.#at++]!;
      const part = byte & 127;
      if (shift < 28) lo |= part << shift;
      else if (shift === 28) {
        lo |= part << 28;
        hi = part >> 4;
      } else hi |= part << (shift - 32);
      if (byte < 128) break;
    }
    this.#lo = lo;
    this.#hi = hi;
  }

  /** A zigzag number added to a base. */
  #delta(baseHi: number, baseLo: number): void {
    this.#number();
    const flip = -(this.#lo & 1);
    const deltaLo = ((this.#lo >>> 1) | (this.#hi << 31)) ^ flip;
    const deltaHi = (this.#hi >>> 1) ^ flip;
    this.#lo = (baseLo + deltaLo) | 0;
    this.#hi = (baseHi + deltaHi + (this.#lo >>> 0 < deltaLo >>> 0 ? 1 : 0)) | 0;
  }

  #uv(): bigint {
    this.#number();
    return joined(this.#hi, this.#lo);
  }

  #sv(): bigint {
    const z = this.#uv();
    return (z >> 1n) ^ -(z & 1n);
  }

  #byte(): bigint {
    return BigInt(this.#bytes[this.#at++]!);
  }

  #event(type: number): GuestEvent {
    switch (type) {
      case EventType.MODE:
      case EventType.MARK:
      case EventType.INSN:
        return { type, values: [this.#byte()] };
      case EventType.INVPCID:
      case EventType.END:
      case EventType.HOST:
        return { type, values: [this.#uv(), this.#uv(), this.#uv()] };
      case EventType.SWITCH:
        return { type, values: [this.#uv(), this.#uv()] };
      case EventType.EXC:
        return { type, values: [this.#byte(), this.#uv(), this.#uv(), this.#uv()] };
      case EventType.MAP: {
        const gva = BigInt.asUintN(64, this.#sv() << 12n);
        return { type, values: [gva, BigInt.asUintN(64, this.#uv() << 12n)] };
      }
      case EventType.PTW:
        this.#ptw = BigInt.asUintN(64, this.#ptw + 8n * this.#sv());
        return { type, values: [this.#ptw, this.#uv()] };
      case EventType.PTP: {
        const values = [this.#uv(), this.#byte()];
        const count = Number(this.#uv());
        const entries: [number, bigint][] = [];
        let index = 0;
        for (let i = 0; i < count; i++) {
          index += Number(this.#uv());
          entries.push([index, this.#uv()]);
        }
        return { type, values, entries };
      }
      case EventType.LABEL: {
        const length = Number(this.#uv());
        const text = new TextDecoder().decode(this.#bytes.subarray(this.#at, this.#at + length));
        this.#at += length;
        return { type, values: [], text };
      }
      default:
        return { type, values: [this.#uv()] };
    }
  }
}

/**
 * Reads a trace to its end, or until the visitor has enough, and tells the visitor of each record. Gives the scanner with
 * its counts after each slice. Throws TraceError.
 */
export async function* recordSlices(
  trace: TraceSource,
  visitor: RecordVisitor,
): AsyncGenerator<RecordScanner, void> {
  const scanner = new RecordScanner({ name: trace.name, fetch: trace.header.fetch });
  const decoder = new RecordDecoder();
  let held: Uint8Array = new Uint8Array(0);
  for await (const slice of trace.records()) {
    const bytes = concatBytes(held, slice);
    const end = scanner.scan(bytes);
    decoder.decode(bytes, 0, end, visitor);
    held = end < bytes.length ? bytes.slice(end) : new Uint8Array(0);
    yield scanner;
    if (visitor.done) return;
  }
}

/** `recordSlices` in one go; gives the scanner at the end. */
export async function walkRecords(
  trace: TraceSource,
  visitor: RecordVisitor,
  onSlice: (scanner: RecordScanner) => void = () => {},
): Promise<RecordScanner> {
  let last = new RecordScanner({ name: trace.name });
  for await (const scanner of recordSlices(trace, visitor)) {
    onSlice(scanner);
    last = scanner;
  }
  return last;
}
