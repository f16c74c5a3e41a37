import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";

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

export function columnsOf(experiment: string, text: string): Column[] {
  const [head = [], ...rows] = parseCsv(text);
  const columns: Column[] = [];
  for (const [at, title] of head.entries()) {
    if (!title.endsWith(":cyc_min")) continue;
    const name = title.slice(0, -":cyc_min".length);
    const spreadAt = head.indexOf(`${name}:cyc_med_of_run_min`);
    const points = rows
      .filter((row) => row[at] !== undefined && row[at] !== "")
      .map((row) => ({
        n: Number(row[0]),
        cycles: Number(row[at]),
        spread: Number((spreadAt >= 0 && row[spreadAt]) || row[at]),
      }));
    if (points.length > 0) columns.push({ experiment, name, points });
  }
  return columns;
}

/** Every table of a folder and the folders below it, by the name of its file. */
export async function readTables(folder: string): Promise<Column[]> {
  const names = await readdir(folder, { recursive: true });
  const columns: Column[] = [];
  for (const name of names.sort()) {
    const experiment = /(?:^|[/\\])(exp\d[a-z]?)\.csv$/.exec(name)?.[1];
    if (experiment === undefined) continue;
    columns.push(...columnsOf(experiment, await readFile(join(folder, name), "utf8")));
  }
  return columns;
}
