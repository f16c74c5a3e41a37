import { concatBytes } from "./bytes.js";
import { TraceError } from "./error.js";
import { USER_MISSING } from "./importers/importer.js";
import type { TraceInput } from "./input.js";
import { RecordScanner } from "./records.js";
import type { OpenOptions, Recorded, TraceHeader, TraceSource, Truncation } from "./source.js";

export const PGREC1_MAGIC = "PGREC1 ";
const HEADER_LINE_MAX = 1 << 16;

/** A PGREC1 recording: a line of text, then the record stream. */
export class Pgrec1Source implements TraceSource {
  readonly format = "pgrec1";
  readonly name: string;
  truncated: Truncation | undefined;

  private constructor(
    readonly header: TraceHeader,
    private readonly input: TraceInput,
    private readonly options: OpenOptions,
    private readonly firstRecord: number,
  ) {
    this.name = input.name;
  }

  static async open(input: TraceInput, options: OpenOptions): Promise<Pgrec1Source> {
    const { name } = input;
    const line = await input.peek(HEADER_LINE_MAX);
    const end = line.indexOf(10);
    if (end < 0) {
      const [kind, what] =
        line.length < HEADER_LINE_MAX
          ? ([
              "truncated",
              `it ends at byte ${line.length}, inside its header line; get the file again`,
            ] as const)
          : (["corrupt", "its header line does not end within 64 KiB; record the trace again"] as const);
      throw new TraceError(`${name} is ${kind}: ${what}`, { kind, offset: line.length, events: 0 });
    }
    let json: unknown;
    try {
      json = JSON.parse(
        new TextDecoder("utf-8", { fatal: true }).decode(line.subarray(PGREC1_MAGIC.length, end)),
      );
    } catch {
      json = undefined;
    }
    if (typeof json !== "object" || json === null || Array.isArray(json)) {
      throw new TraceError(
        `${name} is corrupt: no JSON object follows "PGREC1 " at byte ${PGREC1_MAGIC.length}; record the trace again`,
        { kind: "corrupt", offset: PGREC1_MAGIC.length, events: 0 },
      );
    }
    const header = translate(json as Record<string, unknown>);
    if (!header) {
      throw new TraceError(
        `${name} has an unknown fetch mode in its header line, at byte ${PGREC1_MAGIC.length}; "insn" and "page" are known`,
        { kind: "unsupported", offset: PGREC1_MAGIC.length, events: 0 },
      );
    }
    await input.rest();
    return new Pgrec1Source(header, input, options, end + 1);
  }

  /** Slices that end at record boundaries. Every record is validated before it is given. */
  async *records(): AsyncGenerator<Uint8Array, void> {
    this.truncated = undefined;
    const { name, wrapper } = this.input;
    const pass = await this.input.content();
    const scanner = new RecordScanner({
      name,
      fetch: this.header.fetch,
      fileOffset: wrapper ? undefined : this.firstRecord,
    });
    let cut: number | undefined;
    try {
      await pass.content.take(this.firstRecord);
      let held: Uint8Array = new Uint8Array(0);
      for (;;) {
        let slice: Uint8Array;
        try {
          slice = await pass.content.takeSome();
        } catch (error) {
          if (!(error instanceof TraceError) || error.kind !== "truncated") throw error;
          cut = error.offset;
          break;
        }
        if (slice.length === 0) break;
        const bytes = concatBytes(held, slice);
        const whole = scanner.scan(bytes);
        if (whole > 0) yield bytes.subarray(0, whole);
        held = bytes.slice(whole);
      }
      const end = cut ?? pass.fileBytes;
      const allowed = this.options.allowTruncated === true;
      // A stream that is whole in a gzip wrapper that is not: its checksum is missing.
      if (!scanner.ended || cut !== undefined) {
        if (!allowed) throw scanner.truncated(end);
        this.truncated = { offset: end, events: scanner.events };
      }
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
}

/** The header line in the words of TraceHeader; undefined for a fetch mode that is not known. */
function translate(json: Record<string, unknown>): TraceHeader | undefined {
  const fetch = json.fetch ?? "insn";
  if (fetch !== "insn" && fetch !== "page") return undefined;
  const recorded: Recorded = {};
  if (typeof json.meta === "string" && json.meta !== "") recorded.guest = json.meta;
  if (typeof json.source === "string") recorded.recorder = json.source;
  if (typeof json.ram_mb === "number") recorded.ramMiB = json.ram_mb;
  const registers: Record<string, string> = {};
  for (const name of ["cr0", "cr3", "cr4", "efer"]) {
    const value = json[name];
    if (typeof value === "string" && /^[0-9a-f]{1,16}$/i.test(value))
      registers[name] = `0x${value.toLowerCase()}`;
  }
  if (Object.keys(registers).length > 0) recorded.registers = registers;
  const missing = [];
  if (json.user === 1) {
    missing.push(...USER_MISSING);
    Object.assign(recorded, { tables: false, addresses: "virtual", pageSizes: "4k" });
  }
  if (fetch === "page") missing.push("the order of fetches within a page");
  if (missing.length > 0) recorded.missing = missing;
  recorded.source = { format: "PGREC1", header: json };
  return { version: 1, fetch, recorded };
}
