import { ByteReader, type ByteSource, toHex } from "./bytes.js";
import { TraceError } from "./error.js";
import { sha256 } from "./platform.js";
import { WRAPPER_HEAD_BYTES, type Wrapper, wrapperOf } from "./unpack/table.js";

/** A file being read, with its compression taken off, looked at before it is read, and hashed on the way. */
export class TraceInput {
  readonly name: string;
  /** What the file as a whole is compressed with; offsets in the content are then not offsets in the file. */
  readonly wrapper: Wrapper | undefined;
  /** The opening pass: what a pipe is read from, and what a file is looked at with. */
  #opening: Pass | undefined;
  #pass: Pass | undefined;
  #digest: Promise<string>;
  #settle!: { resolve(hex: string): void; reject(error: unknown): void };
  #settled = false;

  private constructor(
    readonly source: ByteSource,
    opening: Pass,
  ) {
    this.name = source.name;
    this.wrapper = opening.wrapper;
    this.#opening = opening;
    this.#digest = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
    this.#digest.catch(() => {});
  }

  static async open(source: ByteSource): Promise<TraceInput> {
    const opening = await Pass.start(source);
    return new TraceInput(source, opening);
  }

  /** The first `length` bytes of the content, or what there is of them. Before the first `content()` only. */
  peek(length: number): Promise<Uint8Array> {
    return this.#opening!.content.peek(length);
  }

  /** Throws what kept `peek(length)` from giving all that was asked for, if anything but the end did. */
  async failOnError(length: number): Promise<void> {
    await this.#opening?.content.take(length);
  }

  /** Lets go of the file for good. */
  async close(): Promise<void> {
    await this.#opening?.content.close();
  }

  /** Lets go of the file between opening and reading. A pipe stays as it is. */
  async rest(): Promise<void> {
    if (this.source.once) return;
    await this.#opening?.content.close();
    this.#opening = undefined;
  }

  /** Part of the file that the last pass has read, where that is known. */
  get share(): number | undefined {
    const { size } = this.source;
    if (!size || this.wrapper?.seeks) return undefined;
    return this.#pass && this.#pass.fileBytes / size;
  }

  /** The content from its start. */
  async content(): Promise<Pass> {
    this.#pass = await this.#next();
    return this.#pass;
  }

  async #next(): Promise<Pass> {
    const opening = this.#opening;
    this.#opening = undefined;
    if (opening) return opening;
    if (this.source.once) {
      throw new TraceError(
        `${this.name} is a pipe and has been read; save it to a file to read it more than once`,
        {
          kind: "unreadable",
        },
      );
    }
    return Pass.start(this.source);
  }

  /** To be told how a pass ended: all read, or not. */
  passed(pass: Pass): void {
    if (this.#settled) return;
    const hex = pass.digest();
    if (hex !== undefined) this.#settle.resolve(hex);
    else if (this.source.once) {
      this.#settle.reject(
        new TraceError(`${this.name} was not read to its end, so it has no SHA-256`, { kind: "unreadable" }),
      );
    } else return;
    this.#settled = true;
  }

  sha256(): Promise<string> {
    if (!this.#settled && !this.source.once) {
      this.#settled = true;
      this.#hashFile().then(this.#settle.resolve, this.#settle.reject);
    }
    return this.#digest;
  }

  async #hashFile(): Promise<string> {
    const hasher = sha256();
    for await (const bytes of this.source) hasher.update(bytes);
    return toHex(hasher.digest());
  }
}

/** One pass over the file. */
export class Pass {
  readonly content: ByteReader;
  readonly wrapper: Wrapper | undefined;
  /** Bytes of the file read so far; after the end, its size. */
  fileBytes = 0;
  #hasher = sha256();
  #ended = false;

  private constructor(file: ByteReader, source: ByteSource, wrapper: Wrapper | undefined) {
    this.wrapper = wrapper;
    const stored = this.#watch(file);
    this.content = new ByteReader(wrapper ? wrapper.unpack(source, stored) : stored);
  }

  static async start(source: ByteSource): Promise<Pass> {
    const file = new ByteReader(source);
    const head = await file.peek(WRAPPER_HEAD_BYTES);
    // Reports a file that cannot be read at all.
    if (head.length === 0) await file.take(1);
    const wrapper = wrapperOf(head);
    if (wrapper?.seeks) await file.close();
    return new Pass(file, source, wrapper);
  }

  digest(): string | undefined {
    return this.#ended ? toHex(this.#hasher.digest()) : undefined;
  }

  async *#watch(file: ByteReader): AsyncGenerator<Uint8Array, void> {
    try {
      for (;;) {
        const bytes = await file.takeSome();
        if (bytes.length === 0) break;
        this.fileBytes += bytes.length;
        this.#hasher.update(bytes);
        yield bytes;
      }
      this.#ended = true;
    } finally {
      await file.close();
    }
  }
}
