import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { UsageError } from "../../cli/io.js";

/** The measured curves: a table per experiment, a group of columns per arm. */

export interface Measured {
  n: number;
  cycles: number;
  /** Median over runs of each run's minimum: how much the point moves. */
  spread: number;
}

export interface Column {
  experiment: string;
  name: string;
  points: Measured[];
}

export function parseCsv(text: string): string[][] {
  return text
    .split(/\r?\n/)
    .filter((line) => line.trim() !== "")
    .map((line) => line.split(","));
}

/** Endings of the columns that hold an arm's smallest cycles, and the median of its runs. */
const CYCLES = /:cyc(?:les)?_min$/;
const SPREADS = [":cyc_med_of_run_min", ":cycles_med_of_run_min"];

/** The columns of one table; an `extra` column makes an arm of each of its values. */
export function columnsOf(experiment: string, text: string): Column[] {
  const [head = [], ...rows] = parseCsv(text.replace(/^\uFEFF/, ""));
  const titles = head.map((title) => title.trim());
  const nAt = titles.indexOf("N");
  if (nAt < 0) throw new UsageError(`${experiment}.csv has no column N in its first line`);
  const extraAt = titles.indexOf("extra");
  const columns = new Map<string, Column>();
  for (const [at, title] of titles.entries()) {
    if (!CYCLES.test(title)) continue;
    const arm = title.replace(CYCLES, "");
    if (extraAt < 0) columns.set(arm, { experiment, name: arm, points: [] });
    const spreadAt = titles.findIndex((t) => SPREADS.some((ending) => t === arm + ending));
    for (const row of rows) {
      const n = numberOf(row[nAt]);
      const cycles = numberOf(row[at]);
      if (n === undefined || cycles === undefined) continue;
      if (!Number.isInteger(n))
        throw new UsageError(`${experiment}.csv: N is ${row[nAt]}, not a whole number`);
      const name = extraAt < 0 ? arm : `${arm}_${row[extraAt]!.trim()}`;
      let column = columns.get(name);
      if (column === undefined) {
        column = { experiment, name, points: [] };
        columns.set(name, column);
      }
      column.points.push({ n, cycles, spread: numberOf(row[spreadAt]) ?? cycles });
    }
  }
  for (const { points } of columns.values()) points.sort((a, b) => a.n - b.n);
  return [...columns.values()];
}

/** A measured number; none where the field is empty, not a number, or not above zero. */
function numberOf(field: string | undefined): number | undefined {
  const value = field === undefined || field.trim() === "" ? Number.NaN : Number(field);
  return value > 0 && value < Number.POSITIVE_INFINITY ? value : undefined;
}

/** Every table of a folder and the folders below it, by the name of its file. */
export async function readTables(folder: string): Promise<Column[]> {
  const names = await readdir(folder, { recursive: true }).catch((error: NodeJS.ErrnoException) => {
    throw new UsageError(
      error.code === "ENOENT" || error.code === "ENOTDIR"
        ? `there is no folder ${folder}`
        : `${folder} cannot be read: ${error.message}`,
    );
  });
  const columns: Column[] = [];
  for (const name of names.sort()) {
    const experiment = /(?:^|[/\\])(exp\d[a-z]?)\.csv$/.exec(name)?.[1];
    if (experiment === undefined) continue;
    columns.push(...columnsOf(experiment, await readFile(join(folder, name), "utf8")));
  }
  return columns;
}
