import { existsSync, readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { cacheFolder, compiled } from "./cache.js";
import { Child, lastWords, run } from "./child.js";
import { RecordError } from "./error.js";
import { makeInitramfs } from "./initramfs.js";
import { findKernel } from "./kernel.js";
import { type RecordContext, type Recording, recordedBy } from "./recording.js";
import { type Need, requireHost, requireTools } from "./tools.js";

export interface GuestOptions {
  /** Shell commands (dash) that are recorded. */
  commands: string;
  /** Shell commands that run before. */
  prepare: string;
  /** Programs to copy into the guest besides those that the commands name. */
  programs: readonly string[];
  /** Fetches, reads and writes after which the recording ends. */
  accesses: number;
  ramMiB: number;
  /** CPU model of QEMU, with its features. */
  cpu: string;
  /** What the kernel is told beside the console. */
  kernelArguments: string;
  fetch: "insn" | "page";
  /** A path, "debian", or undefined for the first that is found. */
  kernel: string | undefined;
  /** No randomness: every run gives the same bytes. */
  deterministic: boolean;
  /** Seconds after which the guest is given up, if its window has not opened. */
  timeout: number;
}

const NEEDS: readonly Need[] = [
  { name: "qemu-system-x86_64", package: "qemu-system-x86" },
  { name: "gcc", package: "gcc" },
  { name: "/usr/include/stdlib.h", package: "libc6-dev" },
  { name: "busybox", package: "busybox-static" },
  { name: "dash", package: "dash" },
  { name: "ldd", package: "libc-bin" },
  { name: "gzip", package: "gzip" },
];

const MISSING = [
  "accesses that fault (their fetch is there)",
  "A and D bits set by the CPU",
  "PKRU",
  "processes and threads other than by CR3",
  "TSS and GDT accesses of exception delivery",
  "device DMA",
  "host events",
];

/** Boots a Linux guest in QEMU and records it from the first of its commands on. */
export async function recordGuest(options: GuestOptions, context: RecordContext): Promise<Recording> {
  const { env, signal, work, say } = context;
  requireHost();
  await requireTools(NEEDS, env);
  const cache = await cacheFolder(env);
  const { version: qemu, api } = await qemuVersion("qemu-system-x86_64", context);
  const kernel = await findKernel({ asked: options.kernel, cache, env, signal, say });
  const build = { cache, env, signal };
  const plugin = await compiled(
    { source: "pgrec.c", flags: ["-O2", "-shared", "-fPIC", `-DPLUGIN_API=${api}`], suffix: ".so" },
    build,
  );
  const mark = await compiled({ source: "mark.c", flags: ["-O1", "-static"] }, build);
  const { commands, prepare, programs } = options;
  const initrd = await makeInitramfs({ commands, prepare, programs, mark }, work, env, signal);
  const { cpu, kernelArguments } = machine(options);
  const consoleFile = join(work, "console");
  const console = () => plainText(existsSync(consoleFile) ? readFileSync(consoleFile, "utf8") : "");
  say(`booting Linux ${kernel.version} in QEMU ${qemu}`);
  const child = new Child(
    "qemu-system-x86_64",
    [
      ...["-accel", "tcg", "-cpu", cpu, "-smp", "1", "-m", String(options.ramMiB)],
      ...["-nographic", "-no-reboot", "-nodefaults"],
      // To a file, which is always ready: a pipe that is full would delay the guest, and change what is recorded.
      ...["-serial", `file:${comma(consoleFile)}`],
      ...["-icount", "shift=0,sleep=off", "-seed", "1", "-rtc", "base=2024-01-01,clock=vm"],
      ...[
        "-kernel",
        kernel.path,
        "-initrd",
        initrd,
        "-append",
        `console=ttyS0 quiet panic=-1 ${kernelArguments}`,
      ],
      "-plugin",
      `${comma(plugin)},fd=3,limit=${options.accesses},ram=${options.ramMiB},fetch=${options.fetch}`,
    ],
    { env, signal, trace: true },
  );
  return recordedBy(child, {
    timeout: options.timeout,
    nothing: () =>
      `nothing was recorded: the guest ended before its commands began${lastWords("the guest", console(), 3) || lastWords("QEMU", child.stderr)}`,
    broke: () => `the guest broke off in the middle of the recording${lastWords("QEMU", child.stderr)}`,
    remarks: () => remarks(console()),
    recorded: {
      guest: `Linux, 1 vCPU, with the programs of ${await hostName()}`,
      kernel: kernel.version,
      recorder: `pgrec, a TCG plugin for qemu-system-x86_64 ${qemu}`,
      cpu: `QEMU TCG ${cpu}`,
      pageSizePolicy: `kernel arguments: ${kernelArguments.trim() || "none"}`,
      ramMiB: options.ramMiB,
      notes: [
        "-icount shift=0: an instruction takes 1 ns",
        options.deterministic
          ? "no randomness: the same kernel and packages record the same bytes again"
          : "KASLR and RDRAND are on: another run records another trace of the same kind",
      ],
      missing: [...MISSING, ...(options.fetch === "page" ? ["the order of fetches within a page"] : [])],
    },
  });
}

/** A path within an option of QEMU. */
const comma = (path: string) => path.replaceAll(",", ",,");

function machine({ cpu, kernelArguments, deterministic }: GuestOptions): {
  cpu: string;
  kernelArguments: string;
} {
  if (!deterministic) return { cpu, kernelArguments };
  return { cpu: `${cpu},rdrand=off`, kernelArguments: `${kernelArguments} nokaslr norandmaps` };
}

/** Of which version QEMU is, and which version of its plugin interface it takes (include/plugins/qemu-plugin.h). */
export async function qemuVersion(
  name: string,
  { env, signal }: RecordContext,
): Promise<{ version: string; api: number }> {
  const text = await run(name, ["--version"], { env, signal, failed: `${name} does not run` });
  const found = /version (\d+)\.(\d+)[\d.]*/.exec(text);
  if (!found) throw new RecordError(`${name} does not say its version; install Debian's package of it`);
  const at = Number(found[1]) * 100 + Number(found[2]);
  if (at < 700)
    throw new RecordError(`${name} is of version ${found[1]}.${found[2]}; 7.0 or later is needed`);
  return { version: found[0].slice(8), api: at < 900 ? 1 : at < 901 ? 2 : at < 902 ? 3 : 4 };
}

async function hostName(): Promise<string> {
  const text = await readFile("/etc/os-release", "utf8").catch(() => "");
  return /^PRETTY_NAME="?([^"\n]+)/m.exec(text)?.[1] ?? "an unnamed Linux";
}

/** What a console shows, without what moves its cursor; what cleared the screen begins a line. */
function plainText(text: string): string {
  return stripVTControlCharacters(text.replaceAll("\r", "").replaceAll("\x1bc", "\n"));
}

/** What the guest's console says that the user should know. */
function remarks(console: string): string[] {
  const absent = new Set<string>();
  for (const [, name] of console.matchAll(/: (\S+): not found$/gm)) absent.add(name!);
  const found: string[] = [];
  if (absent.size > 0)
    found.push(
      `the guest has no program ${[...absent].join(", ")}; --programs copies it in, if it is installed here`,
    );
  const complaints = [...console.matchAll(/^\/init: \d+: (.+)$/gm)].map(([, text]) => text!);
  const [complaint] = complaints.filter((text) => !text.endsWith(": not found"));
  if (complaint !== undefined)
    found.push(`the guest's shell said "${complaint.slice(0, 200)}"; correct the commands, and record again`);
  return found;
}
