import { type FileHandle, open, rename, rm, stat } from "node:fs/promises";
import { type ByteSource, bytesOfStream } from "../trace/bytes.js";
import { TraceError } from "../trace/error.js";

const SLICE_BYTES = 1 << 18;

/**
 * A file as a source of bytes; "-" is standard input.
 * Throws TraceError ("unreadable") for a missing file, a directory, a file without permission, and an empty file.
 */
export async function openFile(path: string): Promise<ByteSource> {
  if (path === "-") return bytesOfStream("standard input", process.stdin);
  const info = await stat(path).catch((error) => Promise.reject(unreadable(path, error)));
  if (info.isDirectory()) throw unreadable(path, { code: "EISDIR" });
  // Opened now, so that a missing right is reported before any work is done.
  await (await openForReading(path)).close();
  if (!info.isFile()) return { ...bytesOfStream(path, slices(path)) };
  if (info.size === 0) {
    throw new TraceError(
      `${path} is an empty file; a recording that was cut short leaves one, so record it again`,
      {
        kind: "unreadable",
        offset: 0,
      },
    );
  }
  return {
    name: path,
    size: info.size,
    [Symbol.asyncIterator]: () => slices(path),
    async read(offset, length) {
      const file = await openForReading(path);
      try {
        return await fill(file, offset, length);
      } finally {
        await file.close();
      }
    },
  };
}

async function openForReading(path: string): Promise<FileHandle> {
  return open(path, "r").catch((error) => Promise.reject(unreadable(path, error)));
}

async function fill(file: FileHandle, offset: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  let have = 0;
  while (have < length) {
    const { bytesRead } = await file.read(bytes, have, length - have, offset + have);
    if (bytesRead === 0) break;
    have += bytesRead;
  }
  return bytes.subarray(0, have);
}

async function* slices(path: string): AsyncGenerator<Uint8Array, void> {
  const file = await openForReading(path);
  try {
    for (;;) {
      // Not from the pool, and not cleared: it is filled or cut.
      const bytes = new Uint8Array(Buffer.allocUnsafeSlow(SLICE_BYTES).buffer);
      const { bytesRead } = await file.read(bytes, 0, SLICE_BYTES, null);
      if (bytesRead === 0) return;
      yield bytes.subarray(0, bytesRead);
    }
  } finally {
    await file.close();
  }
}

const REASONS: Record<string, string> = {
  ENOENT: "does not exist; check the path",
  ENOTDIR: "does not exist, as part of its path is a file; check the path",
  EISDIR: "is a directory; name a trace file in it",
  EACCES: "may not be read; check its permissions",
  EPERM: "may not be read; check its permissions",
};

function unreadable(path: string, error: { code?: string; message?: string }): TraceError {
  const reason = REASONS[error.code ?? ""] ?? `cannot be read (${error.message ?? error.code}); try again`;
  return new TraceError(`${path} ${reason}`, { kind: "unreadable" });
}

/**
 * Writes a file whole or not at all: to a temporary name beside it, then renamed over it. Returns the bytes written.
 * When `parts` throws, nothing is left behind and a file that was there before stays.
 */
export async function writeFileAtomic(
  path: string,
  parts: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): Promise<number> {
  const temporary = `${path}.${process.pid}.${Math.random().toString(36).slice(2, 8)}.tmp`;
  let written = 0;
  try {
    const file = await open(temporary, "wx");
    try {
      for await (const part of parts) {
        await file.writeFile(part);
        written += part.length;
      }
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  return written;
}
