import { stat } from "node:fs/promises";
import { checkWritable, writeFileAtomic } from "../node/files.js";
import { checkFolder } from "../node/folders.js";
import { FailureError, type Io, UsageError } from "./io.js";

/** Result as JSON, the same bytes for the same result. */
export function jsonText(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}

/** Writes JSON to a file (whole or not at all), or to stdout for "-". */
export async function writeJson(io: Io, to: string, value: unknown): Promise<void> {
  if (to === "-") io.stdout.write(jsonText(value));
  else await writeFile(to, [new TextEncoder().encode(jsonText(value))]);
}

/** Throws FailureError for a file that cannot be written, before the work that it is to hold. */
export async function mustBeWritable(path: string): Promise<void> {
  await checkWritable(path).catch((error) => Promise.reject(unwritable(path, error)));
}

/** The same for a folder that files are to be written to; `option` names it. */
export async function mustBeFolder(path: string, option: string): Promise<void> {
  const there = await stat(path).catch(() => undefined);
  if (there !== undefined && !there.isDirectory())
    throw new FailureError(`${path} is a file, and ${option} needs a folder; name another`);
  await checkFolder(path).catch((error) => Promise.reject(noFolder(path, error)));
}

/** The same in a sentence, for what a folder or a file in it could not be written for. */
export function noFolder(path: string, error: unknown): unknown {
  const { code, syscall } = error as NodeJS.ErrnoException;
  if (code === undefined || syscall === undefined) return error;
  return new FailureError(`${path} cannot be written to (${whyNot(code)})`);
}

/** Throws UsageError for a file that is to be read and written. */
export async function mustNotBeInput(output: string, inputs: readonly string[]): Promise<void> {
  const there = await stat(output).catch(() => undefined);
  if (!there?.isFile()) return;
  for (const input of inputs) {
    const read = await stat(input).catch(() => undefined);
    if (read?.dev === there.dev && read.ino === there.ino)
      throw new UsageError(
        `${output} is the trace that is read, and would be lost; name another file for the output`,
      );
  }
}

/** Writes a file whole or not at all. Throws FailureError in a sentence. */
export async function writeFile(
  path: string,
  parts: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): Promise<number> {
  try {
    return await writeFileAtomic(path, parts);
  } catch (error) {
    throw unwritable(path, error);
  }
}

function unwritable(path: string, error: unknown): unknown {
  const { code, syscall } = error as NodeJS.ErrnoException;
  if (code === undefined || syscall === undefined) return error;
  return new FailureError(`${path} cannot be written (${whyNot(code)}); nothing was left behind`);
}

/** Why something could not be written, by the system's code. */
export function whyNot(code: string): string {
  return (Object.hasOwn(REASONS, code) ? REASONS[code] : undefined) ?? code;
}

const REASONS: Record<string, string> = {
  ENOENT: "its folder does not exist",
  ENOTDIR: "part of its path is a file",
  EACCES: "its folder may not be written to",
  EPERM: "it may not be written",
  EROFS: "the file system is read-only",
  EISDIR: "it is a folder",
  ENOSPC: "the disk is full",
  EDQUOT: "the disk quota is used up",
  EFBIG: "it would be larger than a file may be",
  EIO: "the device failed",
  ELOOP: "it is a symbolic link that leads back to itself",
  ENAMETOOLONG: "its name is too long",
  EPIPE: "its reader has gone away",
};
