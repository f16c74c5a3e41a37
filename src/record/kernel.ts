import { copyFile, mkdtemp, open, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { run } from "./child.js";
import { RecordError } from "./error.js";
import { type Env, findProgram } from "./tools.js";

export interface Kernel {
  path: string;
  /** Its version, as it says itself. */
  version: string;
}

/** Debian's kernel for virtual machines: it boots in a few seconds and needs no modules to do so. */
const PACKAGE = "linux-image-cloud-amd64";
const INSTALL = `apt-get install ${PACKAGE}, or name a kernel with --kernel`;

export interface KernelSearch {
  /** A path; "debian" for Debian's kernel for virtual machines; undefined for the first that is found. */
  asked: string | undefined;
  cache: string;
  env: Env;
  signal: AbortSignal;
  /** Told what takes long. */
  say: (text: string) => void;
  /** Where a distribution keeps its kernels. */
  boot?: string;
}

/** The kernel to boot: one that was downloaded before, one of this machine, or Debian's, downloaded now. */
export async function findKernel(search: KernelSearch): Promise<Kernel> {
  const { asked, cache, boot = "/boot" } = search;
  if (asked !== undefined && asked !== "debian") {
    const kernel = await kernelAt(asked);
    if (typeof kernel === "string") throw new RecordError(`the kernel ${asked} ${kernel}`);
    return kernel;
  }
  const places = asked === undefined ? [cache, boot] : [cache];
  const why: string[] = [];
  for (const place of places) {
    for (const path of await kernelsIn(place)) {
      const kernel = await kernelAt(path);
      if (typeof kernel !== "string") return kernel;
      why.push(`${path} ${kernel}`);
    }
  }
  return download(search, why[0]);
}

/** Kernels of a folder, the newest first, and those for virtual machines before all others. */
async function kernelsIn(folder: string): Promise<string[]> {
  const names = (await readdir(folder).catch(() => [])).filter((name) => /^vmlinuz-[\w.+~-]+$/.test(name));
  const rank = (name: string) => (name.includes("cloud") ? 1 : 0);
  names.sort((a, b) => rank(b) - rank(a) || b.localeCompare(a, "en", { numeric: true }));
  return names.map((name) => join(folder, name));
}

/** The kernel at a path, or what is wrong with it. Layout: Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header". */
async function kernelAt(path: string): Promise<Kernel | string> {
  const head = new Uint8Array(1 << 16);
  try {
    const file = await open(path);
    try {
      await file.read(head, 0, head.length, 0);
    } finally {
      await file.close();
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") return "does not exist; check the path";
    if (code === "EACCES") return "may not be read; run as root, or copy it to where it may be read";
    return `cannot be read (${code}); check the path`;
  }
  const view = new DataView(head.buffer);
  const ascii = (at: number, length: number) => String.fromCharCode(...head.subarray(at, at + length));
  if (ascii(0x202, 4) !== "HdrS") return "is no bzImage of an x86 kernel; a vmlinuz is one";
  const at = view.getUint16(0x20e, true) + 0x200;
  const [version = ""] = ascii(at, 256).split("\0");
  return { path, version: version.split(" ")[0] || "unknown" };
}

async function download(search: KernelSearch, unreadable: string | undefined): Promise<Kernel> {
  const { cache, env, signal, say } = search;
  const seen = unreadable === undefined ? "" : ` (${unreadable})`;
  for (const tool of ["apt-get", "apt-cache", "dpkg-deb"])
    if (!(await findProgram(tool, env.PATH)))
      throw new RecordError(
        `no kernel was found${seen}, and there is no ${tool} to download one; name one with --kernel`,
      );
  const failed = `the package ${PACKAGE} cannot be downloaded`;
  const depends = await run("apt-cache", ["depends", PACKAGE], { env, signal, failed }).catch(() => "");
  const name = /Depends: (linux-image-\S+)/.exec(depends)?.[1];
  if (name === undefined)
    throw new RecordError(
      `no kernel was found${seen}, and apt does not know ${PACKAGE}; apt-get update, then ${INSTALL}`,
    );
  say(`downloading ${name}, once`);
  const folder = await mkdtemp(join(cache, "download-"));
  try {
    await run("apt-get", ["download", name], { env, cwd: folder, signal, failed: `${failed}; ${INSTALL}` });
    const [deb] = await readdir(folder);
    if (deb === undefined) throw new RecordError(`${failed}; ${INSTALL}`);
    await run("dpkg-deb", ["-x", deb, "."], {
      env,
      cwd: folder,
      signal,
      failed: `the package ${name} cannot be unpacked`,
    });
    const [image] = await kernelsIn(join(folder, "boot"));
    if (image === undefined)
      throw new RecordError(`the package ${name} holds no kernel; name one with --kernel`);
    const kept = join(cache, image.slice(image.lastIndexOf("/") + 1));
    const kernel = await kernelAt(image);
    if (typeof kernel === "string") throw new RecordError(`the kernel of the package ${name} ${kernel}`);
    await copyFile(image, `${kept}.tmp`);
    await rename(`${kept}.tmp`, kept);
    return { ...kernel, path: kept };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
