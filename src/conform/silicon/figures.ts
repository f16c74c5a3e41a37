import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { BrowserError, renderPng, writeFileAtomic } from "../../node.js";
import type { Figure } from "../../plot/figure.js";
import { type Panel, panelsFigure } from "../../plot/panels.js";
import { seriesStyle } from "../../plot/theme.js";
import type { Point } from "./chase.js";
import { errorsOf } from "./errors.js";
import type { Measured } from "./tables.js";

/** What was measured and what the model makes of it: a figure for each table. */

export interface PlottedColumn {
  name: string;
  measured: readonly Measured[];
  model: readonly Point[];
}

export interface PlottedTable {
  /** Of letters, digits and hyphens. */
  id: string;
  /** What the curves are of. */
  subject: string;
  /** What N counts. */
  unit: string;
  columns: readonly PlottedColumn[];
}

const MOST_PER_PANEL = 5;
const PANEL_HEIGHT = 300;

/** Each column's measured points and its modelled line, as far as both go; columns that are too many for one panel go below. */
export function figureOf({ id, subject, unit, columns }: PlottedTable): Figure {
  const pairs = columns.map(({ name, measured, model }) => {
    const at = new Map(measured.map((m) => [m.n, m.cycles]));
    return {
      name,
      points: model.map(({ n, cycles }) => ({ n, measured: at.get(n)!, model: Number(cycles.toFixed(3)) })),
    };
  });
  const medians = columns.map(({ measured, model }) => 100 * errorsOf(measured, model).median);
  const [least, most] = [Math.min(...medians), Math.max(...medians)].map((x) => x.toFixed(1));
  const within = least === most ? `${most} %` : `${least} to ${most} %`;
  const panels: Panel[] = [];
  const each = Math.ceil(pairs.length / Math.ceil(pairs.length / MOST_PER_PANEL));
  for (let from = 0; from < pairs.length; from += each)
    panels.push(panelOf(pairs.slice(from, from + each), from === 0));
  const ns = pairs.flatMap(({ points }) => points.map(({ n }) => n));
  return panelsFigure(
    {
      id,
      title: `${subject}: the model is off by ${within} in the median`,
      subtitle: "points: measured; lines: model",
      alt: `Core cycles per access by ${unit}, measured and modelled, of ${columns.map(({ name }) => name).join(", ")}; the median relative error of a column is ${within}.`,
      x: { title: unit, type: "log", ticks: powersOfFour(ns) },
      panels,
      panelHeight: PANEL_HEIGHT,
      table: {
        columns: ["column", "N", "measured", "model"],
        rows: pairs.flatMap(({ name, points }) => points.map((p) => [name, p.n, p.measured, p.model])),
      },
    },
    {},
  );
}

interface Pair {
  name: string;
  points: readonly { n: number; measured: number; model: number }[];
}

function panelOf(pairs: readonly Pair[], first: boolean): Panel {
  const cycles = pairs.flatMap(({ points }) => points.flatMap((p) => [p.measured, p.model]));
  return {
    title: first ? "Core cycles per access" : "",
    range: [0, 1.06 * Math.max(...cycles)],
    lines: pairs.flatMap(({ name, points }, i) => {
      const x = points.map(({ n }) => n);
      const style = seriesStyle(i);
      return [
        {
          name: `${name} measured`,
          style,
          x,
          y: points.map((p) => p.measured),
          draw: "points",
          named: false,
        },
        { name, style, x, y: points.map((p) => p.model), draw: "line" },
      ];
    }),
  };
}

function powersOfFour(ns: readonly number[]): number[] {
  const ticks: number[] = [];
  for (let n = 4; n <= Math.max(...ns); n *= 4) if (n >= Math.min(...ns)) ticks.push(n);
  return ticks;
}

/**
 * Writes each figure as plotly's JSON and as PNG. Returns what there is to say: a sentence where there is no browser to
 * draw with, in which case the JSON is there all the same.
 */
export async function writeFigures(folder: string, figures: readonly Figure[]): Promise<string | undefined> {
  await mkdir(folder, { recursive: true });
  const encoder = new TextEncoder();
  for (const { id, data, layout, config } of figures)
    await writeFileAtomic(join(folder, `${id}.json`), [
      encoder.encode(`${JSON.stringify({ data, layout, config })}\n`),
    ]);
  try {
    await renderPng(figures, folder);
    return undefined;
  } catch (error) {
    if (error instanceof BrowserError) return `NO PNG: ${error.message}`;
    throw error;
  }
}
