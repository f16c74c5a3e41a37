import { compressions, traceFormats } from "../trace/index.js";
import { parseArguments, positional } from "./arguments.js";
import { writeHelp, writeRows } from "./help.js";
import type { Io } from "./io.js";

export const formatsHelp = `nestwalk trace formats

Lists the trace formats that can be read. A file is told by its content; --from FORMAT
decides where the content leaves it open.
`;

export async function formatsCommand(args: readonly string[], io: Io): Promise<number> {
  const { values, positionals } = parseArguments("trace formats", args, {});
  if (values.help) {
    writeHelp(io, formatsHelp);
    return 0;
  }
  positional("trace formats", positionals);
  const width = Math.max(...traceFormats.map(({ format }) => format.length)) + 2;
  const rows = traceFormats.map(({ format, title, looks }) => ({
    left: format.padEnd(width),
    text: `${title}: ${looks}`,
  }));
  const packed = `${compressions.slice(0, -1).join(", ")} or ${compressions.at(-1)}`;
  writeRows(io, rows);
  io.stdout.write(`\nEach may be compressed by ${packed}.\n`);
  return 0;
}
