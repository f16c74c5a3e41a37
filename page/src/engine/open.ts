import {
  type ByteSource,
  bytesOfBlob,
  isSynthName,
  openSynth,
  openTrace,
  parsePageSizes,
  parseV2p,
  type TraceSource,
} from "nestwalk";
import type { NamedFile, Opening, TraceFile } from "./messages.js";

/** A trace, and the share of it that has been read in the pass under way, for formats that do not say how long they are. */
export interface Input {
  source: TraceSource;
  fraction: () => number | undefined;
}

export async function openTraceOf(trace: TraceFile, open: Opening): Promise<TraceSource> {
  return (await openInput(trace, open)).source;
}

export async function openInput({ name, bytes }: TraceFile, open: Opening): Promise<Input> {
  if (bytes === undefined && isSynthName(name))
    return { source: await openSynth(name), fraction: () => undefined };
  const file = new ReadBytes({ name, bytes: bytes! });
  const { pageSizes, v2p, ...options } = open;
  const source = await openTrace(file, {
    ...options,
    ...(pageSizes && { pageSizes: parsePageSizes(pageSizes.name, await textOf(pageSizes)) }),
    ...(v2p && { placement: parseV2p(v2p.name, await textOf(v2p)) }),
  });
  return { source, fraction: () => file.fraction };
}

async function textOf({ name, bytes }: NamedFile): Promise<string> {
  return bytes.text().catch((error) => Promise.reject(unreadable(name, error)));
}

/** The browser's own words name no file. */
function unreadable(name: string, error: unknown): unknown {
  if (!(error instanceof DOMException)) return error;
  return new Error(`${name} can no longer be read (${error.name}); choose it again`);
}

/** A file that knows how much of it the pass under way has read. */
class ReadBytes implements ByteSource {
  readonly name: string;
  readonly #source: ByteSource;
  #read = 0;

  constructor({ name, bytes }: NamedFile) {
    this.name = name;
    this.#source = bytesOfBlob(name, bytes);
  }

  get size(): number {
    return this.#source.size!;
  }

  get fraction(): number | undefined {
    return this.#read > 0 ? Math.min(1, this.#read / this.size) : undefined;
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    try {
      return await this.#source.read!(offset, length);
    } catch (error) {
      throw unreadable(this.name, error);
    }
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void> {
    this.#read = 0;
    try {
      for await (const bytes of this.#source) {
        this.#read += bytes.length;
        yield bytes;
      }
    } catch (error) {
      throw unreadable(this.name, error);
    }
  }
}
