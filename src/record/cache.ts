import { createHash } from "node:crypto";
import { mkdir, readFile, rename, rm, stat } from "node:fs/promises";
import { homedir } from "node:os";
import { basename, isAbsolute, join } from "node:path";
import { fileURLToPath } from "node:url";
import { run } from "./child.js";
import { RecordError } from "./error.js";
import type { Env } from "./tools.js";

/** What stays between recordings: compiled sources, and a kernel. */
export async function cacheFolder(env: Env): Promise<string> {
  const base = env.XDG_CACHE_HOME;
  const folder = join(base && isAbsolute(base) ? base : join(env.HOME || homedir(), ".cache"), "nestwalk");
  try {
    await mkdir(folder, { recursive: true });
  } catch (error) {
    throw new RecordError(
      `${folder} cannot be created (${(error as NodeJS.ErrnoException).code}); name another folder by XDG_CACHE_HOME`,
    );
  }
  return folder;
}

const SOURCES = new URL("../../recorder/", import.meta.url);

export interface Build {
  /** A file of recorder/. */
  source: string;
  flags: readonly string[];
  /** What is added to its name, such as ".so". */
  suffix?: string;
}

/** The compiled form of a source, from the cache if the same source was compiled with the same flags before. */
export async function compiled(
  { source, flags, suffix = "" }: Build,
  { cache, env, signal }: { cache: string; env: Env; signal: AbortSignal },
): Promise<string> {
  const path = fileURLToPath(new URL(source, SOURCES));
  const text = await readFile(path).catch(() => {
    throw new RecordError(`${path} is missing from this installation of nestwalk; install it again`);
  });
  const key = createHash("sha256")
    .update(flags.join(" "))
    .update("\0")
    .update(text)
    .digest("hex")
    .slice(0, 16);
  const made = join(cache, `${basename(source, ".c")}-${key}${suffix}`);
  if (await stat(made).catch(() => undefined)) return made;
  const temporary = `${made}.${process.pid}.tmp`;
  try {
    await run("gcc", [...flags, "-o", temporary, path], {
      env,
      signal,
      failed: `${path} cannot be compiled`,
    });
    await rename(temporary, made);
  } finally {
    await rm(temporary, { force: true });
  }
  return made;
}
