import { techniqueName } from "../config/technique.js";
import { counted, grouped } from "../report/numbers.js";
import type { MachineResult } from "../result.js";
import { brief, short, slug } from "./context.js";
import { type Figure, type FigureOptions, framed, roomOf } from "./figure.js";

/** Rows and columns of a walk's grid: levels from the top, then 0. */
export interface GridLevels {
  guest: number;
  host: number;
}

const CELL_HEIGHT = 46;
const NARROW_CELL_HEIGHT = 40;
const MOST_CELL_WIDTH = 110;
const LEFT = 96;

/** A row of the grid: a level of the guest's tables, or the final address. */
export function guestLabel(level: number, technique: string): string {
  if (level === 0) return "final address";
  return technique === "native"
    ? `L${level}`
    : technique === "shadow"
      ? `shadow L${level}`
      : `guest L${level}`;
}

/** A column of the grid: a level of the host's tables, or the guest's entry itself. */
export function hostLabel(level: number, hostLevels: number): string {
  if (level > 0) return `host L${level}`;
  return hostLevels > 0 ? "guest entry" : "entry";
}

/** From the highest level that the guest's tables have down to 0. */
export function down(levels: number, least = 0): number[] {
  return Array.from({ length: levels - least + 1 }, (_, i) => levels - i);
}

/** What all heat maps of walks share: a cell is an entry of a walk, in the order of the walk from left to right and down. */
export function gridLayout(rows: readonly string[], columns: readonly string[], options: FigureOptions) {
  const { width, narrow } = roomOf(options);
  const cell = narrow ? NARROW_CELL_HEIGHT : CELL_HEIGHT;
  const right = Math.max(16, width - LEFT - columns.length * MOST_CELL_WIDTH);
  const short = columns.map((name) => name.replace(" ", "<br>"));
  return {
    height: rows.length * cell,
    margin: { left: LEFT, right, top: narrow ? 44 : 42, bottom: 14 },
    layout: {
      xaxis: {
        side: "top",
        tickvals: columns.map((_, i) => i),
        ticktext: narrow || columns.length > 5 ? short : columns,
        range: [-0.5, columns.length - 0.5],
        ticks: "",
        showline: false,
        showgrid: false,
        tickangle: 0,
        tickfont: { size: narrow ? 10 : 12 },
      },
      yaxis: {
        tickvals: rows.map((_, i) => i),
        ticktext: rows,
        range: [rows.length - 0.5, -0.5],
        ticks: "",
        showline: false,
        showgrid: false,
        ticklabelstandoff: 6,
        tickfont: { size: narrow ? 11 : 12 },
      },
    },
  };
}

/** Levels of the tables that a machine walked: at least those of its longest walk, which may lie before what was counted. */
export function levelsOf(machine: MachineResult): GridLevels {
  const { references, counters, config } = machine;
  const rows = references.findLastIndex((row) => row.some((count) => count > 0));
  const host = machine.technique === "nested" ? config.host.levels : 0;
  const longest = Math.ceil(((counters.walkReferencesMax ?? 0) + 1) / (host + 1)) - 1;
  return { guest: Math.max(1, rows, longest), host };
}

export interface WalkGridOptions extends FigureOptions {
  /** What the machine is called; default: by its technique. */
  name?: string;
}

/**
 * The walk as a grid: guest levels down, host levels across, and in each square how often a walk read that entry.
 * Native and shadow walks have one column.
 */
export function walkGridFigure(machine: MachineResult, options: WalkGridOptions = {}): Figure {
  const technique = techniqueName(machine);
  const name = options.name ?? technique;
  const levels = levelsOf(machine);
  const guest = down(levels.guest, levels.host > 0 ? 0 : 1);
  const host = down(levels.host);
  const walks = machine.counters.walks ?? 0;
  const count = (g: number, h: number) => machine.references[g]?.[h] ?? 0;
  const exists = (g: number, h: number) => g > 0 || h > 0;
  const cells = guest.map((g) => host.map((h) => (exists(g, h) ? count(g, h) / (walks || 1) : null)));
  const rows = guest.map((g) => guestLabel(g, technique));
  const columns = host.map((h) => hostLabel(h, levels.host));
  const { height, margin, layout } = gridLayout(rows, columns, options);
  const { narrow } = roomOf(options);
  const total = machine.counters.tableReferences ?? 0;
  const busiest = guest
    .flatMap((g) => host.map((h) => ({ g, h, n: count(g, h) })))
    .reduce((most, cell) => (cell.n > most.n ? cell : most), { g: 0, h: 0, n: 0 });
  const perWalk = brief(total / (walks || 1));
  const largest = (levels.guest + 1) * (levels.host + 1) - 1;
  const most =
    busiest.n === 0
      ? "none made"
      : `most often ${guestLabel(busiest.g, technique)}${levels.host > 0 ? `, ${hostLabel(busiest.h, levels.host)}` : ""}`;
  return framed(
    {
      id: `walk-${slug(name)}`,
      title: `${name}: a walk reads ${perWalk} of up to ${counted(largest, "entry", "entries")}`,
      subtitle: `Share of ${counted(walks, "walk")} that read each entry${narrow ? "" : "; below it how many"}`,
      alt: `Heat map of the page walks of ${name}, guest level by host level: ${grouped(total)} references in ${counted(walks, "walk")}, ${most}.`,
      table: {
        columns: ["guest level", ...columns.map((column) => `${column}, references`)],
        rows: guest.map((g, i) => [rows[i]!, ...host.map((h) => (exists(g, h) ? count(g, h) : null))]),
      },
      data: [
        {
          type: "heatmap",
          z: cells,
          customdata: guest.map((g) => host.map((h) => count(g, h))),
          text: guest.map((g, i) =>
            host.map((h, k) => (cells[i]![k] === null ? "" : cellText(count(g, h), cells[i]![k]!, narrow))),
          ),
          texttemplate: "%{text}",
          textfont: { size: narrow ? 10 : 12 },
          zmin: 0,
          zmax: 1,
          showscale: false,
          xgap: 2,
          ygap: 2,
          hoverongaps: false,
          hovertemplate: "%{y}, %{x}: %{customdata:,} references, %{z:.4f} per walk<extra></extra>",
        },
      ],
      height,
      margin,
      layout,
    },
    options,
  );
}

function cellText(count: number, share: number, narrow: boolean): string {
  if (count === 0) return "–";
  const percent = 100 * share;
  const said = percent >= 9.95 ? percent.toFixed(0) : percent >= 0.095 ? percent.toFixed(1) : "<0.1";
  return narrow ? `${said}%` : `<b>${said} %</b><br>${count < 1e7 ? grouped(count) : short(count)}`;
}
