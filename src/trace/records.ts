import { optionName } from "../request/option-names.js";
import { countOf, TraceError } from "./error.js";

/** Most fetches of one FRUN record. */
export const FETCH_RUN_MAX = 2 ** 48;
/** Most guest frames of one HOST record: 64 GiB. */
export const HOST_FRAMES_MAX = 2 ** 24;

/** Bits 2-7 of a record of kind 3. See traces/FORMAT.md for the operands. */
export const EventType = {
  CR0: 1,
  CR3: 2,
  CR4: 3,
  EFER: 4,
  MODE: 5,
  INVLPG: 6,
  EXC: 7,
  PTP: 8,
  PTPDROP: 9,
  PTW: 10,
  MAP: 11,
  MARK: 12,
  INSN: 13,
  FRUN: 14,
  END: 15,
  INVPCID: 16,
  CR2: 17,
  PKRU: 18,
  SWITCH: 19,
  LABEL: 20,
  HOST: 21,
} as const;

/** Longest LABEL text in bytes. */
export const LABEL_BYTES_MAX = 4096;
/** No record is longer: a PTP of 512 entries with every number 10 bytes long. */
export const RECORD_BYTES_MAX = 1 + 10 + 1 + 10 + 512 * 20;

/** How fetches were recorded: one record an instruction, or one a run within a page. */
export type FetchMode = "insn" | "page";

/** The bases that address deltas count from; all are 0 at the start of a stream. 64-bit, unsigned. */
export interface DeltaBases {
  /** gva of the byte after the previous fetch record's instruction. */
  fetchEnd: bigint;
  /** gva of the previous read or write. */
  dataAddress: bigint;
  /** gpa of the previous PTW. */
  ptwAddress: bigint;
}

export interface RecordCounts {
  /** Records of every kind. */
  events: number;
  /** Instruction fetches: fetch records, and those that FRUN stands for. */
  fetches: number;
  reads: number;
  writes: number;
}

export interface ScannerOptions {
  /** Named in errors. */
  name?: string;
  /** "page" allows END to count more fetches than are recorded: the recorder does not write out its last run. */
  fetch?: FetchMode;
  /** File offset of the stream's first byte, where stream and file run in parallel. */
  fileOffset?: number | undefined;
}

const MAX = 0x1_0000_0000;
const INCOMPLETE = -1;
const OVERLONG = -2;
const NUMBER_FAULT = "a number is longer than 10 bytes or does not fit 64 bits";

/**
 * Finds record boundaries in a record stream, counts, follows the delta bases exactly, and validates.
 * Throws TraceError ("corrupt") at an unknown event type, a reserved bit, a number over 64 bits, a value out of its
 * range, an END that disagrees with the counts, and anything after END.
 */
export class RecordScanner implements RecordCounts {
  events = 0;
  fetches = 0;
  reads = 0;
  writes = 0;
  /** Records by event type (index 0 is unused). */
  readonly eventsByType = new Float64Array(32);
  /** Bytes of whole records so far: the stream offset of the next record. */
  offset = 0;
  /** True once END has been read. */
  ended = false;

  readonly #name: string;
  readonly #fetch: FetchMode;
  readonly #fileOffset: number | undefined;
  // Each 64-bit base as two signed 32-bit halves.
  #fetchHi = 0;
  #fetchLo = 0;
  #dataHi = 0;
  #dataLo = 0;
  #ptwHi = 0;
  #ptwLo = 0;
  /** Result of #varint. */
  #hi = 0;
  #lo = 0;
  /** Stream offset of the buffer being scanned. */
  #origin = 0;

  constructor(options: ScannerOptions = {}) {
    this.#name = options.name ?? "the record stream";
    this.#fetch = options.fetch ?? "insn";
    this.#fileOffset = options.fileOffset;
  }

  get accesses(): number {
    return this.fetches + this.reads + this.writes;
  }

  bases(): DeltaBases {
    const join = (hi: number, lo: number) => BigInt.asUintN(64, (BigInt(hi) << 32n) | BigInt(lo >>> 0));
    return {
      fetchEnd: join(this.#fetchHi, this.#fetchLo),
      dataAddress: join(this.#dataHi, this.#dataLo),
      ptwAddress: join(this.#ptwHi, this.#ptwLo),
    };
  }

  /** Starts in the middle of a stream, with the bases that hold there. */
  setBases(bases: DeltaBases): void {
    const lo = (x: bigint) => Number(BigInt.asIntN(32, x));
    const hi = (x: bigint) => Number(BigInt.asIntN(32, x >> 32n));
    [this.#fetchHi, this.#fetchLo] = [hi(bases.fetchEnd), lo(bases.fetchEnd)];
    [this.#dataHi, this.#dataLo] = [hi(bases.dataAddress), lo(bases.dataAddress)];
    [this.#ptwHi, this.#ptwLo] = [hi(bases.ptwAddress), lo(bases.ptwAddress)];
  }

  /**
   * Reads the whole records of `bytes[start, end)`, which continues the stream. Returns where the first record that
   * is not all there begins, or `end`; give the bytes from there again, followed by more.
   */
  scan(bytes: Uint8Array, start = 0, end = bytes.length): number {
    this.#origin = this.offset - start;
    let at = start;
    for (;;) {
      if (this.ended && at < end) this.#fail(at, "data follows the END record");
      at = this.#accesses(bytes, at, end);
      this.offset = this.#origin + at;
      if (at >= end || (bytes[at]! & 3) !== 3) return at;
      const next = this.#event(bytes, at, end, bytes[at]! >> 2);
      if (next < 0) return at;
      at = next;
      this.events++;
    }
  }

  /** Reads accesses up to the first record of kind 3, or the first that is not all there. */
  #accesses(bytes: Uint8Array, start: number, end: number): number {
    let at = start;
    let fetchHi = this.#fetchHi;
    let fetchLo = this.#fetchLo;
    let dataHi = this.#dataHi;
    let dataLo = this.#dataLo;
    let fetches = 0;
    let reads = 0;
    let writes = 0;
    let fault = "";
    while (at < end) {
      const first = bytes[at]!;
      const kind = first & 3;
      if (kind === 3) break;
      if (first & 0x80) {
        fault = `a record begins with byte ${hex(first)}, whose bit 7 must be 0`;
        break;
      }
      const length = kind === 0 ? (first >> 2) & 15 : 0;
      if (kind === 0) {
        if (length === 0) {
          fault = "a fetch has instruction length 0";
          break;
        }
        if (first & 0x40) {
          fetchLo = (fetchLo + length) | 0;
          if (fetchLo >>> 0 < length) fetchHi = (fetchHi + 1) | 0;
          fetches++;
          at++;
          continue;
        }
      }
      let next = at + 1;
      let deltaHi: number;
      let deltaLo: number;
      // Deltas of up to 28 bits, nearly all of them, without the general case.
      let z = 1 << 28;
      if (end - at > 4) {
        z = bytes[next++]!;
        if (z > 0x7f) {
          z = (z & 0x7f) | (bytes[next++]! << 7);
          if (z > 0x3fff) {
            z = (z & 0x3fff) | (bytes[next++]! << 14);
            if (z > 0x1f_ffff) z = (z & 0x1f_ffff) | (bytes[next++]! << 21);
          }
        }
      }
      if (z < 1 << 28) {
        deltaLo = (z >>> 1) ^ -(z & 1);
        deltaHi = deltaLo >> 31;
      } else {
        next = this.#varint(bytes, at + 1, end);
        if (next === INCOMPLETE) break;
        if (next === OVERLONG) {
          // Not thrown here: what was read so far would be lost.
          fault = NUMBER_FAULT;
          break;
        }
        const flip = -(this.#lo & 1);
        deltaLo = ((this.#lo >>> 1) | (this.#hi << 31)) ^ flip;
        deltaHi = (this.#hi >>> 1) ^ flip;
      }
      if (kind === 0) {
        const lo = (fetchLo + deltaLo) | 0;
        fetchHi = (fetchHi + deltaHi + (lo >>> 0 < deltaLo >>> 0 ? 1 : 0)) | 0;
        fetchLo = (lo + length) | 0;
        if (fetchLo >>> 0 < length) fetchHi = (fetchHi + 1) | 0;
        fetches++;
      } else {
        dataLo = (dataLo + deltaLo) | 0;
        dataHi = (dataHi + deltaHi + (dataLo >>> 0 < deltaLo >>> 0 ? 1 : 0)) | 0;
        if (kind === 1) reads++;
        else writes++;
      }
      at = next;
    }
    this.#fetchHi = fetchHi;
    this.#fetchLo = fetchLo;
    this.#dataHi = dataHi;
    this.#dataLo = dataLo;
    this.fetches += fetches;
    this.reads += reads;
    this.writes += writes;
    this.events += fetches + reads + writes;
    if (fault) this.#fail(at, fault);
    return at;
  }

  /** The error for a stream that breaks off here. `fileEnd` is where the file ends. */
  truncated(fileEnd: number): TraceError {
    const where = this.ended ? "before its gzip data is complete" : "before the END record";
    return new TraceError(
      `${this.#name} is truncated: it ends at byte ${fileEnd}, ${where}, after ${countOf(this.events, "whole event")}; get the file again, or read it as far as it is whole (${optionName("allow-truncated")})`,
      { kind: "truncated", offset: fileEnd, events: this.events },
    );
  }

  #fail(at: number, what: string): never {
    const offset = this.#origin + at + (this.#fileOffset ?? 0);
    const where = this.#fileOffset === undefined ? "of the record stream" : "of the file";
    throw new TraceError(
      `${this.#name} is corrupt: ${what}, at byte ${offset} ${where}, after ${countOf(this.events, "good event")}; record or convert the trace again`,
      { kind: "corrupt", offset, events: this.events },
    );
  }

  /** Unsigned LEB128 into #hi and #lo. Returns the offset after it, or INCOMPLETE, or OVERLONG. */
  #varint(bytes: Uint8Array, start: number, end: number): number {
    let lo = 0;
    let hi = 0;
    for (let i = 0; i < 10; i++) {
      if (start + i >= end) return INCOMPLETE;
      const byte = bytes[start + i]!;
      const part = byte & 127;
      if (i < 4) lo |= part << (7 * i);
      else if (i === 4) {
        lo |= part << 28;
        hi = part >> 4;
      } else if (i < 9) hi |= part << (7 * i - 32);
      else if (byte > 1) return OVERLONG;
      else hi |= part << 31;
      if (byte < 128) {
        this.#lo = lo >>> 0;
        this.#hi = hi >>> 0;
        return start + i + 1;
      }
    }
    return OVERLONG;
  }

  #value(): number {
    return this.#hi * MAX + this.#lo;
  }

  /** One record of kind 3. Returns the offset after it, or -1 when it is not all there; then nothing has changed. */
  #event(bytes: Uint8Array, start: number, end: number, type: number): number {
    let at = start + 1;
    const uv = () => {
      if (at >= 0) at = this.#varint(bytes, at, end);
      if (at === OVERLONG) this.#fail(start, NUMBER_FAULT);
      return at >= 0;
    };
    const u8 = () => {
      if (at < 0) return 0;
      if (at >= end) {
        at = -1;
        return 0;
      }
      return bytes[at++]!;
    };
    switch (type) {
      case EventType.CR0:
      case EventType.CR3:
      case EventType.CR4:
      case EventType.EFER:
      case EventType.INVLPG:
      case EventType.CR2:
        uv();
        break;
      case EventType.PKRU:
        if (uv() && this.#hi !== 0) this.#fail(start, "a PKRU value does not fit 32 bits");
        break;
      case EventType.MODE:
        if (u8() > 7) this.#fail(start, "a MODE has reserved bits set");
        break;
      case EventType.MARK:
      case EventType.INSN:
        u8();
        break;
      case EventType.INVPCID:
        if (uv() && this.#value() > 3)
          this.#fail(start, `INVPCID type ${this.#value()} is not defined (0-3)`);
        uv();
        uv();
        break;
      case EventType.MAP:
      case EventType.SWITCH:
        uv();
        uv();
        break;
      case EventType.EXC:
        u8();
        uv();
        uv();
        uv();
        break;
      case EventType.PTP: {
        if (uv()) this.#frame(start);
        const level = u8();
        if (at >= 0 && (level < 1 || level > 5)) this.#fail(start, `a PTP has level ${level}, not 1-5`);
        if (!uv()) break;
        const count = this.#value();
        if (count > 512) this.#fail(start, `a PTP lists ${count} entries, more than the 512 of a page`);
        let index = 0;
        for (let i = 0; i < count && uv(); i++) {
          const step = this.#value();
          index += step;
          if (index > 511 || (step === 0 && i > 0))
            this.#fail(start, "a PTP's entry indices do not rise within 0-511");
          uv();
        }
        break;
      }
      case EventType.PTPDROP:
        if (uv()) this.#frame(start);
        break;
      case EventType.PTW: {
        if (!uv()) break;
        const flip = -(this.#lo & 1);
        const lo = ((this.#lo >>> 1) | (this.#hi << 31)) ^ flip;
        const hi = (this.#hi >>> 1) ^ flip;
        if (!uv()) break;
        const step = lo << 3;
        this.#ptwLo = (this.#ptwLo + step) | 0;
        const carry = this.#ptwLo >>> 0 < step >>> 0 ? 1 : 0;
        this.#ptwHi = (this.#ptwHi + ((hi << 3) | (lo >>> 29)) + carry) | 0;
        break;
      }
      case EventType.FRUN:
        if (uv()) {
          if (this.#value() > FETCH_RUN_MAX)
            this.#fail(start, `an FRUN is ${this.#value()} fetches long, more than 2^48`);
          this.fetches += this.#value();
        }
        break;
      case EventType.END: {
        if (!uv()) break;
        const fetches = this.#value();
        if (!uv()) break;
        const reads = this.#value();
        if (!uv()) break;
        this.#end(start, fetches, reads, this.#value());
        break;
      }
      case EventType.LABEL:
        if (!uv()) break;
        if (this.#value() > LABEL_BYTES_MAX)
          this.#fail(start, `a LABEL is ${this.#value()} bytes long, more than ${LABEL_BYTES_MAX}`);
        at += this.#lo;
        if (at > end) at = -1;
        break;
      case EventType.HOST:
        if (uv() && (this.#value() < 1 || this.#value() > 4))
          this.#fail(start, `HOST action ${this.#value()} is not defined (1-4)`);
        if (uv()) this.#frame(start);
        if (uv() && this.#value() > HOST_FRAMES_MAX)
          this.#fail(start, `a HOST record is about ${this.#value()} frames, more than ${HOST_FRAMES_MAX}`);
        break;
      default:
        this.#fail(start, `event type ${type} is not known to this version`);
    }
    if (at >= 0) this.eventsByType[type]!++;
    return at;
  }

  #frame(start: number): void {
    if (this.#hi > 0xff) this.#fail(start, "a frame number does not fit 40 bits (52-bit physical addresses)");
  }

  #end(start: number, fetches: number, reads: number, writes: number): void {
    const same = this.#fetch === "page" ? fetches >= this.fetches : fetches === this.fetches;
    if (!same || reads !== this.reads || writes !== this.writes) {
      this.#fail(
        start,
        `END counts ${fetches} fetches, ${reads} reads and ${writes} writes, but ${this.fetches}, ${this.reads} and ${this.writes} precede it`,
      );
    }
    this.ended = true;
  }
}

function hex(byte: number): string {
  return `0x${byte.toString(16).padStart(2, "0")}`;
}
