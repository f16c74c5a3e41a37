import { writeFileAtomic } from "../node/files.js";
import { FailureError, type Io } from "./io.js";

/** Result as JSON, the same bytes for the same result. */
export function jsonText(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}

/** Writes JSON to a file (whole or not at all), or to stdout for "-". */
export async function writeJson(io: Io, to: string, value: unknown): Promise<void> {
  if (to === "-") io.stdout.write(jsonText(value));
  else await writeFile(to, [new TextEncoder().encode(jsonText(value))]);
}

/** Writes a file whole or not at all. Throws FailureError in a sentence. */
export async function writeFile(
  path: string,
  parts: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): Promise<number> {
  try {
    return await writeFileAtomic(path, parts);
  } catch (error) {
    const { code, syscall } = error as NodeJS.ErrnoException;
    if (code === undefined || syscall === undefined) throw error;
    throw new FailureError(`${path} cannot be written (${REASONS[code] ?? code}); nothing was left behind`);
  }
}

const REASONS: Record<string, string> = {
  ENOENT: "its folder does not exist",
  ENOTDIR: "part of its path is a file",
  EACCES: "its folder may not be written to",
  EPERM: "it may not be written",
  EROFS: "the file system is read-only",
  EISDIR: "it is a folder",
  ENOSPC: "the disk is full",
};
