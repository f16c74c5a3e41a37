import { nearest } from "../config/nearest.js";
import { writeHelp } from "./help.js";
import { type Io, UsageError } from "./io.js";

export const traceHelp = `nestwalk trace COMMAND ...

Traces: looking inside, checking, converting, cutting. nestwalk reads its own .nwt files,
PGREC1 recordings, and traces of ChampSim, drmemtrace, valgrind's lackey, Dinero, Ramulator,
gem5, QEMU's execlog and plain text; plain, or compressed by gzip, xz, bzip2, zstd or zip. It
tells them by their content, never by their name.

  nestwalk trace info FILE        what it is, in plain words
  nestwalk trace head FILE        its first records as text
  nestwalk trace cat FILE         all of it as text, which can be read back
  nestwalk trace check FILE       whether it is good, and where it first breaks
  nestwalk trace convert IN OUT   as .nwt, text, drmemtrace or lackey
  nestwalk trace cut IN OUT       a window of it
  nestwalk trace merge OUT IN...  several programs as one guest
  nestwalk trace stat FILE        reuse distances and working sets, as JSON
  nestwalk trace synth NAME       a made trace: generators with a seed
  nestwalk trace record           a trace of commands or a program of yours
  nestwalk trace formats          what can be read

  nestwalk trace COMMAND --help   options and examples of a command

Examples
  nestwalk trace info traces/sqlite.nwt
  nestwalk trace record -o t.nwt -- 'seq 1 50000 | sort -rn | uniq -c'
`;

type Action = (args: readonly string[], io: Io) => Promise<number>;

/** Loaded when called. */
const actions: Record<string, () => Promise<Action>> = {
  info: async () => (await import("./trace-info.js")).infoCommand,
  head: async () => (await import("./trace-text.js")).headCommand,
  cat: async () => (await import("./trace-text.js")).catCommand,
  check: async () => (await import("./trace-check.js")).checkCommand,
  convert: async () => (await import("./trace-convert.js")).convertCommand,
  cut: async () => (await import("./trace-convert.js")).cutCommand,
  merge: async () => (await import("./trace-convert.js")).mergeCommand,
  stat: async () => (await import("./trace-stat.js")).statCommand,
  synth: async () => (await import("./trace-synth.js")).synthCommand,
  record: async () => (await import("./trace-record.js")).recordCommand,
  formats: async () => (await import("./trace-formats.js")).formatsCommand,
};

export async function traceCommand(args: readonly string[], io: Io): Promise<number> {
  const [action, ...rest] = args;
  if (action === "--help" || action === "-h") {
    writeHelp(io, traceHelp);
    return 0;
  }
  const names = Object.keys(actions);
  if (action === undefined)
    throw new UsageError(`trace needs a command, such as info; see nestwalk trace --help`);
  const load = Object.hasOwn(actions, action) ? actions[action] : undefined;
  if (load) return (await load())(rest, io);
  const near = nearest(action, names);
  throw new UsageError(
    `trace ${action} is not a command; ${near ? `did you mean trace ${near}?` : `there are ${names.join(", ")}`}`,
  );
}
