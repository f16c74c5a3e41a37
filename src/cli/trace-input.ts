import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { openFile } from "../node/files.js";
import { printable } from "../report/text.js";
import {
  isSynthName,
  type OpenOptions,
  openSynth,
  openTrace,
  parsePageSizes,
  parseV2p,
  type TraceSource,
  traceFormats,
} from "../trace/index.js";
import { type OptionSpecs, type Parsed, parseArguments } from "./arguments.js";
import { writeHelp } from "./help.js";
import { type Io, UsageError } from "./io.js";

/** How every command that reads a trace is told what the file itself does not say. */
export const inputOptions = {
  from: { type: "string" },
  columns: { type: "string" },
  addresses: { type: "string" },
  "page-sizes": { type: "string" },
  v2p: { type: "string" },
  "allow-truncated": { type: "boolean" },
} as const satisfies OptionSpecs;

export const inputOptionsHelp = `  --from FORMAT        the format, where the content leaves it open; nestwalk trace formats
  --columns LIST       columns of plain text, such as hex,kind or pid,kind,dec,size
  --addresses WHAT     virtual or physical, for a format that leaves it open
  --page-sizes WHAT    4k, 2m, 1g, or a file of lines "FROM TO SIZE", for a trace without
                       page tables
  --v2p FILE           where its pages lay: a v2p.textproto of drmemtrace
  --allow-truncated    take a trace that was cut short as far as it is whole`;

const PAGE_SIZE = /^(4k|2m|1g)$/i;

/** What the options of a command say of its input. */
export async function openOptions({ values }: Parsed): Promise<OpenOptions> {
  const text = (name: string) => values[name] as string | undefined;
  const options: OpenOptions = { allowTruncated: values["allow-truncated"] === true };
  const from = text("from");
  if (from !== undefined) {
    if (!traceFormats.some(({ format }) => format === from))
      throw new UsageError(`--from is "${from}", which is no format; nestwalk trace formats lists them`);
    options.from = from;
  }
  const columns = text("columns");
  if (columns !== undefined) options.columns = columns;
  const addresses = text("addresses");
  if (addresses !== undefined) {
    if (addresses !== "virtual" && addresses !== "physical")
      throw new UsageError(`--addresses is "${addresses}"; it must be virtual or physical`);
    options.addresses = addresses;
  }
  const sizes = text("page-sizes");
  if (sizes !== undefined && /^\d+[kmgt]i?b?$/i.test(sizes) && !PAGE_SIZE.test(sizes) && !existsSync(sizes))
    throw new UsageError(
      `--page-sizes is "${sizes}"; it must be 4k, 2m or 1g, or a file of lines "FROM TO SIZE"`,
    );
  if (sizes !== undefined)
    options.pageSizes = parsePageSizes(
      sizes,
      PAGE_SIZE.test(sizes) ? sizes : await fileText("--page-sizes", sizes),
    );
  const v2p = text("v2p");
  if (v2p !== undefined) options.placement = parseV2p(v2p, await fileText("--v2p", v2p));
  return options;
}

/** Opens the trace that a command names. */
export async function openInput(path: string, parsed: Parsed): Promise<TraceSource> {
  if (isSynthName(path)) return openSynth(path);
  return openTrace(await openFile(path), await openOptions(parsed));
}

async function fileText(option: string, path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const why =
      code === "ENOENT" ? "does not exist" : code === "EISDIR" ? "is a folder" : `cannot be read (${code})`;
    throw new UsageError(`${option} ${path} ${why}`);
  }
}

/** Arguments of `trace NAME`; prints the help and gives undefined when that was asked for. */
export function traceArguments(
  name: string,
  args: readonly string[],
  io: Io,
  help: string,
  more: OptionSpecs = {},
): Parsed | undefined {
  const parsed = parseArguments(`trace ${name}`, args, { ...inputOptions, ...more });
  if (!parsed.values.help) return parsed;
  writeHelp(io, help);
  return undefined;
}

/** A whole number that an option gives. */
export function count(parsed: Parsed, option: string, least: number): number | undefined {
  const text = parsed.values[option] as string | undefined;
  if (text === undefined) return undefined;
  const scaled = /^(\d{1,15})([kKmMgG]?)$/.exec(text);
  const value = scaled
    ? Number(scaled[1]) * { "": 1, k: 1e3, m: 1e6, g: 1e9 }[scaled[2]!.toLowerCase()]!
    : Number.NaN;
  if (!Number.isSafeInteger(value) || value < least)
    throw new UsageError(
      `--${option} is "${text}"; it must be a whole number from ${least}, such as 100000 or 2M`,
    );
  return value;
}

export function warnTruncated({ name, truncated }: TraceSource, io: Io): void {
  if (truncated)
    io.stderr.write(
      `nestwalk: ${printable(name)} ends at byte ${truncated.offset}; only its ${truncated.events} whole events were taken\n`,
    );
}
