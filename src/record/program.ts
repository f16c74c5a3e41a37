import { open } from "node:fs/promises";
import { cutTrace } from "../trace/tools/cut.js";
import { cacheFolder, compiled } from "./cache.js";
import { Child, type Ending, run } from "./child.js";
import { RecordError } from "./error.js";
import { qemuVersion } from "./guest.js";
import { type RecordContext, type Recording, recordedBy } from "./recording.js";
import { findProgram, type Need, requireHost, requireTools } from "./tools.js";

/** What records a program in user space. */
export const PROGRAM_RECORDERS = ["qemu", "lackey"] as const;
export type ProgramRecorder = (typeof PROGRAM_RECORDERS)[number];

export interface ProgramOptions {
  /** The program, by name or path, and its arguments. */
  argv: readonly string[];
  /** Accesses before the window. */
  skip: number;
  /** Accesses after which the recording, and the program, ends; undefined for all. */
  accesses: number | undefined;
  /** Undefined for qemu, or lackey where qemu is not installed. */
  by: ProgramRecorder | undefined;
}

const QEMU: readonly Need[] = [
  { name: "qemu-x86_64", package: "qemu-user" },
  { name: "gcc", package: "gcc" },
  { name: "/usr/include/stdlib.h", package: "libc6-dev" },
];
const LACKEY: readonly Need[] = [{ name: "valgrind", package: "valgrind" }];

/** Runs a program of this machine and records it, without the kernel. Its input and output are the caller's own. */
export async function recordProgram(options: ProgramOptions, context: RecordContext): Promise<Recording> {
  requireHost();
  const argv = await executable(options.argv, context);
  const by = options.by ?? (await available(context));
  return by === "qemu" ? withQemu(argv, options, context) : withLackey(argv, options, context);
}

async function available(context: RecordContext): Promise<ProgramRecorder> {
  const here = (needs: readonly Need[]) =>
    requireTools(needs, context.env).then(
      () => true,
      () => false,
    );
  if ((await here(QEMU)) && (await takesPlugins(context))) return "qemu";
  if (!(await here(LACKEY))) return "qemu";
  context.say("recording with valgrind's lackey, for want of gcc and a qemu-x86_64 that takes plugins");
  return "lackey";
}

/** Debian 13 builds its qemu-x86_64 without them. */
async function takesPlugins({ env, signal }: RecordContext): Promise<boolean> {
  return (await run("qemu-x86_64", ["--help"], { env, signal, failed: "qemu-x86_64 does not run" })).includes(
    "-plugin",
  );
}

async function withQemu(
  argv: readonly string[],
  options: ProgramOptions,
  context: RecordContext,
): Promise<Recording> {
  const { env, signal } = context;
  await requireTools(QEMU, env, options.by === undefined ? ", or valgrind" : "");
  if (!(await takesPlugins(context)))
    throw new RecordError(
      "the qemu-x86_64 of this machine takes no plugins; apt-get install valgrind, and leave out --recorder",
    );
  const { version, api } = await qemuVersion("qemu-x86_64", context);
  const plugin = await compiled(
    {
      source: "uvrec.c",
      flags: ["-O2", "-shared", "-fPIC", "-pthread", `-DPLUGIN_API=${api}`],
      suffix: ".so",
    },
    { cache: await cacheFolder(env), env, signal },
  );
  const take = options.accesses === undefined ? "" : `,take=${options.accesses}`;
  const child = new Child(
    "qemu-x86_64",
    ["-seed", "1", "-plugin", `${plugin.replaceAll(",", ",,")},fd=3,skip=${options.skip}${take}`, ...argv],
    { env, signal, trace: true, input: "own", outputs: "own" },
  );
  return recordedBy(child, {
    ...common(argv),
    recorded: {
      ...origin(`uvrec, a TCG plugin for qemu-x86_64 ${version}`),
      missing: ["kernel accesses", "page tables", "processes that the program starts"],
    },
  });
}

async function withLackey(
  argv: readonly string[],
  options: ProgramOptions,
  context: RecordContext,
): Promise<Recording> {
  const { env, signal } = context;
  await requireTools(LACKEY, env);
  const child = new Child(
    "valgrind",
    ["--tool=lackey", "--trace-mem=yes", "--basic-counts=no", "--log-fd=3", ...argv],
    { env, signal, trace: true, input: "own", outputs: "own" },
  );
  const recording = await recordedBy(child, {
    ...common(argv),
    from: "lackey",
    recorded: {
      ...origin("valgrind --tool=lackey"),
      missing: ["kernel accesses", "page tables", "threads", "processes that the program starts"],
    },
  });
  const { skip, accesses } = options;
  if (skip === 0 && accesses === undefined) return recording;
  const window = { from: skip, ...(accesses === undefined ? {} : { to: skip + accesses }) };
  return { ...recording, trace: cutTrace(recording.trace, window) };
}

function origin(recorder: string) {
  return { recorder, tables: false, addresses: "virtual", pageSizes: "4k" } as const;
}

function common([program]: readonly string[]) {
  return {
    timeout: undefined,
    allowTruncated: true,
    nothing: () => `nothing was recorded: ${program} did not run; see the lines above`,
    broke: () => `${program} broke off in the middle of the recording`,
    remarks,
  };
}

function remarks({ code, signal }: Ending, broke: boolean): string[] {
  // The recorder ends what has been recorded as far as was asked.
  if (signal === "SIGKILL") return [];
  if (signal !== null) return [`the program was ended by ${signal}; the trace ends shortly before`];
  if (broke)
    return [
      "the program went on as another one (exec), which is not recorded; record that program by itself",
    ];
  return code === 0 ? [] : [`the program ended with status ${code}`];
}

/** The program and its arguments as they can be executed: found on PATH, and a script behind what runs it. */
async function executable([name, ...rest]: readonly string[], { env }: RecordContext): Promise<string[]> {
  const path = await findProgram(name!, env.PATH);
  if (path === undefined)
    throw new RecordError(
      `the program ${name} does not exist or may not be executed; check its name, or give its path`,
    );
  const head = await start(path);
  const script = /^#![ \t]*(\S+)(?:[ \t]+([^\n]*\S))?/.exec(String.fromCharCode(...head));
  if (script) {
    const interpreter = script[1]!;
    const before = script[2] === undefined ? [] : [script[2]];
    return executableOf(await start(interpreter), [interpreter, ...before, path, ...rest]);
  }
  return executableOf(head, [path, ...rest]);
}

/** Refuses what is no program of a 64-bit x86 (ELF header: class at 4, machine at 18). */
function executableOf(head: Uint8Array, argv: string[]): string[] {
  const elf = head[0] === 0x7f && head[1] === 0x45 && head[2] === 0x4c && head[3] === 0x46;
  if (elf && head[4] === 2 && head[18] === 62) return argv;
  throw new RecordError(
    `${argv[0]} is ${elf ? "a program of another CPU" : "no program"}; a 64-bit x86 program of Linux is needed`,
  );
}

async function start(path: string): Promise<Uint8Array> {
  try {
    const file = await open(path);
    try {
      const head = new Uint8Array(256);
      const { bytesRead } = await file.read(head, 0, head.length, 0);
      return head.subarray(0, bytesRead);
    } finally {
      await file.close();
    }
  } catch (error) {
    throw new RecordError(
      `${path} cannot be read (${(error as NodeJS.ErrnoException).code}); check its permissions`,
    );
  }
}
