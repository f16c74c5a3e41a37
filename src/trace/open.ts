import { optionName } from "../request/option-names.js";
import type { ByteSource } from "./bytes.js";
import { TraceError } from "./error.js";
import { parseColumns } from "./importers/columns.js";
import { ImportedSource } from "./importers/imported.js";
import { quoted } from "./importers/lines.js";
import { pageSizesOf } from "./importers/pages.js";
import { importers, type Likeness, PROBE_BYTES, recognise } from "./importers/table.js";
import { TraceInput } from "./input.js";
import { knownOther } from "./known-others.js";
import { HEAD_BODY_MAX, NWT_MAGIC } from "./nwt.js";
import { NwtSource } from "./nwt-reader.js";
import { PGREC1_MAGIC, Pgrec1Source } from "./pgrec1.js";
import type { OpenOptions, TraceSource } from "./source.js";
import { TEXT_MAGIC } from "./tools/text.js";
import { wrapperOf, wrappers } from "./unpack/table.js";

const accepted = () => `${optionName("formats")} lists what can be read`;

/** A format that `openTrace` reads. */
export interface TraceFormat {
  format: string;
  title: string;
  /** How a user knows it. */
  looks: string;
}

/** Every format that `openTrace` reads, plain or compressed. */
export const traceFormats: readonly TraceFormat[] = [
  { format: "nwt", title: "a nestwalk trace", looks: "chunks with checksums, and an index" },
  { format: "pgrec1", title: "a PGREC1 recording", looks: "what the QEMU plugins of recorder/ write" },
  ...importers.map(({ format, title, looks }) => ({ format, title, looks })),
];

/** What compression is taken off. */
export const compressions: readonly string[] = wrappers.map((wrapper) => wrapper.name);

/**
 * Opens a trace, recognised by its content, never by its name. Throws TraceError: "unrecognised" for anything that
 * is not a trace, and the reader's own errors for a damaged header.
 */
export async function openTrace(bytes: ByteSource, options: OpenOptions = {}): Promise<TraceSource> {
  const input = await TraceInput.open(bytes);
  try {
    const source = await open(input, options);
    applyPages(source, options);
    return source;
  } catch (error) {
    await input.close();
    throw error;
  }
}

async function open(input: TraceInput, options: OpenOptions): Promise<TraceSource> {
  let head = await input.peek(PROBE_BYTES);
  // The header of a printed trace is a line, and may be long.
  if (startsWith(head, ascii(TEXT_MAGIC))) head = await input.peek(HEAD_BODY_MAX + 256);
  const { from, columns } = options;
  if (columns !== undefined && from !== undefined && from !== "plain")
    throw new TraceError(
      `${input.name} is to be read as ${from}, and columns are those of plain text; leave out ${optionName("from", from)} or ${optionName("columns")}`,
      { kind: "unsupported" },
    );
  if (from === undefined && columns === undefined) {
    if (startsWith(head, NWT_MAGIC)) return NwtSource.open(input, options);
    if (startsWith(head, ascii(PGREC1_MAGIC))) return Pgrec1Source.open(input, options);
    notForeign(input, head);
  }
  if (from === "nwt") return NwtSource.open(input, options);
  if (from === "pgrec1") return Pgrec1Source.open(input, options);
  const like = chosen(input, from ?? (columns === undefined ? undefined : "plain"), head);
  const [importer] = like.importers;
  if (!importer) throw await unrecognised(input, head);
  const { name } = input;
  const { addresses } = options;
  const source = importer.open(like.head, {
    name,
    addresses: addresses === "physical" ? "guest-physical" : addresses,
    columns: columns === undefined ? undefined : parseColumns(columns),
  });
  await input.rest();
  return new ImportedSource(importer.format, input, source, options);
}

function chosen(input: TraceInput, from: string | undefined, head: Uint8Array): Likeness {
  if (from !== undefined) {
    const importer = importers.find((one) => one.format === from);
    if (importer) return { importers: [importer], head };
    throw new TraceError(`"${from}" is no trace format; ${accepted()}`, { kind: "unsupported" });
  }
  const like = recognise(head, head.length < PROBE_BYTES);
  const [first, second] = like.importers;
  if (second)
    throw new TraceError(
      `${input.name} may be ${first!.title} or ${second.title}, which its first lines do not tell apart; say which with ${optionName("from", first!.format)} or ${optionName("from", second.format)}`,
      { kind: "unrecognised", offset: 0 },
    );
  return like;
}

/** What the user says of pages goes into the header; a trace with page tables of its own knows better. */
function applyPages(source: TraceSource, { pageSizes, placement, addresses }: OpenOptions): void {
  if (pageSizes === undefined && placement === undefined && addresses === undefined) return;
  const { recorded } = source.header;
  if (recorded.tables !== false)
    throw new TraceError(
      `${source.name} has page tables of its own, which decide page sizes and places; leave out ${optionName("v2p")}, ${optionName("page-sizes")} and ${optionName("addresses")}`,
      { kind: "unsupported" },
    );
  if (addresses !== undefined) recorded.addresses = addresses === "physical" ? "guest-physical" : addresses;
  if (placement !== undefined) {
    if (recorded.addresses !== "virtual")
      throw new TraceError(
        `${source.name} holds physical addresses, which a map of virtual ones does not fit; leave out ${optionName("v2p")}`,
        { kind: "unsupported" },
      );
    recorded.placement = placement;
    recorded.pageSizes = pageSizesOf(placement);
  }
  if (pageSizes !== undefined) recorded.pageSizes = pageSizes;
}

/** Throws for files that are known not to be traces. */
function notForeign(input: TraceInput, head: Uint8Array): void {
  const { name, wrapper } = input;
  const again = wrapper && wrapperOf(head);
  if (again)
    throw new TraceError(
      `${name} is compressed twice: inside ${wrapper.name} it holds ${again.name} data; unpack it once with ${wrapper.command}`,
      { kind: "unrecognised", offset: 0 },
    );
  const look = knownOther(head);
  if (!look) return;
  const within = wrapper ? `holds, inside ${wrapper.name},` : "is";
  throw new TraceError(
    `${name} ${within} ${look.what}, not a trace; ${look.advice ? `${look.advice}; ` : ""}${accepted()}`,
    { kind: "unrecognised", offset: 0 },
  );
}

async function unrecognised(input: TraceInput, head: Uint8Array): Promise<TraceError> {
  const { name, wrapper } = input;
  // A compressed file that breaks off in its first bytes is truncated rather than unknown.
  if (head.length < PROBE_BYTES && wrapper) await input.failOnError(head.length + 1);
  const fail = (what: string, advice = accepted()) =>
    new TraceError(`${name} ${what}; ${advice}`, { kind: "unrecognised", offset: 0 });
  if (head.length === 0)
    return fail(
      wrapper ? `is ${wrapper.name} with nothing in it` : "is an empty file",
      "a recording that was cut short leaves one, so record it again",
    );
  for (const magic of [NWT_MAGIC, ascii(PGREC1_MAGIC)]) {
    if (head.length >= magic.length || !startsWith(magic, head)) continue;
    return new TraceError(
      `${name} is truncated: it ends at byte ${head.length}, inside the first bytes of a trace; get the file again`,
      { kind: "truncated", offset: head.length, events: 0 },
    );
  }
  if (startsWith(head, ascii("\x89NWT")) || startsWith(head, ascii("\x09NWT"))) {
    return fail(
      "is a .nwt trace that a text-mode transfer has damaged, at byte 0",
      "transfer it again as binary",
    );
  }
  const within = wrapper ? `holds, inside ${wrapper.name},` : "is";
  const text = asText(head);
  if (startsWith(head, Uint8Array.of(0xff, 0xfe)) || startsWith(head, Uint8Array.of(0xfe, 0xff)))
    return fail("begins as text in UTF-16", "if it is one, write it as UTF-8: iconv -f UTF-16 -t UTF-8");
  if (text === undefined) {
    const bytes = Array.from(head.subarray(0, 4), (byte) => byte.toString(16).padStart(2, "0")).join(" ");
    const where = wrapper ? `the content of its ${wrapper.name} begins` : "it begins";
    return fail(`is not a trace that nestwalk knows: ${where} with the bytes ${bytes}`);
  }
  if (/^\s*[[{]/.test(text)) return fail(`${within} JSON, not a trace`);
  const line = text.split(/\r?\n/).find((one) => one.trim() !== "" && !one.startsWith("#")) ?? "";
  return fail(
    `${within} text, not a trace: no format has lines such as ${quoted(line)}`,
    `${accepted()}; text in columns of its own is read with ${optionName("columns")}, such as ${optionName("columns", "hex,kind,size")}`,
  );
}

function ascii(text: string): Uint8Array {
  return Uint8Array.from(text, (c) => c.charCodeAt(0));
}

function startsWith(bytes: Uint8Array, magic: Uint8Array): boolean {
  return bytes.length >= magic.length && magic.every((byte, i) => bytes[i] === byte);
}

/** The bytes as text, or undefined when they hold control characters or are not UTF-8. */
function asText(bytes: Uint8Array): string | undefined {
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes, { stream: true });
    // biome-ignore lint/suspicious/noControlCharactersInRegex: that is the question
    return /[\0-\x08\x0e-\x1a\x1c-\x1f]/.test(text) ? undefined : text;
  } catch {
    return undefined;
  }
}
