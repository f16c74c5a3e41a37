import type { ByteSource } from "./bytes.js";
import { TraceError } from "./error.js";
import { TraceInput } from "./input.js";
import { NWT_MAGIC } from "./nwt.js";
import { NwtSource } from "./nwt-reader.js";
import { PGREC1_MAGIC, Pgrec1Source } from "./pgrec1.js";
import type { OpenOptions, TraceSource } from "./source.js";

const ACCEPTED = "accepted are .nwt and PGREC1 traces, plain or gzip-compressed";

/**
 * Opens a trace, recognised by its content, never by its name. Throws TraceError: "unrecognised" for anything that
 * is not a trace, and the reader's own errors for a damaged header.
 */
export async function openTrace(bytes: ByteSource, options: OpenOptions = {}): Promise<TraceSource> {
  const input = await TraceInput.open(bytes);
  try {
    const head = await input.peek(512);
    if (startsWith(head, NWT_MAGIC)) return await NwtSource.open(input, options);
    if (startsWith(head, ascii(PGREC1_MAGIC))) return await Pgrec1Source.open(input, options);
    throw await unrecognised(input, head);
  } catch (error) {
    await input.close();
    throw error;
  }
}

async function unrecognised(input: TraceInput, head: Uint8Array): Promise<TraceError> {
  const { name } = input;
  // A gzip file that breaks off before its first byte of content is truncated rather than unknown.
  if (head.length === 0 && input.gzipped) await input.failOnError();
  const fail = (what: string, advice = ACCEPTED) =>
    new TraceError(`${name} ${what}; ${advice}`, { kind: "unrecognised", offset: 0 });
  if (head.length === 0) return fail(input.gzipped ? "is gzip with nothing in it" : "is an empty file");
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
  const look = LOOKS.find(({ at, magic }) => startsWith(head.subarray(at), magic));
  const within = input.gzipped ? "holds, inside gzip," : "is";
  if (look)
    return fail(
      `${within} ${look.what}, not a trace`,
      look.advice ? `${look.advice}; ${ACCEPTED}` : ACCEPTED,
    );
  const text = asText(head);
  if (text === undefined) {
    const bytes = Array.from(head.subarray(0, 4), (byte) => byte.toString(16).padStart(2, "0")).join(" ");
    const where = input.gzipped ? "the content of its gzip begins" : "it begins";
    return fail(`is not a trace that nestwalk knows: ${where} with the bytes ${bytes}`);
  }
  const json = /^\s*[[{]/.test(text);
  return fail(`${within} ${json ? "JSON" : "text"}, not a trace`);
}

const LOOKS: readonly { at: number; magic: Uint8Array; what: string; advice?: string }[] = [
  { at: 0, magic: Uint8Array.of(0x7f, 0x45, 0x4c, 0x46), what: "an ELF program" },
  { at: 0, magic: Uint8Array.of(0, 0x61, 0x73, 0x6d), what: "a WebAssembly module" },
  { at: 0, magic: ascii("PK\x03\x04"), what: "a zip archive", advice: "unpack it with unzip" },
  { at: 0, magic: ascii("PK\x05\x06"), what: "an empty zip archive" },
  { at: 0, magic: ascii("\xfd7zXZ\0"), what: "xz-compressed data", advice: "unpack it with xz -d" },
  { at: 0, magic: ascii("\x28\xb5\x2f\xfd"), what: "zstd-compressed data", advice: "unpack it with zstd -d" },
  { at: 0, magic: ascii("BZh"), what: "bzip2-compressed data", advice: "unpack it with bunzip2" },
  { at: 0, magic: ascii("\x04\x22\x4d\x18"), what: "lz4-compressed data", advice: "unpack it with lz4 -d" },
  { at: 0, magic: ascii("7z\xbc\xaf\x27\x1c"), what: "a 7z archive", advice: "unpack it with 7z x" },
  {
    at: 0,
    magic: Uint8Array.of(0x1f, 0x8b),
    what: "gzip-compressed data again",
    advice: "unpack it once with gunzip",
  },
  { at: 257, magic: ascii("ustar"), what: "a tar archive", advice: "unpack it with tar -x" },
  { at: 0, magic: ascii("PGREC"), what: "a PGREC recording of another version" },
  { at: 0, magic: ascii("%PDF"), what: "a PDF document" },
  { at: 0, magic: ascii("\x89PNG"), what: "a PNG image" },
];

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
