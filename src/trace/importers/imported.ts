import { optionName } from "../../request/option-names.js";
import type { ByteReader } from "../bytes.js";
import type { RecordEncoder } from "../encode.js";
import { TraceError } from "../error.js";
import type { TraceInput } from "../input.js";
import type { OpenOptions, TraceHeader, TraceSource, Truncation } from "../source.js";
import type { Import } from "./importer.js";
import { RecordOut } from "./out.js";

/** Content given to a decoder at a time. */
const STEP = 1 << 18;

/** Most content that is read on after a record that makes no sense. */
const READ_ON = 1 << 25;

/** Throws what is wrong with the compressed data around the content, if its checks show it soon. */
async function damageAfter(content: ByteReader): Promise<undefined> {
  for (let left = READ_ON; left > 0; ) {
    const { length } = await content.takeSome();
    if (length === 0) return;
    left -= length;
  }
}

/** A foreign trace, read as a record stream. */
export class ImportedSource implements TraceSource {
  readonly name: string;
  readonly header: TraceHeader;
  truncated: Truncation | undefined;

  constructor(
    readonly format: string,
    private readonly input: TraceInput,
    private readonly source: Import,
    private readonly options: OpenOptions,
  ) {
    this.name = input.name;
    const { version, fetch = "insn", recorded } = source;
    this.header = { version, fetch, recorded };
  }

  /** Slices that end at record boundaries. */
  async *records(): AsyncGenerator<Uint8Array, void> {
    this.truncated = undefined;
    const pass = await this.input.content();
    const own = new RecordOut();
    const decoder = this.source.start(own);
    const out: RecordOut | RecordEncoder = decoder.encoder ?? own;
    try {
      let failure: unknown;
      try {
        for (;;) {
          const slice = await pass.content.takeSome();
          if (slice.length === 0) break;
          for (let at = 0; at < slice.length; at += STEP) {
            decoder.push(slice.subarray(at, at + STEP));
            if (out.length > STEP) yield out.take();
          }
        }
        decoder.end();
        if (out === own && out.fetches + out.reads + out.writes === 0) throw this.#nothing();
      } catch (error) {
        failure = error;
      }
      if (failure instanceof TraceError && failure.kind === "corrupt" && this.input.wrapper)
        failure = (await damageAfter(pass.content).catch((damage) => damage)) ?? failure;
      if (failure === undefined) out.end();
      if (out.length > 0) yield out.take();
      if (failure instanceof TraceError) {
        const { kind, offset, message } = failure;
        if (kind !== "truncated" || !this.options.allowTruncated)
          throw new TraceError(message, { kind, offset, events: out.events });
        this.truncated = { offset: offset ?? pass.fileBytes, events: out.events };
      } else if (failure) throw failure;
    } finally {
      await pass.content.close();
      this.input.passed(pass);
    }
  }

  readShare(): number | undefined {
    return this.input.share;
  }

  sha256(): Promise<string> {
    return this.input.sha256();
  }

  #nothing(): TraceError {
    return new TraceError(
      `${this.name} holds no memory access in ${this.format} format; check that the recording worked, or state the format with ${optionName("from")}`,
      { kind: "corrupt", offset: 0 },
    );
  }
}
