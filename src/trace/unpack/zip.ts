import type { ByteSource } from "../bytes.js";
import { TraceError } from "../error.js";
import { InflateError, Inflater } from "../inflate.js";
import { crc32, nodeZlib } from "../platform.js";
import { corruptPacked, STEP, truncatedPacked } from "./drive.js";

/**
 * A zip archive (PKWARE APPNOTE 6.3.10): stored and deflated members, zip64; no encryption. The members are unpacked by
 * node:zlib or pako. The directory is read here: fflate's Unzip reads front to back and trusts local headers, yauzl and its
 * kin need Node, and zip.js brings decoders and workers of its own, and errors without an offset.
 */

const END_BYTES = 22;
const COMMENT_MAX = 0xffff;
const DIRECTORY_MAX = 64 << 20;

interface Member {
  name: string;
  method: number;
  flags: number;
  crc: number;
  packed: number;
  size: number;
  /** Offset of the local header. */
  offset: number;
}

/**
 * The content of the archive: of its only member, or of the members `chunk.0000`, `chunk.0001` ... of a drmemtrace
 * recording, one after the other in the order of the directory.
 */
export async function* unzip(source: ByteSource): AsyncGenerator<Uint8Array, void> {
  const { name } = source;
  const members = choose(name, await directory(source));
  for (const member of members) {
    const where = members.length > 1 ? ` of ${member.name}` : "";
    if (member.flags & 1)
      throw new TraceError(`${name} is an encrypted zip archive; unpack it with unzip`, {
        kind: "unsupported",
        offset: member.offset,
      });
    if (member.method !== 0 && member.method !== 8)
      throw new TraceError(
        `${name} is packed by zip method ${member.method}${where}, and only 0 (stored) and 8 (deflated) are known; unpack it with unzip`,
        { kind: "unsupported", offset: member.offset },
      );
    const local = await readExactly(source, member.offset, 30);
    if (word(local, 0) !== 0x0403_4b50)
      throw corruptPacked(name, "zip", member.offset, `no member header${where}`);
    const start = member.offset + 30 + half(local, 26) + half(local, 28);
    const stored = slices(source, start, member.packed);
    let crc = 0;
    let size = 0;
    for await (const bytes of member.method === 0 ? stored : inflate(name, stored, start)) {
      crc = crc32(bytes, crc);
      size += bytes.length;
      if (size > member.size) break;
      yield bytes;
    }
    if (size !== member.size || crc !== member.crc)
      throw corruptPacked(name, "zip", start, `incorrect data check${where}`);
  }
}

function choose(name: string, members: readonly Member[]): Member[] {
  const files = members.filter((member) => !member.name.endsWith("/"));
  const chunks = files.filter((member) => /(^|\/)chunk\.\d+$/.test(member.name));
  if (chunks.length > 0) return chunks;
  if (files.length === 1) return files;
  const fail = (what: string) =>
    new TraceError(`${name} is a zip archive ${what}`, { kind: "unrecognised", offset: 0 });
  if (files.length === 0) throw fail("with nothing in it; get the file again");
  const list = files
    .slice(0, 3)
    .map((member) => member.name.replace(/[^\x20-\x7e]/g, "?").slice(0, 60))
    .join(", ");
  throw fail(
    `of ${files.length} files (${list}${files.length > 3 ? ", ..." : ""}); unpack it with unzip and name the one that is the trace`,
  );
}

async function directory(source: ByteSource): Promise<Member[]> {
  const { name, size } = source;
  if (!source.read || size === undefined || source.once)
    throw new TraceError(
      `${name} is a zip archive in a pipe, and a zip archive is read from its end; save it to a file`,
      { kind: "unreadable", offset: 0 },
    );
  const tailBytes = Math.min(size, END_BYTES + COMMENT_MAX);
  const tail = await readExactly(source, size - tailBytes, tailBytes);
  let at = tail.length - END_BYTES;
  while (at >= 0 && word(tail, at) !== 0x0605_4b50) at--;
  if (at < 0) throw truncatedPacked(name, "zip", size);
  const end = size - tailBytes + at;
  let count = half(tail, at + 10);
  let bytes = word(tail, at + 12);
  let offset = word(tail, at + 16);
  if ((count === 0xffff || bytes === 0xffff_ffff || offset === 0xffff_ffff) && at >= 20) {
    if (word(tail, at - 20) === 0x0706_4b50) {
      const record = await readExactly(source, long(tail, at - 12), 56);
      if (word(record, 0) !== 0x0606_4b50) throw corruptPacked(name, "zip", end, "no zip64 record");
      count = long(record, 32);
      bytes = long(record, 40);
      offset = long(record, 48);
    }
  }
  if (bytes > DIRECTORY_MAX || offset + bytes > end)
    throw corruptPacked(name, "zip", end, "the directory lies elsewhere");
  const raw = await readExactly(source, offset, bytes);
  const members: Member[] = [];
  let next = 0;
  for (let i = 0; i < count; i++) {
    if (next + 46 > raw.length || word(raw, next) !== 0x0201_4b50)
      throw corruptPacked(name, "zip", offset + next, "directory entry");
    const nameBytes = half(raw, next + 28);
    const extraBytes = half(raw, next + 30);
    const length = 46 + nameBytes + extraBytes + half(raw, next + 32);
    if (next + length > raw.length) throw corruptPacked(name, "zip", offset + next, "directory entry");
    const member: Member = {
      name: new TextDecoder().decode(raw.subarray(next + 46, next + 46 + nameBytes)),
      flags: half(raw, next + 8),
      method: half(raw, next + 10),
      crc: word(raw, next + 16),
      packed: word(raw, next + 20),
      size: word(raw, next + 24),
      offset: word(raw, next + 42),
    };
    widen(member, raw.subarray(next + 46 + nameBytes, next + 46 + nameBytes + extraBytes));
    members.push(member);
    next += length;
  }
  return members;
}

/** Takes the 64-bit fields of the zip64 extra field. */
function widen(member: Member, extra: Uint8Array): void {
  for (let at = 0; at + 4 <= extra.length; at += 4 + half(extra, at + 2)) {
    if (half(extra, at) !== 1) continue;
    const end = Math.min(extra.length, at + 4 + half(extra, at + 2));
    let next = at + 4;
    for (const field of ["size", "packed", "offset"] as const) {
      if (member[field] !== 0xffff_ffff || next + 8 > end) continue;
      member[field] = long(extra, next);
      next += 8;
    }
  }
}

async function* slices(source: ByteSource, start: number, length: number): AsyncGenerator<Uint8Array, void> {
  for (let at = 0; at < length; at += 1 << 20)
    yield await readExactly(source, start + at, Math.min(1 << 20, length - at));
}

async function readExactly(source: ByteSource, offset: number, length: number): Promise<Uint8Array> {
  const { name, size } = source;
  const inside = Number.isSafeInteger(offset) && offset >= 0 && offset + length <= size!;
  const bytes = inside ? await source.read!(offset, length) : undefined;
  if (bytes?.length !== length)
    throw corruptPacked(name, "zip", Math.min(offset, size!), "a part lies past the end of the file");
  return bytes;
}

async function* inflate(
  name: string,
  packed: AsyncIterable<Uint8Array>,
  start: number,
): AsyncGenerator<Uint8Array, void> {
  const native = nodeZlib;
  if (!native) {
    const inflater = new Inflater();
    const ready: Uint8Array[] = [];
    for await (const slice of packed) {
      for (let at = 0; at < slice.length && !inflater.done; at += 1 << 12) {
        try {
          inflater.push(slice.subarray(at, at + (1 << 12)), (bytes) => ready.push(bytes));
        } catch (error) {
          if (!(error instanceof InflateError)) throw error;
          throw corruptPacked(name, "zip", start + error.offset, error.message);
        }
        yield* ready.splice(0);
      }
    }
    if (!inflater.done) throw corruptPacked(name, "zip", start, "a member ends early");
    return;
  }
  const stream = native.createInflateRaw({ chunkSize: 1 << 18 });
  const ready: Uint8Array[] = [];
  let failure: Error | undefined;
  let ended = false;
  let wake = () => {};
  stream.on("data", (bytes: Uint8Array) => ready.push(bytes));
  stream.on("end", () => {
    ended = true;
  });
  stream.on("error", (error) => {
    failure = error;
  });
  stream.on("close", () => wake());
  const check = () => {
    if (failure) throw corruptPacked(name, "zip", start + stream.bytesWritten, failure.message);
  };
  // The next step is unpacked, on another thread, while the output of the last one is in use.
  let step: Promise<void> | undefined;
  try {
    for await (const slice of packed) {
      for (let at = 0; at < slice.length && !ended; at += STEP) {
        await step;
        const output = ready.splice(0);
        check();
        const part = slice.subarray(at, at + STEP);
        step = new Promise((resolve) => {
          wake = resolve;
          stream.write(part, () => resolve());
        });
        yield* output;
      }
    }
    await step;
    yield* ready.splice(0);
    check();
    if (!ended) {
      await new Promise<void>((resolve) => {
        wake = resolve;
        stream.once("end", resolve);
        stream.end();
      });
    }
    yield* ready.splice(0);
    check();
  } finally {
    stream.destroy();
  }
}

function half(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8);
}

function word(bytes: Uint8Array, at: number): number {
  return (half(bytes, at) | (half(bytes, at + 2) << 16)) >>> 0;
}

function long(bytes: Uint8Array, at: number): number {
  return word(bytes, at) + word(bytes, at + 4) * 0x1_0000_0000;
}
