import { TraceError } from "./error.js";
import { crc32 } from "./platform.js";
import type { DeltaBases } from "./records.js";

/** Layout of .nwt files, version 1: traces/FORMAT.md, part 1. All numbers are little-endian. */
export const NWT_VERSION = 1;
// As PNG's: a byte above 127, CR LF, ^Z and LF show what a text-mode transfer did to the file.
export const NWT_MAGIC = Uint8Array.of(0x89, 0x4e, 0x57, 0x54, 0x0d, 0x0a, 0x1a, 0x0a);

/** Most bytes of the record stream in a chunk. */
export const CHUNK_RAW_MAX = 1 << 20;
/** Bytes around a block's body: type and length before it, CRC-32 after it. */
export const BLOCK_OVERHEAD = 12;
export const CHUNK_HEAD_BYTES = 72;
export const INDEX_ENTRY_BYTES = 24;
export const TAIL_BODY_BYTES = 88;
export const TAIL_BYTES = BLOCK_OVERHEAD + TAIL_BODY_BYTES;
export const HEAD_BODY_MAX = 1 << 20;
/** DEFLATE's worst case for a full chunk, with room to spare. */
export const CHUNK_BODY_MAX = CHUNK_HEAD_BYTES + CHUNK_RAW_MAX + (1 << 16);

export type BlockType = "HEAD" | "CHNK" | "INDX" | "TAIL";

export interface ChunkHead {
  rawLength: number;
  rawCrc: number;
  /** Index of the chunk's first event in the stream. */
  firstEvent: number;
  events: number;
  fetches: number;
  reads: number;
  writes: number;
  /** The delta bases in force at the chunk's first record. */
  bases: DeltaBases;
}

export interface IndexEntry {
  /** File offset of the chunk's block. */
  offset: number;
  firstEvent: number;
  /** Fetches, reads and writes before the chunk. */
  firstAccess: number;
}

export interface Tail {
  events: number;
  fetches: number;
  reads: number;
  writes: number;
  streamBytes: number;
  chunks: number;
  /** File offset of the INDX block. */
  indexOffset: number;
  /** SHA-256 of the record stream. */
  streamSha256: Uint8Array;
}

/** Reads and writes fields one after the other. */
class Fields {
  #view: DataView;
  #at = 0;
  constructor(bytes: Uint8Array) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }
  u32(): number {
    this.#at += 4;
    return this.#view.getUint32(this.#at - 4, true);
  }
  u64(): bigint {
    this.#at += 8;
    return this.#view.getBigUint64(this.#at - 8, true);
  }
  /** A count or offset; those above 2^53 make no sense and lose nothing by rounding. */
  count(): number {
    return Number(this.u64());
  }
  put32(x: number): this {
    this.#view.setUint32(this.#at, x, true);
    this.#at += 4;
    return this;
  }
  put64(x: number | bigint): this {
    this.#view.setBigUint64(this.#at, BigInt(x), true);
    this.#at += 8;
    return this;
  }
}

export function packBlock(type: BlockType, ...parts: Uint8Array[]): Uint8Array {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const block = new Uint8Array(BLOCK_OVERHEAD + length);
  for (let i = 0; i < 4; i++) block[i] = type.charCodeAt(i);
  new Fields(block.subarray(4)).put32(length);
  let at = 8;
  for (const part of parts) {
    block.set(part, at);
    at += part.length;
  }
  new Fields(block.subarray(at)).put32(crc32(block.subarray(0, at)));
  return block;
}

/** Type and body length from a block's first 8 bytes; undefined for an unknown type. */
export function blockStart(bytes: Uint8Array): { type: BlockType; length: number } | undefined {
  const type = String.fromCharCode(...bytes.subarray(0, 4));
  if (type !== "HEAD" && type !== "CHNK" && type !== "INDX" && type !== "TAIL") return undefined;
  return { type, length: new Fields(bytes.subarray(4, 8)).u32() };
}

/** The body of a whole block, or undefined when its CRC-32 does not match. */
export function blockBody(block: Uint8Array): Uint8Array | undefined {
  const end = block.length - 4;
  const stored = new Fields(block.subarray(end)).u32();
  return crc32(block.subarray(0, end)) === stored ? block.subarray(8, end) : undefined;
}

export function packChunkHead(head: ChunkHead): Uint8Array {
  const bytes = new Uint8Array(CHUNK_HEAD_BYTES);
  const fields = new Fields(bytes).put32(head.rawLength).put32(head.rawCrc);
  fields.put64(head.firstEvent).put64(head.events);
  fields.put64(head.fetches).put64(head.reads).put64(head.writes);
  fields.put64(head.bases.fetchEnd).put64(head.bases.dataAddress).put64(head.bases.ptwAddress);
  return bytes;
}

export function unpackChunkHead(body: Uint8Array): ChunkHead {
  const f = new Fields(body);
  return {
    rawLength: f.u32(),
    rawCrc: f.u32(),
    firstEvent: f.count(),
    events: f.count(),
    fetches: f.count(),
    reads: f.count(),
    writes: f.count(),
    bases: { fetchEnd: f.u64(), dataAddress: f.u64(), ptwAddress: f.u64() },
  };
}

export function packIndex(entries: readonly IndexEntry[]): Uint8Array {
  const bytes = new Uint8Array(entries.length * INDEX_ENTRY_BYTES);
  const fields = new Fields(bytes);
  for (const entry of entries) fields.put64(entry.offset).put64(entry.firstEvent).put64(entry.firstAccess);
  return bytes;
}

export function unpackIndex(body: Uint8Array): IndexEntry[] {
  const f = new Fields(body);
  return Array.from({ length: Math.floor(body.length / INDEX_ENTRY_BYTES) }, () => ({
    offset: f.count(),
    firstEvent: f.count(),
    firstAccess: f.count(),
  }));
}

export function packTail(tail: Tail): Uint8Array {
  const bytes = new Uint8Array(TAIL_BODY_BYTES);
  const fields = new Fields(bytes)
    .put64(tail.events)
    .put64(tail.fetches)
    .put64(tail.reads)
    .put64(tail.writes);
  fields.put64(tail.streamBytes).put64(tail.chunks).put64(tail.indexOffset);
  bytes.set(tail.streamSha256, TAIL_BODY_BYTES - 32);
  return bytes;
}

/** From a TAIL body; undefined when it has another length. */
export function unpackTail(body: Uint8Array): Tail | undefined {
  if (body.length !== TAIL_BODY_BYTES) return undefined;
  const f = new Fields(body);
  return {
    events: f.count(),
    fetches: f.count(),
    reads: f.count(),
    writes: f.count(),
    streamBytes: f.count(),
    chunks: f.count(),
    indexOffset: f.count(),
    streamSha256: body.slice(TAIL_BODY_BYTES - 32),
  };
}

/** A damaged .nwt. `offset` is the file offset of the damaged block. */
export function corruptNwt(name: string, what: string, offset: number, events: number): TraceError {
  return new TraceError(
    `${name} is corrupt: ${what}, at byte ${offset} of the file, after ${events} good event${events === 1 ? "" : "s"}; get the file again`,
    { kind: "corrupt", offset, events },
  );
}
