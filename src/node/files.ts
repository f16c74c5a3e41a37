import { constants, fstatSync, openSync, rmSync } from "node:fs";
import { access, type FileHandle, open, readlink, rename, rm, stat } from "node:fs/promises";
import { Socket } from "node:net";
import { basename, dirname, resolve } from "node:path";
import { pipeline } from "node:stream/promises";
import { setTimeout as wait } from "node:timers/promises";
import { type ByteSource, bytesOfStream } from "../trace/bytes.js";
import { TraceError } from "../trace/error.js";

const SLICE_BYTES = 1 << 18;
const STDIN = "standard input";

/**
 * A file as a source of bytes; "-" is standard input. What is no regular file (a pipe, a device) is read once.
 * Throws TraceError ("unreadable") for a missing file, a directory, a file without permission, and an empty file.
 */
export async function openFile(path: string): Promise<ByteSource> {
  if (path === "-") return openStdin();
  if (path === "")
    throw new TraceError("the path of the trace is empty; name a file, or - for standard input", {
      kind: "unreadable",
    });
  const info = await stat(path).catch((error) => Promise.reject(unreadable(path, error)));
  if (info.isDirectory()) throw unreadable(path, { code: "EISDIR" });
  if (info.isFIFO()) return bytesOfStream(path, readable(path, openPipe(path)));
  // Opened now, so that a missing right is reported before any work is done.
  const file = await openForReading(path);
  if (!info.isFile()) return bytesOfStream(path, slices(path, file));
  await file.close();
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

function openStdin(): ByteSource {
  try {
    if (fstatSync(0).isDirectory()) throw Object.assign(new Error(), { code: "EISDIR" });
    return bytesOfStream(STDIN, readable(STDIN, process.stdin));
  } catch (error) {
    throw unreadable(STDIN, error as NodeJS.ErrnoException);
  }
}

/** A pipe by name. Without O_NONBLOCK, waiting for its writer would hold a thread that no signal reaches. */
function openPipe(path: string): Socket {
  try {
    const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    return new Socket({ fd, readable: true, writable: false });
  } catch (error) {
    throw unreadable(path, error as NodeJS.ErrnoException);
  }
}

async function* readable(name: string, stream: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void> {
  try {
    yield* stream;
  } catch (error) {
    throw (error as NodeJS.ErrnoException).code ? unreadable(name, error as NodeJS.ErrnoException) : error;
  }
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

async function* slices(path: string, opened?: FileHandle): AsyncGenerator<Uint8Array, void> {
  const file = opened ?? (await openForReading(path));
  try {
    for (;;) {
      // Not from the pool, and not cleared: it is filled or cut.
      const bytes = new Uint8Array(Buffer.allocUnsafeSlow(SLICE_BYTES).buffer);
      const { bytesRead } = await file
        .read(bytes, 0, SLICE_BYTES, null)
        .catch((error) => Promise.reject(unreadable(path, error)));
      if (bytesRead === 0) return;
      yield bytes.subarray(0, bytesRead);
    }
  } finally {
    await file.close();
  }
}

const REASONS: Record<string, string> = {
  ENOENT: "does not exist; check the path",
  ENAMETOOLONG: "is longer than a file's name may be; check the path",
  ELOOP: "is a symbolic link that leads back to itself; check the path",
  ENOTDIR: "does not exist, as part of its path is a file; check the path",
  EISDIR: "is a directory; name a trace file in it",
  EACCES: "may not be read; check its permissions",
  EPERM: "may not be read; check its permissions",
};

function unreadable(path: string, error: { code?: string | undefined; message?: string }): TraceError {
  const { code = "" } = error;
  const reason =
    (Object.hasOwn(REASONS, code) ? REASONS[code] : undefined) ??
    `cannot be read (${error.message ?? error.code}); try again`;
  return new TraceError(`${path} ${reason}`, { kind: "unreadable" });
}

/** Files being written under a temporary name. */
const unfinished = new Set<string>();

/** Removes what is half written, when the process must end at once. */
export function removeUnfinished(): void {
  for (const path of unfinished) rmSync(path, { force: true });
}

function fault(code: string, path: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${code}: ${path}`), { code, syscall: "open", path });
}

interface Target {
  /** Where the bytes go: links followed. */
  path: string;
  kind: "file" | "pipe" | "device";
  /** Permissions of the file that is there. */
  mode: number | undefined;
}

const MOST_LINKS = 40;

/** Where a path leads. Throws an error with a code for a place that cannot be written to. */
async function targetOf(named: string): Promise<Target> {
  if (named === "") throw fault("ENOENT", named);
  let path = named;
  for (let links = 0; links <= MOST_LINKS; links++) {
    const info = await stat(path).catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return undefined;
      throw error;
    });
    // What the process has open by number (/dev/stdout) is written to where it stands.
    if (info?.isFile() && /^\/(dev|proc)\//.test(path)) return { path, kind: "device", mode: undefined };
    const link = await readlink(path).catch(() => undefined);
    if (link !== undefined && (info === undefined || info.isFile())) {
      path = resolve(dirname(path), link);
      continue;
    }
    if (info === undefined) {
      if (/[/\\]$/.test(path)) throw fault("EISDIR", path);
      await access(dirname(path), constants.W_OK | constants.X_OK);
      if (!(await stat(dirname(path))).isDirectory()) throw fault("ENOTDIR", path);
      return { path, kind: "file", mode: undefined };
    }
    if (info.isDirectory()) throw fault("EISDIR", path);
    await access(path, constants.W_OK).catch((error: NodeJS.ErrnoException) => {
      throw error.code === "EACCES" ? fault("EPERM", path) : error;
    });
    if (!info.isFile()) return { path, kind: info.isFIFO() ? "pipe" : "device", mode: undefined };
    await access(dirname(path), constants.W_OK | constants.X_OK);
    return { path, kind: "file", mode: info.mode & 0o7777 };
  }
  throw fault("ELOOP", named);
}

/** Throws, before any work is done, what `writeFileAtomic` would throw for a path that cannot be written. */
export async function checkWritable(path: string): Promise<void> {
  await targetOf(path);
}

/**
 * Writes a file whole or not at all: to a temporary name beside it, then renamed over it. Returns the bytes written.
 * When `parts` throws, nothing is left behind and a file that was there before stays. A link is followed, an existing
 * file keeps its permissions, and what is no regular file (a device, a pipe) is written to as it is.
 */
export async function writeFileAtomic(
  named: string,
  parts: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): Promise<number> {
  const { path, kind, mode } = await targetOf(named);
  if (kind === "pipe") return writePipe(path, parts);
  if (kind === "device") {
    const file = await open(path, "w");
    return writeParts(file, parts).finally(() => file.close());
  }
  const name = `${basename(path).slice(0, 40)}.${process.pid}.${Math.random().toString(36).slice(2, 8)}.tmp`;
  const temporary = resolve(dirname(path), name);
  unfinished.add(temporary);
  try {
    const file = await open(temporary, "wx");
    let written: number;
    try {
      if (mode !== undefined) await file.chmod(mode);
      written = await writeParts(file, parts);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
    return written;
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  } finally {
    unfinished.delete(temporary);
  }
}

async function writeParts(
  file: FileHandle,
  parts: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): Promise<number> {
  let written = 0;
  for await (const part of parts) {
    await file.writeFile(part);
    written += part.length;
  }
  return written;
}

const PIPE_POLL_MS = 50;

/** Waits for the pipe's reader without holding a thread, then writes. */
async function writePipe(
  path: string,
  parts: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): Promise<number> {
  let fd: number | undefined;
  while (fd === undefined) {
    try {
      fd = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENXIO") throw error;
      await wait(PIPE_POLL_MS);
    }
  }
  let written = 0;
  async function* counted(): AsyncGenerator<Uint8Array, void> {
    for await (const part of parts) {
      if (part.length > 0) yield part;
      written += part.length;
    }
  }
  await pipeline(counted, new Socket({ fd, readable: false, writable: true }));
  return written;
}
