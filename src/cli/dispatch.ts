import { ConfigError } from "../config/error.js";
import { brief, nearest } from "../config/nearest.js";
import { version } from "../generated/version.js";
import { printable } from "../report/text.js";
import { writeHelp } from "./help.js";
import { FailureError, Interrupted, type Io, UsageError } from "./io.js";

export const mainHelp = `nestwalk: what does virtualization cost a memory access?

Replays a recorded guest through native, shadow and two-dimensional (EPT, NPT) paging, and
says what each one paid: page walks and the references in them, TLB hits, VM exits, cycles.

  nestwalk compare TRACE     several machines side by side
  nestwalk run TRACE         one machine
  nestwalk explain TRACE     one access, step by step: lookups, walks, entries, faults
  nestwalk presets [NAME]    CPUs that can be modelled, and where their numbers come from
  nestwalk schema            configuration keys, as JSON Schema or as a list
  nestwalk trace info FILE   what a trace holds
  nestwalk trace convert     any trace to nestwalk's own format
  nestwalk trace record      records a Linux guest, or a program

  nestwalk COMMAND --help    options and examples of a command
  nestwalk --version

First steps
  nestwalk compare traces/pipe-pti.nwt
  nestwalk compare traces/pipe-pti.nwt -t ept,npt --cpu zen4 --host-page 2m
  nestwalk compare traces/pipe-pti.nwt --set clock.window=128 --json result.json

Exit code: 0 done; 1 the trace or the run failed; 2 the command line or the configuration is
wrong; 130 interrupted (129 by SIGHUP, 143 by SIGTERM).
`;

type Command = (args: readonly string[], io: Io) => Promise<number>;

/** Commands are loaded when they are called: help and version need neither zod nor the core. */
const commands: Record<string, () => Promise<Command>> = {
  compare: async () => (await import("./compare.js")).compareCommand,
  run: async () => (await import("./run.js")).runCommand,
  explain: async () => (await import("./explain.js")).explainCommand,
  presets: async () => (await import("./presets.js")).presetsCommand,
  schema: async () => (await import("./schema.js")).schemaCommand,
  trace: async () => (await import("./trace.js")).traceCommand,
};

/** Runs a command line; returns the exit code. Whatever goes wrong is one sentence on stderr. */
export async function main(args: readonly string[], io: Io): Promise<number> {
  try {
    return await dispatch(args, io);
  } catch (error) {
    if (error instanceof Interrupted || io.signal.aborted) return 130;
    io.stderr.write(`nestwalk: ${inOneLine(sentence(error))}\n`);
    return error instanceof UsageError || error instanceof ConfigError ? 2 : 1;
  }
}

async function dispatch(args: readonly string[], io: Io): Promise<number> {
  const [name, ...rest] = args;
  if (name === undefined || name === "--help" || name === "-h" || name === "help") {
    if (name === "help" && rest[0] !== undefined) return dispatch([rest[0], "--help"], io);
    writeHelp(io, mainHelp);
    return name === undefined ? 2 : 0;
  }
  if (name === "--version" || name === "-V") {
    io.stdout.write(`${version}\n`);
    return 0;
  }
  const load = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (load === undefined) {
    const what = name.startsWith("-") ? "an option" : "a command";
    const near = nearest(
      name.replace(/^-+/, ""),
      name.startsWith("-") ? ["help", "version"] : Object.keys(commands),
    );
    const advice = near ? `did you mean ${name.startsWith("-") ? "--" : ""}${near}?` : "see nestwalk --help";
    throw new UsageError(`${brief(name)} is not ${what}; ${advice}`);
  }
  return (await load())(rest, io);
}

const MOST_CHARACTERS = 2000;

/** A sentence without what would move the cursor, and never endless: its start and its end. */
function inOneLine(text: string): string {
  const line = printable(text);
  if (line.length <= MOST_CHARACTERS) return line;
  return `${line.slice(0, MOST_CHARACTERS / 2)} ... ${line.slice(-MOST_CHARACTERS / 2)}`;
}

/** Errors that say what is wrong in a sentence of their own. */
const SPOKEN = ["TraceError", "ReplayError", "ConfigError", "RecordError", "BrowserError"];

function sentence(error: unknown): string {
  if (error instanceof UsageError || error instanceof FailureError) return error.message;
  const { name, message } = error instanceof Error ? error : { name: "", message: String(error) };
  if (SPOKEN.includes(name)) return message.replace(/\.$/, "");
  const oneLine = message.split("\n")[0]!;
  if (/memory/i.test(message) && (error instanceof RangeError || error instanceof WebAssembly.RuntimeError))
    return `out of memory (${oneLine})`;
  return `an error of nestwalk itself: ${name ? `${name}: ` : ""}${oneLine}; please report it with the command line`;
}
