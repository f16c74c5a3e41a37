import { constants } from "node:fs";
import { access, mkdir, stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";

/** Makes a folder, and those that it lies in. (Node's own `recursive` never ends where nothing can be made, as below /proc.) */
export async function makeFolder(path: string): Promise<void> {
  const kind = await kindOf(path);
  if (kind === "folder") return;
  const parent = dirname(resolve(path));
  if (kind === undefined && (await kindOf(parent)) === undefined) await makeFolder(parent);
  await mkdir(path);
}

/** Throws, before any work is done, what `makeFolder`, or a file written into the folder, would throw as far as can be told. */
export async function checkFolder(path: string): Promise<void> {
  const kind = await kindOf(path);
  if (kind === "folder") return access(path, constants.W_OK);
  if (kind === "other")
    throw Object.assign(new Error(`${path} is no folder`), { code: "ENOTDIR", syscall: "mkdir" });
  await checkFolder(dirname(resolve(path)));
}

async function kindOf(path: string): Promise<"folder" | "other" | undefined> {
  const there = await stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT" || error.code === "ENOTDIR") return undefined;
    throw error;
  });
  if (there === undefined) return undefined;
  return there.isDirectory() ? "folder" : "other";
}
