import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { UsageError } from "../cli/io.js";
import { findPreset, type MachineConfig, resolveConfig } from "../config/index.js";
import { ablations } from "./silicon/ablations.js";
import { chase } from "./silicon/chase.js";
import { compareKnees, errorsOf } from "./silicon/errors.js";
import { armOf } from "./silicon/experiments.js";
import { compareNative } from "./silicon/native.js";
import { figureOf, type PlottedColumn } from "./silicon/plot.js";
import { publishedMedian } from "./silicon/published.js";
import { type Column, readTables } from "./silicon/tables.js";

const usage = `npm run conform -- silicon DIR [--cpu NAME] [--ablate NAME] [--set key.path=value] [--only PATTERN] [--every N] [--plots DIR]

Replays the pointer chases of every table in DIR through the core and holds cycles per access against what was
measured. A column passes with a median relative error of at most 10 %, and within 2 points of the reference
replay's. Native CPUs (instlat.csv) pass when their curve bends where the measured one does, and when translation
costs what was measured, within 15 %. --ablate takes one mechanism away: ${Object.keys(ablations).join(", ")}.
`;

const MOST_MEDIAN = 0.1;
const MARGIN = 0.02;
const percent = (x: number) => (100 * x).toFixed(1);

export async function conformSilicon(
  args: readonly string[],
  write: (text: string) => void,
): Promise<number> {
  const { values, positionals } = parse(args);
  if (values.help) {
    write(usage);
    return 0;
  }
  const [folder] = positionals;
  if (folder === undefined || positionals.length > 1) throw new UsageError(usage);
  const config = machine(values.cpu, values.ablate, values.set ?? []);
  const pattern = values.only === undefined ? undefined : new RegExp(values.only);
  const chosen = (label: string) => pattern?.test(label) ?? true;
  const columns = (await readTables(folder)).filter((c) => chosen(`${c.experiment} ${c.name}`));
  const every = Number(values.every);
  write(header());
  let passed = 0;
  let failed = 0;
  const means: number[] = [];
  const figures = new Map<string, PlottedColumn[]>();
  for (const column of columns) {
    const line = report(column, config, every);
    write(line.text);
    if (line.model === undefined) continue;
    means.push(line.mean!);
    line.passed ? ++passed : ++failed;
    const figure = figures.get(column.experiment) ?? [];
    figures.set(column.experiment, figure);
    figure.push({ name: column.name, measured: column.points, model: line.model });
  }
  const native = await compareNative(folder, chosen, values.set ?? []);
  for (const line of native.lines) {
    write(`${line.text.trimEnd()}${line.passed === false ? "  FAILED" : ""}\n`);
    if (line.passed !== undefined) line.passed ? ++passed : ++failed;
  }
  if (passed + failed === 0) throw new UsageError(`no table of ${folder} is chosen`);
  for (const [name, plotted] of native.plots) figures.set(name, plotted);
  await writePlots(values.plots, config.cpu, figures);
  if (means.length > 0)
    write(
      `mean error of ${means.length} columns: ${percent(means.reduce((a, b) => a + b) / means.length)} %\n`,
    );
  write(`${passed} passed, ${failed} failed\n`);
  return failed === 0 ? 0 : 1;
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        cpu: { type: "string", default: "zen5" },
        ablate: { type: "string" },
        set: { type: "string", multiple: true },
        only: { type: "string" },
        every: { type: "string", default: "1" },
        plots: { type: "string", default: "build/silicon" },
        help: { type: "boolean", short: "h" },
      },
    });
  } catch (error) {
    throw new UsageError(`${(error as Error).message}\n${usage}`);
  }
}

function machine(cpu: string, ablate: string | undefined, set: readonly string[]): MachineConfig {
  const without = ablate === undefined ? [] : ablations[ablate];
  if (without === undefined)
    throw new UsageError(`no ablation "${ablate}": ${Object.keys(ablations).join(", ")}`);
  const format = findPreset(cpu).values.vendor.value === "intel" ? "ept" : "npt";
  return resolveConfig({ cpu, set: ["technique=nested", `format=${format}`, ...without, ...set] });
}

function header(): string {
  return `${"column".padEnd(26)} ${"n".padStart(3)} ${"median".padStart(7)} ${"mean".padStart(6)}  worst (measured/model)      knees measured | model\n`;
}

function report(column: Column, config: MachineConfig, every: number) {
  const label = `${column.experiment} ${column.name}`.padEnd(26);
  const arm = armOf(column.experiment, column.name);
  if (arm === undefined) return { text: `${label} not known\n` };
  if (typeof arm === "string") return { text: `${label} not replayed: ${arm}\n` };
  const points = column.points.filter(({ n }, i) => n <= arm.most && i % every === 0);
  if (points.length === 0) return { text: `${label} has no point up to ${arm.most}\n` };
  const curve = chase(
    arm,
    points.map((p) => p.n),
    config,
  );
  const errors = errorsOf(points, curve.points);
  const reference = publishedMedian(config.cpu, column.experiment, column.name);
  const limit = Math.min(MOST_MEDIAN, reference === undefined ? MOST_MEDIAN : reference + MARGIN);
  const passed = errors.median <= limit && curve.broken.length === 0;
  const { worst } = errors;
  const knee = compareKnees(points, curve.points);
  const at = `${percent(worst.error)} at ${worst.n} (${worst.measured.toFixed(1)}/${worst.model.toFixed(1)})`;
  const text = `${label} ${String(errors.points).padStart(3)} ${percent(errors.median).padStart(7)} ${percent(errors.mean).padStart(6)}  ${at.padEnd(27)} ${knee.measured.join(" ")} | ${knee.model.join(" ")} (${knee.met.length} of ${knee.measured.length} met)${passed ? "" : `  FAILED: at most ${percent(limit)}`}\n`;
  const laws = curve.broken.map((law) => `  law broken: ${law.name}: ${law.detail}\n`).join("");
  return { text: text + laws, model: curve.points, passed, mean: errors.mean };
}

async function writePlots(folder: string, cpu: string, figures: Map<string, PlottedColumn[]>): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (const [experiment, columns] of figures) {
    const figure = figureOf(`${experiment}, ${cpu}: measured and modelled`, columns);
    await writeFile(join(folder, `${experiment}-${cpu}.json`), `${JSON.stringify(figure)}\n`);
  }
}
