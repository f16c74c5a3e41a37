import { readFile, stat, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { run } from "./child.js";
import { cpioArchive, type Entry } from "./cpio.js";
import { RecordError } from "./error.js";
import { type Env, findProgram } from "./tools.js";

/** Where programs for the guest are looked for, whatever PATH says: the guest depends on the machine only. */
const PROGRAM_PATH = "/usr/bin:/bin:/usr/sbin:/sbin:/usr/games";

/** What init needs. */
const ESSENTIAL = [
  ["busybox", "bin/busybox"],
  ["dash", "usr/bin/dash"],
] as const;

export interface Guest {
  /** Shell commands that run in the window. */
  commands: string;
  /** Shell commands before it. */
  prepare: string;
  /** Further programs, by name or path. */
  programs: readonly string[];
  /** The compiled mark.c. */
  mark: string;
}

/**
 * Writes the guest's file system into a folder and gives its path: a shell, and the programs of this machine that the
 * commands name, with their libraries.
 */
export async function makeInitramfs(
  { commands, prepare, programs, mark }: Guest,
  folder: string,
  env: Env,
  signal: AbortSignal,
): Promise<string> {
  const tree = new Tree();
  for (const folder of ["bin", "proc", "sys", "dev", "tmp", "usr/bin", "root", "lib", "lib64"])
    tree.folder(folder);
  for (const [name, to] of ESSENTIAL) {
    const file = (await findProgram(name, env.PATH))!;
    await tree.copy(file, to);
    await tree.libraries(file, env, signal);
  }
  await tree.copy(mark, "bin/pgmark");
  const words = new Set(`${commands} ${prepare}`.split(/[^A-Za-z0-9_./+-]+/));
  for (const word of words) {
    const file = await findProgram(word || ".", PROGRAM_PATH);
    if (file !== undefined) await tree.program(file, word, env, signal);
  }
  for (const name of programs) {
    const file = await findProgram(name, PROGRAM_PATH);
    if (file === undefined)
      throw new RecordError(`the program ${name} of --programs does not exist; install it, or give its path`);
    await tree.program(file, name, env, signal);
  }
  tree.link("bin/sh", "/usr/bin/dash");
  for (const name of ["mount", "poweroff"]) tree.link(`bin/${name}`, "busybox");
  tree.file("init", new TextEncoder().encode(initScript(commands, prepare)), 0o755);
  const archive = join(folder, "initrd");
  await writeFile(archive, cpioArchive(tree.entries()));
  // By the program of that name: Node's own deflate differs from version to version, and the guest must not.
  await run("gzip", ["-n1", archive], { env, signal, failed: "the guest's files cannot be packed" });
  return `${archive}.gz`;
}

/** The guest's first process. What stands between the marks is recorded. */
function initScript(commands: string, prepare: string): string {
  return `#!/usr/bin/dash
export PATH=/usr/bin:/bin HOME=/root
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev; mount -t tmpfs tmp /tmp
/bin/busybox ifconfig lo 127.0.0.1 up 2>/dev/null
cd /root
${prepare}
pgmark 1
${commands}
pgmark 2
poweroff -f
`;
}

class Tree {
  #entries = new Map<string, Entry>([
    [".", { path: ".", type: "folder", mode: 0o755, data: new Uint8Array(0) }],
  ]);

  entries(): Entry[] {
    return [...this.#entries.values()];
  }

  folder(path: string): void {
    if (this.#entries.has(path) || path === ".") return;
    this.folder(dirname(path));
    this.#entries.set(path, { path, type: "folder", mode: 0o755, data: new Uint8Array(0) });
  }

  file(path: string, data: Uint8Array, mode: number): void {
    this.folder(dirname(path));
    this.#entries.set(path, { path, type: "file", mode, data });
  }

  link(path: string, target: string): void {
    this.#entries.set(path, { path, type: "link", mode: 0o777, data: new TextEncoder().encode(target) });
  }

  async copy(from: string, to: string): Promise<Uint8Array> {
    const data = new Uint8Array(
      await readFile(from).catch((error: NodeJS.ErrnoException) => {
        throw new RecordError(`${from} cannot be read (${error.code}); check its permissions`);
      }),
    );
    this.file(to, data, (await stat(from)).mode & 0o755);
    return data;
  }

  /** A program under the name it was asked by, what it is linked with, and, of a script, what runs it. */
  async program(file: string, asked: string, env: Env, signal: AbortSignal): Promise<void> {
    const data = await this.copy(file, `usr/bin/${basename(asked)}`);
    const interpreter = /^#! *(\/\S+)/.exec(String.fromCharCode(...data.subarray(0, 256)))?.[1];
    if (
      interpreter !== undefined &&
      !this.#entries.has(interpreter.slice(1)) &&
      (await findProgram(interpreter, undefined))
    ) {
      await this.copy(interpreter, interpreter.slice(1));
      await this.libraries(interpreter, env, signal);
    } else await this.libraries(file, env, signal);
  }

  async libraries(file: string, env: Env, signal: AbortSignal): Promise<void> {
    const linked = await run("ldd", [file], { env, signal, failed: "" }).catch(() => "");
    for (const [library] of linked.matchAll(/\/[^\s]+/g)) {
      const path = library.replace(/:$/, "").slice(1);
      if (!this.#entries.has(path) && (await stat(library).catch(() => undefined))?.isFile())
        await this.copy(library, path);
    }
  }
}
