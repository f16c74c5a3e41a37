import { UsageError } from "../cli/io.js";
import { findPreset, type MachineConfig, resolveConfig } from "../config/index.js";
import { ablations } from "./silicon/ablations.js";
import { columnHeader, compareColumn } from "./silicon/column.js";
import { figureOf, type PlottedColumn, writeFigures } from "./silicon/figures.js";
import { compareNative } from "./silicon/native.js";
import { readTables } from "./silicon/tables.js";
import { suiteArguments, Tally } from "./suite.js";

const usage = `npm run conform -- silicon DIR [--cpu NAME] [--ablate NAME] [--set key.path=value] [--only PATTERN] [--every N] [--plots DIR]

Replays the pointer chases of every table in DIR through the core and holds cycles per access against what was
measured. A column passes with a median relative error of at most 10 %, and within 2 points of the reference
replay's. Native CPUs (instlat.csv) pass when their curve bends where the measured one does, and when translation
costs what was measured, within 15 %. --ablate takes one mechanism away, and shows the error with and without it:
${Object.keys(ablations).join(", ")}.
`;

const options = {
  cpu: { type: "string", default: "zen5" },
  ablate: { type: "string" },
  set: { type: "string", multiple: true },
  only: { type: "string" },
  every: { type: "string", default: "1" },
  plots: { type: "string", default: "build/silicon" },
} as const;

const percent = (x: number) => (100 * x).toFixed(1);

export async function conformSilicon(
  args: readonly string[],
  write: (text: string) => void,
): Promise<number> {
  const { values, positionals } = suiteArguments(args, usage, options);
  if (values.help) {
    write(usage);
    return 0;
  }
  const [folder] = positionals;
  if (folder === undefined || positionals.length > 1) throw new UsageError(usage);
  const config = machine(values.cpu, values.ablate, values.set ?? []);
  const whole = values.ablate === undefined ? undefined : machine(values.cpu, undefined, values.set ?? []);
  const pattern = values.only === undefined ? undefined : patternOf(values.only);
  const chosen = (label: string) => pattern?.test(label) ?? true;
  const columns = (await readTables(folder)).filter((c) => chosen(`${c.experiment} ${c.name}`));
  const every = Number(values.every);
  if (!(Number.isInteger(every) && every >= 1))
    throw new UsageError(`--every takes a whole number from 1, not "${values.every}"`);
  write(columnHeader());
  const tally = new Tally();
  const means: number[] = [];
  const wholeMeans: number[] = [];
  const plotted = new Map<string, PlottedColumn[]>();
  for (const column of columns) {
    const line = compareColumn(column, config, every, whole);
    write(line.text);
    if (line.model === undefined) continue;
    const table = line.passed === undefined ? `${column.experiment}-uncounted` : column.experiment;
    const beside = plotted.get(table) ?? [];
    plotted.set(table, beside);
    beside.push({ name: column.name, measured: column.points, model: line.model });
    if (line.passed === undefined) continue;
    means.push(line.mean);
    if (line.wholeMean !== undefined) wholeMeans.push(line.wholeMean);
    tally.add(line.passed);
  }
  const native = await compareNative(folder, chosen, values.set ?? []);
  for (const line of native.lines) {
    write(`${line.text.trimEnd()}${line.passed === false ? "  FAILED" : ""}\n`);
    if (line.passed !== undefined) tally.add(line.passed);
  }
  if (columns.length === 0 && native.lines.length === 0)
    throw new UsageError(`${folder} has no table${pattern ? ` that ${values.only} matches` : ""}`);
  const machineName = values.ablate === undefined ? values.cpu : `${values.cpu}-${values.ablate}`;
  const tables = [...plotted].map(([table, columns]) => ({
    id: `${table}-${machineName}`,
    subject: `${table} on ${machineName}`,
    unit: table === "exp2t" ? "Regions (N)" : "Nodes of the chase (N)",
    columns,
  }));
  const unwritten = await writeFigures(values.plots, [...tables, ...native.plots].map(figureOf));
  if (unwritten !== undefined) write(`${unwritten}\n`);
  if (means.length > 0)
    write(
      `mean error of ${means.length} columns: ${average(means)} %${without(values.ablate, wholeMeans)}\n`,
    );
  write(tally.line);
  return tally.exitCode;
}

const average = (xs: readonly number[]) => percent(xs.reduce((a, b) => a + b) / xs.length);

function without(ablated: string | undefined, wholeMeans: readonly number[]): string {
  return ablated === undefined || wholeMeans.length === 0
    ? ""
    : ` (${ablated}; with the mechanism ${average(wholeMeans)} %)`;
}

function patternOf(text: string): RegExp {
  try {
    return new RegExp(text);
  } catch (error) {
    throw new UsageError(`--only: ${(error as Error).message}`);
  }
}

function machine(cpu: string, ablate: string | undefined, set: readonly string[]): MachineConfig {
  const without =
    ablate === undefined ? [] : Object.hasOwn(ablations, ablate) ? ablations[ablate] : undefined;
  if (without === undefined)
    throw new UsageError(`no ablation "${ablate}": ${Object.keys(ablations).join(", ")}`);
  const format = findPreset(cpu).values.vendor.value === "intel" ? "ept" : "npt";
  return resolveConfig({ cpu, set: ["technique=nested", `format=${format}`, ...without, ...set] });
}
