import { TraceError } from "./error.js";
import { gzipMember } from "./gzip.js";
import {
  CHUNK_RAW_MAX,
  HEAD_BODY_MAX,
  type IndexEntry,
  NWT_MAGIC,
  NWT_VERSION,
  packBlock,
  packChunkHead,
  packIndex,
  packTail,
} from "./nwt.js";
import { crc32, sha256 } from "./platform.js";
import { type FetchMode, type RecordCounts, RecordScanner } from "./records.js";
import type { Recorded, TraceTotals } from "./source.js";

export interface NwtWriterOptions {
  fetch: FetchMode;
  recorded: Recorded;
  /** Most stream bytes in a chunk, 16384 to 1048576 (the default, and best but for seeking). */
  chunkBytes?: number;
  /** Named in errors about the records. */
  name?: string;
}

const CHUNK_RAW_MIN = 1 << 14;
/** Chunks that are compressed at the same time. */
const AT_ONCE = 4;

/** A chunk that is being compressed. */
interface Packing {
  head: Uint8Array;
  firstEvent: number;
  firstAccess: number;
  member: Promise<Uint8Array>;
}

/**
 * Packs a record stream into a .nwt file. Each method gives the file bytes that are ready, to be written in order:
 * `start()`, `push()` for slices of any size, `finish()`. The chunks do not depend on how the stream was sliced.
 * Throws TraceError for records that are not valid.
 */
export class NwtWriter {
  readonly #scanner: RecordScanner;
  readonly #head: Uint8Array;
  readonly #raw: Uint8Array;
  /** Bytes of #raw in use, and how many of them are whole records. */
  #filled = 0;
  #whole = 0;
  #before: RecordCounts = { events: 0, fetches: 0, reads: 0, writes: 0 };
  #bases;
  #index: IndexEntry[] = [];
  #hasher = sha256();
  #fileBytes = 0;
  #name: string;
  /** Chunks being compressed, in order. */
  #packing: Packing[] = [];

  constructor(options: NwtWriterOptions) {
    const chunkBytes = options.chunkBytes ?? CHUNK_RAW_MAX;
    if (!Number.isInteger(chunkBytes) || chunkBytes < CHUNK_RAW_MIN || chunkBytes > CHUNK_RAW_MAX) {
      throw new RangeError(`chunkBytes is ${chunkBytes}, not ${CHUNK_RAW_MIN}-${CHUNK_RAW_MAX}`);
    }
    this.#name = options.name ?? "the record stream";
    this.#scanner = new RecordScanner({ fetch: options.fetch, name: this.#name });
    this.#bases = this.#scanner.bases();
    this.#raw = new Uint8Array(chunkBytes);
    const json = new TextEncoder().encode(
      JSON.stringify({ fetch: options.fetch, recorded: options.recorded }),
    );
    this.#head = new Uint8Array(4 + json.length);
    this.#head[0] = NWT_VERSION;
    this.#head.set(json, 4);
    if (this.#head.length > HEAD_BODY_MAX) throw new RangeError("the trace header is longer than 1 MiB");
  }

  /** What has been pushed so far, in whole records. */
  get totals(): TraceTotals {
    const { events, fetches, reads, writes, offset } = this.#scanner;
    return { events, fetches, reads, writes, streamBytes: offset };
  }

  /** True once the END record has been pushed. */
  get ended(): boolean {
    return this.#scanner.ended;
  }

  start(): Uint8Array {
    const head = packBlock("HEAD", this.#head);
    const bytes = new Uint8Array(NWT_MAGIC.length + head.length);
    bytes.set(NWT_MAGIC);
    bytes.set(head, NWT_MAGIC.length);
    this.#fileBytes = bytes.length;
    return bytes;
  }

  async push(slice: Uint8Array): Promise<Uint8Array[]> {
    const blocks: Uint8Array[] = [];
    for (let at = 0; at < slice.length; ) {
      const n = Math.min(slice.length - at, this.#raw.length - this.#filled);
      this.#raw.set(slice.subarray(at, at + n), this.#filled);
      this.#filled += n;
      at += n;
      this.#whole = this.#scanner.scan(this.#raw, this.#whole, this.#filled);
      if (this.#filled < this.#raw.length) continue;
      this.#cut();
      while (this.#packing.length > AT_ONCE) blocks.push(await this.#packed());
    }
    return blocks;
  }

  /** The last chunk, the index and the trailer. Throws TraceError ("truncated") when END has not come. */
  async finish(): Promise<Uint8Array[]> {
    const { streamBytes, ...counts } = this.totals;
    if (!this.ended) {
      throw new TraceError(
        `${this.#name} is truncated: it has no END record after ${counts.events} whole events; record the trace again`,
        { kind: "truncated", offset: streamBytes, events: counts.events },
      );
    }
    const blocks: Uint8Array[] = [];
    if (this.#whole > 0) this.#cut();
    while (this.#packing.length > 0) blocks.push(await this.#packed());
    const indexOffset = this.#fileBytes;
    blocks.push(packBlock("INDX", packIndex(this.#index)));
    const streamSha256 = this.#hasher.digest();
    const chunks = this.#index.length;
    blocks.push(packBlock("TAIL", packTail({ ...counts, streamBytes, chunks, indexOffset, streamSha256 })));
    return blocks;
  }

  /** Drops a record that is not all there, so that a truncated stream can be ended. */
  dropPartial(): void {
    this.#filled = this.#whole;
  }

  /** Begins to compress the whole records that are there. */
  #cut(): void {
    const raw = this.#raw.slice(0, this.#whole);
    const { events, fetches, reads, writes } = this.#scanner;
    const before = this.#before;
    const head = packChunkHead({
      rawLength: raw.length,
      rawCrc: crc32(raw),
      firstEvent: before.events,
      events: events - before.events,
      fetches: fetches - before.fetches,
      reads: reads - before.reads,
      writes: writes - before.writes,
      bases: this.#bases,
    });
    this.#hasher.update(raw);
    const member = gzipMember(raw);
    // What goes wrong is told where the chunk is waited for.
    member.catch(() => {});
    const firstAccess = before.fetches + before.reads + before.writes;
    this.#packing.push({ head, firstEvent: before.events, firstAccess, member });
    this.#raw.copyWithin(0, this.#whole, this.#filled);
    this.#filled -= this.#whole;
    this.#whole = 0;
    this.#before = { events, fetches, reads, writes };
    this.#bases = this.#scanner.bases();
  }

  /** The first of the chunks being compressed. */
  async #packed(): Promise<Uint8Array> {
    const { head, firstEvent, firstAccess, member } = this.#packing.shift()!;
    const block = packBlock("CHNK", head, await member);
    this.#index.push({ offset: this.#fileBytes, firstEvent, firstAccess });
    this.#fileBytes += block.length;
    return block;
  }
}
