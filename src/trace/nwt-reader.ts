import { optionName } from "../request/option-names.js";
import { toHex } from "./bytes.js";
import { countOf, TraceError } from "./error.js";
import { gunzipMember } from "./gzip.js";
import type { Pass, TraceInput } from "./input.js";
import {
  BLOCK_OVERHEAD,
  type BlockType,
  blockBody,
  blockStart,
  CHUNK_BODY_MAX,
  CHUNK_HEAD_BYTES,
  CHUNK_RAW_MAX,
  type ChunkHead,
  corruptNwt,
  HEAD_BODY_MAX,
  INDEX_ENTRY_BYTES,
  type IndexEntry,
  NWT_MAGIC,
  NWT_VERSION,
  TAIL_BODY_BYTES,
  TAIL_BYTES,
  type Tail,
  unpackChunkHead,
  unpackIndex,
  unpackTail,
} from "./nwt.js";
import { crc32, sha256 } from "./platform.js";
import type { OpenOptions, Recorded, TraceHeader, TraceSource, TraceTotals, Truncation } from "./source.js";

/** One decoded chunk: whole records only. */
export interface Chunk extends ChunkHead {
  raw: Uint8Array;
}

/** A .nwt file. */
export class NwtSource implements TraceSource {
  readonly format = "nwt";
  readonly name: string;
  truncated: Truncation | undefined;
  #hashed: string | undefined;

  private constructor(
    readonly header: TraceHeader,
    private readonly input: TraceInput,
    private readonly options: OpenOptions,
    private readonly firstChunk: number,
  ) {
    this.name = input.name;
  }

  static async open(input: TraceInput, options: OpenOptions): Promise<NwtSource> {
    const { header, length } = await readHeader(input);
    const tail = await tailOf(input);
    if (tail) header.totals = totalsOf(tail);
    await input.rest();
    return new NwtSource(header, input, options, length);
  }

  /** One verified chunk a slice. */
  async *records(): AsyncGenerator<Uint8Array, void> {
    for await (const chunk of this.chunks()) yield chunk.raw;
  }

  /** The chunks in order. Checks everything there is to check but the meaning of the records. */
  async *chunks(): AsyncGenerator<Chunk, void> {
    this.truncated = undefined;
    const pass = await this.input.content();
    const walk = new Walk(this.input, pass, this.firstChunk);
    // One chunk is unpacked while the one before it is in use.
    let pending: Promise<Chunk> | undefined;
    let failure: unknown;
    try {
      try {
        for await (const next of walk.chunks()) {
          if (pending) yield await pending;
          pending = next.chunk;
        }
      } catch (error) {
        failure = error;
      }
      if (pending) yield await pending;
      if (failure instanceof TraceError && failure.kind === "truncated" && this.options.allowTruncated) {
        this.truncated = { offset: failure.offset ?? pass.fileBytes, events: walk.events };
      } else if (failure) throw failure;
      this.#hashed = walk.streamSha256;
    } finally {
      await pass.content.close();
      this.input.passed(pass);
    }
  }

  sha256(): Promise<string> {
    return this.input.sha256();
  }

  hashedStream(): string {
    if (this.#hashed === undefined) throw new RangeError(`${this.name} has not been read to its end`);
    return this.#hashed;
  }

  /** SHA-256 of the record stream in hexadecimal, from the trailer; undefined without random access. */
  async streamSha256(): Promise<string | undefined> {
    const tail = await tailOf(this.input);
    return tail && toHex(tail.streamSha256);
  }

  /** Where the chunks are, without reading them. Needs random access and a whole file. */
  async index(): Promise<IndexEntry[]> {
    const { source, name } = this.input;
    const tail = await tailOf(this.input);
    if (!tail || !source.read) {
      throw new TraceError(
        `${name} has no index that can be read: it needs random access to a whole .nwt file; read it from the start`,
        { kind: "unreadable" },
      );
    }
    const length = tail.chunks * INDEX_ENTRY_BYTES;
    const block = await source.read(tail.indexOffset, length + BLOCK_OVERHEAD);
    const start = block.length === length + BLOCK_OVERHEAD ? blockStart(block) : undefined;
    const body = start?.type === "INDX" && start.length === length ? blockBody(block) : undefined;
    if (!body) throw corruptNwt(name, "the index is damaged", tail.indexOffset, 0);
    return unpackIndex(body);
  }

  /** One chunk by itself. Needs random access. */
  async chunk(entry: IndexEntry): Promise<Chunk> {
    const { source, name } = this.input;
    const read = async (offset: number, length: number) => {
      const bytes = await source.read?.(offset, length);
      if (bytes?.length !== length)
        throw corruptNwt(name, "a chunk is not where the index says", entry.offset, 0);
      return bytes;
    };
    const start = blockStart(await read(entry.offset, 8));
    if (start?.type !== "CHNK" || start.length <= CHUNK_HEAD_BYTES || start.length > CHUNK_BODY_MAX) {
      throw corruptNwt(name, "a chunk is not where the index says", entry.offset, 0);
    }
    const body = blockBody(await read(entry.offset, start.length + BLOCK_OVERHEAD));
    if (!body) throw corruptNwt(name, "a chunk does not match its checksum", entry.offset, 0);
    return unpackChunk(name, entry.offset, entry.firstEvent, unpackChunkHead(body), body);
  }
}

async function unpackChunk(
  name: string,
  offset: number,
  events: number,
  head: ChunkHead,
  body: Uint8Array,
): Promise<Chunk> {
  const fits = head.rawLength > 0 && head.rawLength <= CHUNK_RAW_MAX;
  const raw = fits ? await gunzipMember(body.subarray(CHUNK_HEAD_BYTES), head.rawLength) : undefined;
  if (!raw || crc32(raw) !== head.rawCrc) throw corruptNwt(name, "a chunk does not unpack", offset, events);
  return { ...head, raw };
}

/** Walks the blocks after HEAD front to back. */
class Walk {
  /** Good events so far. */
  events = 0;
  #fetches = 0;
  #reads = 0;
  #writes = 0;
  #streamBytes = 0;
  #index: IndexEntry[] = [];
  #hasher = sha256();
  #streamSha256: string | undefined;

  /** Of the chunks that have been read, in hexadecimal; none can follow. */
  get streamSha256(): string {
    this.#streamSha256 ??= toHex(this.#hasher.digest());
    return this.#streamSha256;
  }

  constructor(
    readonly input: TraceInput,
    readonly pass: Pass,
    readonly firstChunk: number,
  ) {}

  /** In an object, because an asynchronous generator would wait for a bare promise. */
  async *chunks(): AsyncGenerator<{ chunk: Promise<Chunk> }, void> {
    const { content } = this.pass;
    const { name } = this.input;
    await content.take(this.firstChunk);
    for (;;) {
      const offset = content.offset;
      const { type, body } = await this.#block(offset);
      if (type === "CHNK") {
        const chunk = this.#chunk(offset, body);
        // Whoever awaits it sees the error; until then it is not unhandled.
        chunk.catch(() => {});
        yield { chunk };
        this.#hasher.update((await chunk).raw);
        continue;
      }
      if (type !== "INDX") throw corruptNwt(name, `a ${type} block is out of place`, offset, this.events);
      const index = unpackIndex(body);
      const same = (a: IndexEntry, b: IndexEntry) =>
        a.offset === b.offset && a.firstEvent === b.firstEvent && a.firstAccess === b.firstAccess;
      if (!this.#index.every((entry, i) => same(entry, index[i]!))) {
        throw corruptNwt(name, "the index does not match the chunks", offset, this.events);
      }
      await this.#tail(offset);
      return;
    }
  }

  #chunk(offset: number, body: Uint8Array): Promise<Chunk> {
    const head = unpackChunkHead(body);
    if (head.firstEvent !== this.events) {
      throw corruptNwt(
        this.input.name,
        "a chunk is missing or out of order before the one",
        offset,
        this.events,
      );
    }
    const firstAccess = this.#fetches + this.#reads + this.#writes;
    this.#index.push({ offset, firstEvent: this.events, firstAccess });
    const chunk = unpackChunk(this.input.name, offset, this.events, head, body);
    this.events += head.events;
    this.#fetches += head.fetches;
    this.#reads += head.reads;
    this.#writes += head.writes;
    this.#streamBytes += head.rawLength;
    return chunk;
  }

  async #tail(indexOffset: number): Promise<void> {
    const { content } = this.pass;
    const { name } = this.input;
    const offset = content.offset;
    const { type, body } = await this.#block(offset);
    if (type !== "TAIL") throw corruptNwt(name, `a ${type} block is out of place`, offset, this.events);
    const tail = unpackTail(body)!;
    const same =
      tail.events === this.events &&
      tail.fetches === this.#fetches &&
      tail.reads === this.#reads &&
      tail.writes === this.#writes &&
      tail.streamBytes === this.#streamBytes &&
      tail.chunks === this.#index.length &&
      tail.indexOffset === indexOffset &&
      toHex(tail.streamSha256) === this.streamSha256;
    if (!same) throw corruptNwt(name, "the totals do not match the chunks", offset, this.events);
    const end = content.offset;
    if ((await this.#take(1)).length > 0) throw corruptNwt(name, "data follows the end", end, this.events);
  }

  /** Takes up to `length` bytes; a gzip wrapper that ends early counts as the end of the file. */
  async #take(length: number): Promise<Uint8Array> {
    try {
      return await this.pass.content.take(length);
    } catch (error) {
      if (error instanceof TraceError && error.kind === "truncated") throw this.#cutAt(error.offset);
      throw error;
    }
  }

  async #block(offset: number): Promise<{ type: BlockType; body: Uint8Array }> {
    const { name } = this.input;
    const head = await this.pass.content.peek(8);
    if (head.length < 8) {
      await this.#take(8);
      throw this.#cut(offset, head.length);
    }
    const start = blockStart(head);
    if (!start) throw corruptNwt(name, "a block has an unknown type", offset, this.events);
    const { type, length } = start;
    const good =
      type === "CHNK"
        ? length > CHUNK_HEAD_BYTES && length <= CHUNK_BODY_MAX
        : length ===
          (type === "INDX" ? this.#index.length * INDEX_ENTRY_BYTES : type === "TAIL" ? TAIL_BODY_BYTES : -1);
    if (!good) throw corruptNwt(name, `a ${type} block has an impossible length`, offset, this.events);
    const block = await this.#take(length + BLOCK_OVERHEAD);
    if (block.length < length + BLOCK_OVERHEAD) throw this.#cut(offset, block.length);
    const body = blockBody(block);
    if (!body) throw corruptNwt(name, `a ${type} block does not match its checksum`, offset, this.events);
    return { type, body };
  }

  #cut(offset: number, have: number): TraceError {
    return this.#cutAt(this.input.wrapper ? this.pass.fileBytes : offset + have);
  }

  #cutAt(offset: number | undefined): TraceError {
    return new TraceError(
      `${this.input.name} is truncated: it ends at byte ${offset}, after ${countOf(this.events, "whole event")}; get the file again, or read it as far as it is whole (${optionName("allow-truncated")})`,
      { kind: "truncated", offset, events: this.events },
    );
  }
}

async function readHeader(input: TraceInput): Promise<{ header: TraceHeader; length: number }> {
  const { name } = input;
  const at = NWT_MAGIC.length;
  const cut = (have: number) =>
    new TraceError(`${name} is truncated: it ends at byte ${have}, inside its header; get the file again`, {
      kind: "truncated",
      offset: have,
      events: 0,
    });
  const first = await input.peek(at + 8);
  if (first.length < at + 8) throw cut(first.length);
  const start = blockStart(first.subarray(at));
  if (start?.type !== "HEAD" || start.length < 4 || start.length > HEAD_BODY_MAX) {
    throw corruptNwt(name, "the header is damaged", at, 0);
  }
  const length = at + BLOCK_OVERHEAD + start.length;
  const bytes = await input.peek(length);
  if (bytes.length < length) throw cut(bytes.length);
  const body = blockBody(bytes.subarray(at));
  if (!body) throw corruptNwt(name, "the header does not match its checksum", at, 0);
  const version = new DataView(body.buffer, body.byteOffset, 4).getUint32(0, true);
  if (version !== NWT_VERSION) {
    throw new TraceError(
      `${name} is a .nwt file of version ${version}, and this reader knows version ${NWT_VERSION}; update nestwalk`,
      { kind: "unsupported", offset: at + 8 },
    );
  }
  let json: { fetch?: unknown; recorded?: unknown } | null;
  try {
    json = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body.subarray(4)));
  } catch {
    throw corruptNwt(name, "the header is not JSON", at, 0);
  }
  const fetch = json?.fetch;
  const recorded = json?.recorded;
  if ((fetch !== "insn" && fetch !== "page") || typeof recorded !== "object" || recorded === null) {
    throw corruptNwt(name, 'the header has no "fetch" of "insn" or "page" or no "recorded" object', at, 0);
  }
  return { header: { version, fetch, recorded: recorded as Recorded }, length };
}

/** The trailer, when the end of the file can be read and holds one. */
async function tailOf(input: TraceInput): Promise<Tail | undefined> {
  const { size, read } = input.source;
  if (!read || size === undefined || input.wrapper || size < TAIL_BYTES) return undefined;
  const block = await input.source.read!(size - TAIL_BYTES, TAIL_BYTES);
  const start = block.length === TAIL_BYTES ? blockStart(block) : undefined;
  const body = start?.type === "TAIL" ? blockBody(block) : undefined;
  return body && unpackTail(body);
}

function totalsOf({ events, fetches, reads, writes, streamBytes }: Tail): TraceTotals {
  return { events, fetches, reads, writes, streamBytes };
}
