import { traceText } from "../trace/tools/text.js";
import { positional } from "./arguments.js";
import { type Io, stopIfInterrupted } from "./io.js";
import { count, inputOptionsHelp, openInput, traceArguments, warnTruncated } from "./trace-input.js";

export const headHelp = `nestwalk trace head FILE [-n COUNT] [options]

Prints the first records of a trace as text, one a line: F fetch, R read, W write with their
address (hexadecimal) and size, and every event by name. Page tables and true mappings,
which are many and long, are left out.

  -n, --count COUNT    records to print (default 20)
  --all                page tables (PTP) and true mappings (MAP), too
${inputOptionsHelp}

Examples
  nestwalk trace head traces/pipe-pti.nwt
  nestwalk trace head ls.lackey -n 5
`;

export const catHelp = `nestwalk trace cat FILE [options]

Prints a whole trace as text, one record a line, after two lines that say what it is.
nestwalk reads the text back as a trace: edit it, and convert it to .nwt again.

${inputOptionsHelp}

Examples
  nestwalk trace cat guest.nwt | grep -c '^PTW'
  nestwalk trace cat guest.nwt > guest.txt && nestwalk trace convert guest.txt again.nwt
`;

export async function headCommand(args: readonly string[], io: Io): Promise<number> {
  const parsed = traceArguments("head", args, io, headHelp, {
    count: { type: "string", short: "n" },
    all: { type: "boolean" },
  });
  if (!parsed) return 0;
  const { FILE } = positional("trace head", parsed.positionals, "FILE");
  const trace = await openInput(FILE, parsed);
  const most = count(parsed, "count", 1) ?? 20;
  const tables = parsed.values.all === true;
  for await (const lines of traceText(trace, { most, header: false, tables })) {
    stopIfInterrupted(io);
    io.stdout.write(lines);
  }
  return 0;
}

export async function catCommand(args: readonly string[], io: Io): Promise<number> {
  const parsed = traceArguments("cat", args, io, catHelp);
  if (!parsed) return 0;
  const { FILE } = positional("trace cat", parsed.positionals, "FILE");
  const trace = await openInput(FILE, parsed);
  for await (const lines of traceText(trace)) {
    stopIfInterrupted(io);
    io.stdout.write(lines);
  }
  warnTruncated(trace, io);
  return 0;
}
