import { rmSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type GuestOptions, recordGuest } from "../record/guest.js";
import {
  PROGRAM_RECORDERS,
  type ProgramOptions,
  type ProgramRecorder,
  recordProgram,
} from "../record/program.js";
import type { RecordContext, Recording } from "../record/recording.js";
import { counted } from "../report/numbers.js";
import { printable } from "../report/text.js";
import { convertTrace, type TraceTotals } from "../trace/index.js";
import { type OptionSpecs, type Parsed, parseArguments } from "./arguments.js";
import { writeHelp } from "./help.js";
import { type Io, interruptible, UsageError } from "./io.js";
import { mustBeWritable, writeFile } from "./output.js";
import { duration, startProgress } from "./progress.js";
import { count } from "./trace-input.js";

const ACCESSES = 20_000_000;
const TIMEOUT = 600;
const DEFAULT_OUTPUT = "trace.nwt";

export const recordHelp = `nestwalk trace record [options] -- 'SHELL COMMANDS'
nestwalk trace record --user [options] -- PROGRAM ARGUMENTS

Records a guest: boots Linux in QEMU with the programs of this machine that the commands name,
and writes what kernel and programs do from the first command on, with the page tables, as a
.nwt file. Needs, on Debian and its kin,
apt-get install qemu-system-x86 gcc libc6-dev busybox-static

With --user, records one program of this machine without the kernel; compare then plays the
kernel. Needs apt-get install qemu-user gcc libc6-dev, or valgrind.

  -o, --output FILE    the trace to write (default ${DEFAULT_OUTPUT})
  --accesses N         end after N fetches, reads and writes, if the commands have not ended
                       before (default 20M; --user: no end)
  -q, --quiet          no progress

Of a guest
  --prepare COMMANDS   shell commands that run before the recording begins
  --programs LIST      further programs to copy into the guest, by name or path
  --memory SIZE        its RAM, such as 512m or 2g (default 1g)
  --pti on|off         page-table isolation (default: as the kernel decides)
  --thp WHEN           transparent huge pages: always, madvise or never
  --five-level         5-level paging
  --deterministic      no KASLR, no RDRAND: every run records the same bytes
  --fetch insn|page    a record for each instruction (default), or for each run of them in a
                       page
  --cpu MODEL          CPU model of QEMU (default max,la57=off,erms=off)
  --kernel FILE        the kernel to boot; "debian" downloads Debian's for virtual machines
                       (default: that of /boot, else Debian's)
  --kernel-args TEXT   further kernel arguments
  --timeout SECONDS    give up when nothing is recorded by then (default ${TIMEOUT})

Of a program (--user)
  --skip N             accesses before the recording begins
  --recorder NAME      qemu or lackey (default qemu, where it is installed)

Examples
  nestwalk trace record -o t.nwt -- 'seq 1 50000 | sort -rn | uniq -c'
  nestwalk trace record --pti on --deterministic -o t.nwt --prepare 'seq 1 20000 > /tmp/x' -- 'gzip -c /tmp/x | wc -c'
  nestwalk trace record --user -o ls.nwt -- ls -l /
`;

const COMMON = {
  output: { type: "string", short: "o" },
  accesses: { type: "string" },
  quiet: { type: "boolean", short: "q" },
  user: { type: "boolean" },
} as const satisfies OptionSpecs;

const GUEST = {
  prepare: { type: "string" },
  programs: { type: "string" },
  memory: { type: "string" },
  pti: { type: "string" },
  thp: { type: "string" },
  "five-level": { type: "boolean" },
  deterministic: { type: "boolean" },
  fetch: { type: "string" },
  cpu: { type: "string" },
  kernel: { type: "string" },
  "kernel-args": { type: "string" },
  timeout: { type: "string" },
} as const satisfies OptionSpecs;

const PROGRAM = { skip: { type: "string" }, recorder: { type: "string" } } as const satisfies OptionSpecs;

export async function recordCommand(args: readonly string[], io: Io): Promise<number> {
  const parsed = parseArguments("trace record", args, { ...COMMON, ...GUEST, ...PROGRAM });
  if (parsed.values.help) {
    writeHelp(io, recordHelp);
    return 0;
  }
  const user = parsed.values.user === true;
  for (const option of Object.keys(user ? GUEST : PROGRAM))
    if (parsed.values[option] !== undefined)
      throw new UsageError(
        `--${option} is for ${user ? "a guest, and does not go with --user" : "a program; it needs --user"}`,
      );
  if (parsed.positionals.length === 0)
    throw new UsageError(
      user
        ? "trace record --user needs the PROGRAM to run: nestwalk trace record --user -- PROGRAM ARGUMENTS"
        : "trace record needs the COMMANDS to run: nestwalk trace record -- 'COMMANDS'",
    );
  const output = (parsed.values.output as string | undefined) ?? DEFAULT_OUTPUT;
  const begin = user ? programOf(parsed) : guestOf(parsed);
  await mustBeWritable(output);
  const work = await mkdtemp(join(tmpdir(), "nestwalk-record-"));
  const clean = () => rmSync(work, { recursive: true, force: true });
  process.on("exit", clean);
  const phases = startPhases(io, parsed.values.quiet === true);
  const stop = new AbortController();
  const interrupt = () => stop.abort();
  io.signal.addEventListener("abort", interrupt, { once: true });
  let recording: Recording | undefined;
  try {
    recording = await begin({ env: io.env, signal: stop.signal, work, say: phases.say });
    phases.end();
    const limit = user ? undefined : accessesOf(parsed);
    await keep(recording, output, { command: commandOf(parsed, limit), limit }, parsed, io);
    return 0;
  } finally {
    phases.end();
    stop.abort();
    recording?.kill();
    io.signal.removeEventListener("abort", interrupt);
    process.off("exit", clean);
    clean();
  }
}

/** Writes a recording while it is made, and says what came of it on stderr, as stdout may be the program's own. */
async function keep(
  recording: Recording,
  output: string,
  { command, limit }: { command: string; limit: number | undefined },
  parsed: Parsed,
  io: Io,
): Promise<void> {
  const { trace } = recording;
  const progress = startProgress(io, 1, parsed.values.quiet === true);
  let totals: TraceTotals | undefined;
  try {
    const parts = convertTrace(trace, {
      recorded: { ...recordedProgram(parsed), command },
      onProgress: (now) => {
        totals = now;
        const accesses = now.fetches + now.reads + now.writes;
        progress.update({ fraction: limit === undefined ? undefined : accesses / limit, accesses });
      },
    });
    const bytes = await writeFile(output, interruptible(parts, io));
    progress.end();
    const remarks = await recording.done();
    for (const remark of remarks) io.stderr.write(`nestwalk: ${printable(remark)}\n`);
    const { fetches = 0, reads = 0, writes = 0 } = totals ?? {};
    const accesses = fetches + reads + writes;
    io.stderr.write(
      `${printable(output)}: ${counted(accesses, "access", "accesses")} in ${counted(bytes, "byte")}\n`,
    );
    if (limit !== undefined && accesses >= limit)
      io.stderr.write(
        `nestwalk: the commands had not ended after ${counted(limit, "access", "accesses")}; a larger --accesses records further\n`,
      );
  } finally {
    progress.end();
  }
}

function recordedProgram({ positionals, values }: Parsed) {
  return { program: values.user ? quoted(positionals) : commandsOf(positionals) };
}

function programOf(parsed: Parsed): (context: RecordContext) => Promise<Recording> {
  const recorder = parsed.values.recorder as string | undefined;
  if (recorder !== undefined && !PROGRAM_RECORDERS.some((name) => name === recorder))
    throw new UsageError(`--recorder is "${recorder}"; it must be ${PROGRAM_RECORDERS.join(" or ")}`);
  const options: ProgramOptions = {
    argv: parsed.positionals,
    skip: count(parsed, "skip", 0) ?? 0,
    accesses: count(parsed, "accesses", 1),
    by: recorder as ProgramRecorder | undefined,
  };
  return (context) => recordProgram(options, context);
}

function guestOf(parsed: Parsed): (context: RecordContext) => Promise<Recording> {
  const text = (name: string) => parsed.values[name] as string | undefined;
  const oneOf = (name: string, ...allowed: string[]) => {
    const value = text(name);
    if (value === undefined || allowed.includes(value)) return value;
    throw new UsageError(
      `--${name} is "${value}"; it must be ${allowed.slice(0, -1).join(", ")} or ${allowed.at(-1)}`,
    );
  };
  const pti = oneOf("pti", "on", "off");
  const thp = oneOf("thp", "always", "madvise", "never");
  const fetch = oneOf("fetch", "insn", "page") as GuestOptions["fetch"] | undefined;
  const fiveLevel = parsed.values["five-level"] === true;
  const cpu = text("cpu");
  if (cpu !== undefined && fiveLevel)
    throw new UsageError("--five-level does not go with --cpu; write --cpu max,la57=on");
  const options: GuestOptions = {
    commands: commandsOf(parsed.positionals),
    prepare: text("prepare") ?? "",
    programs: (text("programs") ?? "").split(/[\s,]+/).filter((name) => name !== ""),
    accesses: accessesOf(parsed),
    ramMiB: mebibytes(text("memory")),
    cpu: cpu ?? `max,la57=${fiveLevel ? "on" : "off"},erms=off`,
    kernelArguments: [
      pti === undefined ? "" : `pti=${pti}`,
      thp === undefined ? "" : `transparent_hugepage=${thp}`,
      text("kernel-args") ?? "",
    ]
      .filter((part) => part !== "")
      .join(" "),
    fetch: fetch ?? "insn",
    kernel: text("kernel"),
    deterministic: parsed.values.deterministic === true,
    timeout: count(parsed, "timeout", 1) ?? TIMEOUT,
  };
  return (context) => recordGuest(options, context);
}

function accessesOf(parsed: Parsed): number {
  return count(parsed, "accesses", 1) ?? ACCESSES;
}

const LEAST_MIB = 128;
const MOST_MIB = 1 << 20;

function mebibytes(text: string | undefined): number {
  if (text === undefined) return 1024;
  const found = /^(\d{1,7})([mg])(?:ib|b)?$/i.exec(text);
  const value = found ? Number(found[1]) * (found[2]!.toLowerCase() === "g" ? 1024 : 1) : Number.NaN;
  if (!(value >= LEAST_MIB && value <= MOST_MIB))
    throw new UsageError(`--memory is "${text}"; it must be ${LEAST_MIB}m to ${MOST_MIB / 1024}g`);
  return value;
}

/** The commands for the guest's shell: one argument as it is, several as the words of one command. */
function commandsOf(positionals: readonly string[]): string {
  return positionals.length === 1 ? positionals[0]! : quoted(positionals);
}

/** Words as a shell reads them. */
function quoted(words: readonly string[]): string {
  return words
    .map((word) => (/^[\w./=:,@%+-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`))
    .join(" ");
}

/** The command line that records it again; a limit that was not asked for is in it. */
function commandOf({ values, positionals }: Parsed, limit: number | undefined): string {
  const words = ["nestwalk", "trace", "record"];
  if (values.accesses === undefined && limit !== undefined) words.push("--accesses", String(limit));
  for (const [name, value] of Object.entries(values)) {
    if (["output", "quiet", "timeout"].includes(name)) continue;
    words.push(`--${name}`, ...(value === true ? [] : [String(value)]));
  }
  return `${quoted([...words, "-o"])} FILE -- ${quoted(positionals)}`;
}

/** Says on stderr what is under way before there is anything to count. */
function startPhases(io: Io, quiet: boolean): { say: (text: string) => void; end: () => void } {
  if (quiet) return { say: () => {}, end: () => {} };
  const start = performance.now();
  const live = io.stderr.isTTY === true;
  let phase = "";
  const draw = () => {
    if (phase === "") return;
    const width = (io.stderr.columns || 80) - 1;
    io.stderr.write(`\r\x1b[K${`${phase}, ${duration((performance.now() - start) / 1000)}`.slice(0, width)}`);
  };
  const timer = live ? setInterval(draw, 200) : undefined;
  timer?.unref();
  return {
    say(text) {
      phase = text;
      if (live) draw();
      else io.stderr.write(`${printable(text)}\n`);
    },
    end() {
      clearInterval(timer);
      if (live && phase !== "") io.stderr.write("\r\x1b[K");
      phase = "";
    },
  };
}
