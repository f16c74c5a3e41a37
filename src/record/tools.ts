import { constants, existsSync } from "node:fs";
import { access, stat } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { RecordError } from "./error.js";

/** What a recording needs of the machine, and Debian's package of it. */
export interface Need {
  /** A program on PATH, or the absolute path of a file. */
  name: string;
  package: string;
}

export type Env = Readonly<Record<string, string | undefined>>;

/** The first program of that name in a list of folders; a name with a slash is a path. */
export async function findProgram(name: string, path: string | undefined): Promise<string | undefined> {
  const places = name.includes("/")
    ? [name]
    : (path ?? "").split(delimiter).map((folder) => join(folder || ".", name));
  for (const place of places) if (await isProgram(place)) return place;
  return undefined;
}

async function isProgram(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return (await stat(path)).isFile();
  } catch {
    return false;
  }
}

/** Throws RecordError with the one command that installs whatever is missing, or what may stand in for it. */
export async function requireTools(needs: readonly Need[], env: Env, instead = ""): Promise<void> {
  const missing: Need[] = [];
  for (const need of needs) {
    const there = need.name.startsWith("/") ? existsSync(need.name) : await findProgram(need.name, env.PATH);
    if (!there) missing.push(need);
  }
  if (missing.length === 0) return;
  const names = missing.map(({ name }) => name);
  const packages = [...new Set(missing.map((need) => need.package))].join(" ");
  const list = names.length === 1 ? names[0] : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
  throw new RecordError(
    `${list} ${names.length === 1 ? "is" : "are"} missing; apt-get install ${packages}${instead}`,
  );
}

/** Throws RecordError on a machine whose programs cannot be recorded. */
export function requireHost(platform: string = process.platform, arch: string = process.arch): void {
  if (platform !== "linux" || arch !== "x64")
    throw new RecordError(
      `recording needs Linux on x86-64, and this is ${platform} on ${arch}; record on such a machine, or in a container of it`,
    );
}
