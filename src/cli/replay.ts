import { techniqueName } from "../config/index.js";
import { ansi, plain } from "../report/style.js";
import { comparisonTable } from "../report/table.js";
import { printable } from "../report/text.js";
import { type Reading, type ReplayRequest, replayPlan } from "../request/index.js";
import type { Result } from "../result.js";
import { type OptionSpecs, type Parsed, parseArguments, positional } from "./arguments.js";
import { writeHelp } from "./help.js";
import { FailureError, type Io, mayColour, UsageError } from "./io.js";
import {
  coreBuild,
  coreOptionHelp,
  machineOptions,
  machineOptionsHelp,
  machineRequest,
  precedenceHelp,
} from "./machines.js";
import {
  checkOutputs,
  outputOptions,
  outputOptionsHelp,
  outputsOf,
  takesStdout,
  writeOutputs,
} from "./outputs.js";
import { startProgress } from "./progress.js";
import { inputOptions, inputOptionsHelp, openInput } from "./trace-input.js";

/** What `compare` and `run` share: options, machines, the replay and what is said of it. */

const options: OptionSpecs = {
  ...machineOptions,
  ...outputOptions,
  quiet: { type: "boolean", short: "q" },
  warmup: { type: "string" },
  interval: { type: "string" },
  vary: { type: "string", multiple: true },
  jobs: { type: "string" },
  ...inputOptions,
};

export const replayOptionsHelp = `${machineOptionsHelp}
  --warmup N           replay the first N accesses without counting them: TLBs and tables fill
  --interval N         give the figures by interval too: N accesses, or markers, which ends one
                       at each marker of the trace; in the JSON, as intervals
  --vary KEY=V1,V2,... replay with each value of a key; repeated, with each combination. A trace
                       that is computed, synth:NAME, varies by trace.OPTION
  --jobs N             with --vary: as many at once (default: one for each processor)
${outputOptionsHelp}
  -q, --quiet          no table and no progress line
${coreOptionHelp}

How to read TRACE, where it leaves that open
${inputOptionsHelp}

${precedenceHelp}`;

export interface ReplayCommand {
  name: "compare" | "run";
  help: string;
  /** One machine, whose technique the configuration names, or several. */
  machines: "one" | "several";
}

/** Replays a trace through the machines that the arguments describe; returns the exit code. */
export async function replayCommand(
  command: ReplayCommand,
  args: readonly string[],
  io: Io,
): Promise<number> {
  const parsed = parseArguments(command.name, args, options);
  if (parsed.values.help) {
    writeHelp(io, command.help);
    return 0;
  }
  const { TRACE } = positional(command.name, parsed.positionals, "TRACE");
  if (parsed.values.vary !== undefined) return varied(command, TRACE, parsed, io);
  if (parsed.values.jobs !== undefined)
    throw new UsageError("--jobs is about --vary; without it there is one replay");
  const core = coreBuild(parsed);
  const request = await requestOf(command, parsed);
  const { tasks } = await replayPlan(request, TRACE);
  const { configs, warmup, intervals, asked } = tasks[0]!;
  const outputs = outputsOf(parsed);
  const quiet = parsed.values.quiet === true;
  await checkOutputs(outputs, TRACE);

  const trace = await openInput(TRACE, parsed);
  const progress = startProgress(io, configs.length, quiet);
  const compare = io.compare ?? (await import("../compare.js")).compare;
  let result: Result;
  try {
    result = await compare(trace, configs, {
      core,
      ...(warmup === undefined ? {} : { warmup }),
      intervals,
      asked,
      onProgress: (at) => progress.update(at),
    });
  } finally {
    progress.end();
  }
  /* Before the table: whoever reads that may stop early. */
  await writeOutputs(io, outputs, result);
  if (!quiet && !takesStdout(outputs)) {
    const paint = mayColour(io, io.stdout) ? ansi : plain;
    const lines = comparisonTable(result, { width: io.stdout.columns, paint });
    if (outputs.html !== undefined) lines.push("", `Report: ${printable(outputs.html)}`);
    io.stdout.write(`${lines.join("\n")}\n`);
  }
  if (trace.truncated) warnCut(trace.name, trace.truncated, io);
  judge(result);
  return 0;
}

/** The same with keys varied: a table of all combinations. */
async function varied(command: ReplayCommand, trace: string, parsed: Parsed, io: Io): Promise<number> {
  const { varySweep, varyTable } = await import("./vary.js");
  const outputs = outputsOf(parsed);
  const quiet = parsed.values.quiet === true;
  const request = await requestOf(command, parsed);
  const sweep = await varySweep({ trace, request, parsed, quiet, io }, () => checkOutputs(outputs, trace));
  await writeOutputs(io, outputs, sweep);
  if (!quiet && !takesStdout(outputs)) {
    const lines = varyTable(sweep, mayColour(io, io.stdout) ? ansi : plain, io.stdout.columns);
    if (outputs.html !== undefined) lines.push("", `Report: ${printable(outputs.html)}`);
    io.stdout.write(`${lines.join("\n")}\n`);
  }
  const truncated = sweep.points.find(({ result }) => result.trace.truncated)?.result.trace;
  if (truncated?.truncated) warnCut(truncated.file, truncated.truncated, io);
  for (const { at, result } of sweep.points) {
    const setting = Object.entries(at).map(([key, value]) => `${key}=${value}`);
    judge(result, `with ${setting.join(", ")}: `);
  }
  return 0;
}

function warnCut(file: string, { offset, events }: { offset: number; events: number }, io: Io): void {
  io.stderr.write(
    `nestwalk: ${printable(file)} ends at byte ${offset}; its ${events} whole events were replayed\n`,
  );
}

function text(parsed: Parsed, option: string): string | undefined {
  return parsed.values[option] as string | undefined;
}

/** What the command line asks for. */
async function requestOf({ name, machines }: ReplayCommand, parsed: Parsed): Promise<ReplayRequest> {
  const reading: Reading = {
    from: text(parsed, "from"),
    columns: text(parsed, "columns"),
    addresses: text(parsed, "addresses"),
    pageSizes: text(parsed, "page-sizes"),
    v2p: text(parsed, "v2p"),
  };
  return {
    command: name,
    ...(await machineRequest(name, machines, parsed)),
    warmup: warmupOf(text(parsed, "warmup")),
    intervals: intervalsOf(text(parsed, "interval")),
    vary: parsed.values.vary as string[] | undefined,
    reading,
  };
}

/** Accesses of `--warmup`. */
function warmupOf(value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  const accesses = Number(value);
  if (!/^\d+$/.test(value) || !Number.isSafeInteger(accesses))
    throw new UsageError(`--warmup is "${value}"; it must be a number of accesses, such as 1000000`);
  return accesses;
}

/** Accesses to an interval of `--interval`, or "markers". */
function intervalsOf(value: string | undefined): number | "markers" | undefined {
  if (value === undefined || value === "markers") return value;
  const accesses = Number(value);
  if (!/^\d+$/.test(value) || !Number.isSafeInteger(accesses) || accesses === 0)
    throw new UsageError(
      `--interval is "${value}"; it must be a number of accesses, such as 100000, or markers`,
    );
  return accesses;
}

/** A result that contradicts itself or the recording is given, and then called what it is. */
function judge({ machines, laws }: Result, where = ""): void {
  for (const machine of machines) {
    const { oracle } = machine;
    if (oracle.mismatches > 0)
      throw new FailureError(
        `${where}${techniqueName(machine)} contradicts the recorded mapping in ${oracle.mismatches} of ${oracle.checked} accesses${oracle.first ? `; the first: ${oracle.first}` : ""}`,
      );
  }
  for (const [who, list] of [
    ...machines.map((m) => [techniqueName(m), m.laws] as const),
    ["the comparison", laws] as const,
  ]) {
    const broken = list.find((law) => !law.holds);
    if (broken)
      throw new FailureError(`${where}${who} breaks the conservation law "${broken.name}": ${broken.detail}`);
  }
}
