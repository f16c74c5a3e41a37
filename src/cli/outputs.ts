import { resolve } from "node:path";
import type { LongRow } from "../data/index.js";
import type { ReportSweep } from "../plot/index.js";
import type { Result } from "../result.js";
import type { OptionSpecs, Parsed } from "./arguments.js";
import { type Io, stopIfInterrupted, UsageError } from "./io.js";
import { mustBeFolder, mustBeWritable, mustNotBeInput, noFolder, writeFile, writeJson } from "./output.js";

/** Where a result goes besides the table. */

export const outputOptions = {
  json: { type: "string" },
  csv: { type: "string" },
  parquet: { type: "string" },
  html: { type: "string" },
  png: { type: "string" },
} as const satisfies OptionSpecs;

export const outputOptionsHelp = `  --json FILE          write the result as JSON; - writes it, and nothing else, to stdout
  --html FILE          write a report: table, figures, laws, how to run it again; opens offline
  --png DIR            draw the figures into a folder, in a real browser (playwright-core and a
                       Chromium; CHROMIUM names one)
  --csv FILE           write every figure in a row of its own; - writes to stdout. Intervals go
                       to FILE with .intervals before its extension
  --parquet FILE       the same rows as a Parquet file`;

export interface Outputs {
  json?: string;
  csv?: string;
  parquet?: string;
  html?: string;
  png?: string;
  /** Whether the rows of intervals go to files beside those of `csv` and `parquet`. */
  intervals?: boolean;
}

type Kind = keyof typeof outputOptions;
const KINDS = Object.keys(outputOptions) as Kind[];
/** Those that standard output can take. */
const TEXTS: readonly Kind[] = ["json", "csv"];

/** What the command line asks for. Throws UsageError for what cannot be together. */
export function outputsOf({ values }: Parsed): Outputs {
  const outputs: Outputs = { intervals: values.interval !== undefined };
  const taken = new Map<string, Kind>();
  for (const kind of KINDS) {
    const path = values[kind] as string | undefined;
    if (path === undefined) continue;
    if (path === "-" && !TEXTS.includes(kind))
      throw new UsageError(
        `--${kind} cannot go to standard output; name a ${kind === "png" ? "folder" : "file"}`,
      );
    outputs[kind] = path;
    for (const one of placesOf(outputs, kind)) {
      const place = one === "-" ? one : resolve(one);
      const other = taken.get(place);
      if (other !== undefined)
        throw new UsageError(
          `--${other} and --${kind} both write to ${one === "-" ? "standard output" : one}; choose another place for one`,
        );
      taken.set(place, kind);
    }
  }
  return outputs;
}

/** Where an output goes. */
function placesOf(outputs: Outputs, kind: Kind): string[] {
  const path = outputs[kind];
  if (path === undefined) return [];
  const more = outputs.intervals && path !== "-" && (kind === "csv" || kind === "parquet");
  return more ? [path, besides(path, "intervals")] : [path];
}

/** Whether standard output is taken, so that no table goes there. */
export function takesStdout(outputs: Outputs): boolean {
  return TEXTS.some((kind) => outputs[kind] === "-");
}

/** Throws, before the work that they are to hold, for outputs that cannot be written, or would replace the trace. */
export async function checkOutputs(outputs: Outputs, trace: string): Promise<void> {
  for (const kind of ["json", "csv", "parquet", "html"] as const) {
    for (const path of placesOf(outputs, kind)) {
      if (path === "-") continue;
      await mustNotBeInput(path, [trace]);
      await mustBeWritable(path);
    }
  }
  if (outputs.png === undefined) return;
  await mustBeFolder(outputs.png, "--png");
  const { launchChromium } = await import("../node/browser/chromium.js");
  await (await launchChromium()).close();
}

/** Writes a result, or the results of a comparison with keys varied, to where they are to go; says nothing. */
export async function writeOutputs(io: Io, outputs: Outputs, result: Result | ReportSweep): Promise<void> {
  if (outputs.json !== undefined) await writeJson(io, outputs.json, result);
  if (outputs.csv !== undefined || outputs.parquet !== undefined) await writeRows(io, outputs, result);
  stopIfInterrupted(io);
  if (outputs.html !== undefined) {
    const { reportHtml } = await import("../plot/index.js");
    const { plotlySource } = await import("../node/browser/plotly.js");
    const report = reportHtml({ result, plotly: await plotlySource() });
    await writeFile(outputs.html, [new TextEncoder().encode(report)]);
  }
  if (outputs.png !== undefined) {
    const { reportFigures } = await import("../plot/index.js");
    const { renderPng } = await import("../node/browser/render-png.js");
    const { png } = outputs;
    await renderPng(reportFigures(result), png, { signal: io.signal }).catch((error) => {
      throw noFolder(png, error);
    });
  }
}

/** What writes rows is loaded only for them. */
async function writeRows(io: Io, { csv, parquet }: Outputs, result: Result | ReportSweep): Promise<void> {
  const { csvParts, hasIntervalRows, intervalRowsOf, parquetOf, rowsOf } = await import("../data/index.js");
  const settings = "points" in result ? result.points : result;
  const intervals = hasIntervalRows(settings);
  if (csv === "-") for (const part of csvParts(rowsOf(settings))) io.stdout.write(part);
  else if (csv !== undefined) {
    const write = (path: string, rows: Iterable<LongRow>) => writeFile(path, encoded(csvParts(rows), io));
    await write(csv, rowsOf(settings));
    if (intervals) await write(besides(csv, "intervals"), intervalRowsOf(settings));
  }
  if (parquet !== undefined) {
    const told = { nestwalk: result.nestwalk, config: JSON.stringify(result.config) };
    const write = (path: string, rows: Iterable<LongRow>) => writeFile(path, [parquetOf(rows, told)]);
    await write(parquet, rowsOf(settings));
    if (intervals) await write(besides(parquet, "intervals"), intervalRowsOf(settings));
  }
}

function* encoded(parts: Iterable<string>, io: Io): Generator<Uint8Array, void> {
  const encoder = new TextEncoder();
  for (const part of parts) {
    stopIfInterrupted(io);
    yield encoder.encode(part);
  }
}

/** "out.csv" as "out.intervals.csv". */
export function besides(path: string, what: string): string {
  const dot = path.lastIndexOf(".");
  const named = dot > path.search(/[^/\\]*$/);
  return named ? `${path.slice(0, dot)}.${what}${path.slice(dot)}` : `${path}.${what}`;
}
