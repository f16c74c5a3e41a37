import type { MachineConfig } from "../../config/index.js";
import { chase, type Point } from "./chase.js";
import { compareKnees, errorsOf } from "./errors.js";
import { armOf } from "./experiments.js";
import { publishedMedian } from "./published.js";
import type { Column } from "./tables.js";

/** One column of a table: replayed, and held against what was measured. */

export interface ColumnReport {
  text: string;
  /** Absent where the column is not replayed. */
  model?: Point[];
  mean: number;
  /** Mean error of the whole machine, where `config` lacks a mechanism. */
  wholeMean?: number;
  /** Absent where the error does not count. */
  passed?: boolean;
}

const MOST_MEDIAN = 0.1;
const MARGIN = 0.02;
const percent = (x: number) => (100 * x).toFixed(1);

export function columnHeader(): string {
  return `${"column".padEnd(26)} ${"n".padStart(3)} ${"median".padStart(7)} ${"mean".padStart(6)}  worst (measured/model)      knees measured | model\n`;
}

/**
 * Every `every`-th point of the column, as far as the measurement is uncontaminated. With `whole`, the machine of
 * which `config` lacks a mechanism, its mean error is there too.
 */
export function compareColumn(
  column: Column,
  config: MachineConfig,
  every: number,
  whole?: MachineConfig,
): ColumnReport {
  const label = `${column.experiment} ${column.name}`.padEnd(26);
  const without = (reason: string) => ({ text: `${label} not replayed: ${reason}\n`, mean: 0 });
  const arm = armOf(column.experiment, column.name);
  if (arm === undefined) return without("no chase of this name is defined");
  if (typeof arm === "string") return without(arm);
  const points = column.points.filter(({ n }, i) => n <= arm.most && i % every === 0);
  if (points.length === 0) return without(`it has no point up to ${arm.most}`);
  const ns = points.map((p) => p.n);
  const curve = chase(arm, ns, config);
  const wholeMean = whole && errorsOf(points, chase(arm, ns, whole).points).mean;
  const { median, mean, worst } = errorsOf(points, curve.points);
  const reference = publishedMedian(config.cpu, column.experiment, column.name);
  const limit = Math.min(MOST_MEDIAN, reference === undefined ? MOST_MEDIAN : reference + MARGIN);
  const holds = curve.broken.length === 0;
  const knee = compareKnees(points, curve.points);
  const at = `${percent(worst.error)} at ${worst.n} (${worst.measured.toFixed(1)}/${worst.model.toFixed(1)})`;
  const versus = wholeMean === undefined ? "" : `  mean with the mechanism ${percent(wholeMean)}`;
  const counts = arm.uncounted === undefined;
  const verdict = !counts
    ? `  not counted: ${arm.uncounted}`
    : median <= limit
      ? ""
      : `  FAILED: at most ${percent(limit)}`;
  const text = `${label} ${String(points.length).padStart(3)} ${percent(median).padStart(7)} ${percent(mean).padStart(6)}  ${at.padEnd(27)} ${knee.measured.join(" ")} | ${knee.model.join(" ")} (${knee.met.length} of ${knee.measured.length} met)${versus}${verdict}\n`;
  const laws = curve.broken.map((law) => `  law broken: ${law.name}: ${law.detail}\n`).join("");
  return {
    text: text + laws,
    model: curve.points,
    mean,
    ...(wholeMean !== undefined && { wholeMean }),
    ...((counts || !holds) && { passed: holds && median <= limit }),
  };
}
