import { type Figure, type FigureOptions, framed, label, roomOf, type Table } from "./figure.js";
import { nameOf, nameWidth, placedEnds, sampleOf } from "./line-names.js";
import type { SeriesStyle } from "./theme.js";

/** A line, or points, of a panel. */
export interface Line {
  name: string;
  style: SeriesStyle;
  x: readonly (number | string)[];
  y: readonly (number | null)[];
  /** `steps`: each value holds from its x to the next. */
  draw: "line" | "points" | "both" | "steps";
  /** Named at its right end; a line that goes with another is not. */
  named?: boolean;
}

/** One plotting area, with an axis of its own. */
export interface Panel {
  /** What is plotted and its unit, above it. */
  title: string;
  lines: readonly Line[];
  /** From zero unless that would hide the differences. */
  range?: readonly [number, number];
  log?: boolean;
  suffix?: string;
}

export interface XAxis {
  title: string;
  type?: "linear" | "log" | "category";
  /** Values that are marked, instead of round ones. */
  ticks?: readonly (number | string | { at: number; text: string })[];
  /** Numbers shortened: 2M. */
  short?: boolean;
  /** Texts of vertical lines, by where they stand. */
  marks?: readonly { x: number; text: string }[];
}

export interface PanelsDraft {
  id: string;
  title: string;
  subtitle?: string;
  alt: string;
  table: Table;
  x: XAxis;
  panels: readonly Panel[];
  /** Height of each panel in CSS pixels. */
  panelHeight?: number;
}

const TITLE_ROOM = 40;

/** Panels below each other over one x axis, the lines named at their right ends. */
export function panelsFigure(draft: PanelsDraft, options: FigureOptions): Figure {
  const { panels, x } = draft;
  const { narrow } = roomOf(options);
  const each = draft.panelHeight ?? (panels.length === 1 ? 300 : panels.length === 2 ? 190 : 130);
  const height = panels.length * (each + TITLE_ROOM) - TITLE_ROOM;
  const domain = (i: number): [number, number] => {
    const top = 1 - (i * (each + TITLE_ROOM)) / height;
    return [Math.max(0, top - each / height), top];
  };
  const axis = (i: number) => (i === 0 ? "" : String(i + 1));
  const ranges = panels.map((panel) => panel.range ?? rangeOf(panel));
  const named = panels.flatMap(({ lines }) =>
    lines.filter((line) => line.named !== false).map(({ name }) => name),
  );
  /* What is alone needs no dash to be told apart. */
  const alone = panels.every(({ lines }) => lines.length === 1);
  const right = Math.max(16, ...named.map(nameWidth));
  const ends = panels.map((panel, i) => placedEnds(panel, ranges[i]!, each));
  return framed(
    {
      id: draft.id,
      title: draft.title,
      ...(draft.subtitle === undefined ? {} : { subtitle: draft.subtitle }),
      alt: draft.alt,
      table: draft.table,
      data: panels.flatMap((panel, i) =>
        panel.lines.map((line, nth) =>
          traceOf(
            alone ? solid(line) : line,
            panel,
            `y${axis(i)}`,
            x,
            covering(panel.lines, nth, ranges[i]!),
          ),
        ),
      ),
      height,
      margin: { left: 64, right, top: 36, bottom: 56 },
      layout: {
        hovermode: "closest",
        /* A finger that scrolls the page past a narrow figure does not zoom into it. */
        dragmode: narrow ? false : "zoom",
        xaxis: {
          title: { text: x.title },
          ...xAxis(x, panels, narrow),
          anchor: `y${axis(panels.length - 1)}`,
        },
        ...Object.fromEntries(
          panels.map((panel, i) => [
            `yaxis${axis(i)}`,
            {
              domain: domain(i),
              anchor: "x",
              range: panel.log ? ranges[i]!.map(Math.log10) : ranges[i],
              ...(panel.log ? { type: "log", dtick: "D2" } : { nticks: each < 150 ? 4 : 6 }),
              ...(panel.suffix === undefined ? {} : { ticksuffix: panel.suffix }),
            },
          ]),
        ),
        shapes: [
          ...(x.marks ?? []).map((mark) => ({
            type: "line",
            x0: mark.x,
            x1: mark.x,
            xref: "x",
            y0: 0,
            y1: 1,
            yref: "paper",
            layer: "below",
            line: { width: 1, dash: "dot" },
          })),
          ...ends.flatMap((placed, i) =>
            placed.map(({ line, at }) => sampleOf(alone ? solid(line) : line, at, domain(i)[0])),
          ),
        ],
        annotations: [
          ...panels.map((panel, i) =>
            label(panel.title, {
              xref: "paper",
              x: 0,
              xshift: -50,
              yref: "paper",
              y: domain(i)[1],
              yanchor: "bottom",
              yshift: 6,
              font: { size: 12 },
            }),
          ),
          ...ends.flatMap((placed, i) => placed.map(({ line, at }) => nameOf(line, at, domain(i)[0]))),
          ...(x.marks ?? []).map((mark) =>
            label(mark.text, {
              x: x.type === "log" ? Math.log10(mark.x) : mark.x,
              yref: "paper",
              y: 1,
              yanchor: "top",
              xshift: 3,
              font: { size: 11 },
            }),
          ),
        ],
      },
    },
    options,
  );
}

function solid(line: Line): Line {
  return { ...line, style: { ...line.style, dash: "solid" } };
}

/** How many of the lines drawn after it lie on a line, so that it must be wider, and paler, for both to be seen. */
function covering(lines: readonly Line[], nth: number, [from, to]: readonly [number, number]): number {
  const own = lines[nth]!;
  const near = 0.012 * (to - from);
  const lieOn = (other: Line) =>
    other.y.length === own.y.length &&
    other.y.every((value, i) => Math.abs((value ?? 0) - (own.y[i] ?? 0)) <= near);
  return own.draw === "points" ? 0 : lines.slice(nth + 1).filter(lieOn).length;
}

function traceOf(line: Line, panel: Panel, yaxis: string, x: XAxis, covered: number) {
  const { color, dash, symbol } = line.style;
  const steps = line.draw === "steps";
  const width = 2 + 3 * covered;
  return {
    type: "scatter",
    mode: line.draw === "points" ? "markers" : line.draw === "both" ? "lines+markers" : "lines",
    name: line.name,
    x: steps ? line.x : [...line.x],
    y: [...line.y],
    xaxis: "x",
    yaxis,
    ...(covered > 0 ? { opacity: 0.45 } : {}),
    ...(line.draw === "points" ? {} : { line: { color, dash, width, ...(steps ? { shape: "hv" } : {}) } }),
    ...(line.draw === "points" || line.draw === "both"
      ? { marker: { color, symbol, size: line.draw === "both" ? 8 + 5 * covered : 6 }, cliponaxis: false }
      : {}),
    hovertemplate: `${line.name}: %{y:,.4~f}${panel.suffix ?? ""}<br>${x.title} %{x}<extra></extra>`,
  };
}

function xAxis(x: XAxis, panels: readonly Panel[], narrow: boolean): Record<string, unknown> {
  const format = x.short ? { tickformat: "~s" } : {};
  if (x.type === "category")
    return {
      type: "category",
      showgrid: false,
      ...(x.ticks === undefined ? {} : { categoryarray: x.ticks }),
    };
  const values = panels
    .flatMap(({ lines }) => lines.flatMap((line) => line.x as number[]))
    .filter(Number.isFinite);
  const [low, high] = extremes(values);
  if (x.type === "log") {
    const [from, to] = [Math.log10(low), Math.log10(high)];
    const pad = (to - from || 1) * 0.03;
    const marked =
      x.ticks === undefined
        ? {}
        : {
            tickvals: x.ticks.map((tick) => (typeof tick === "object" ? tick.at : tick)),
            ticktext: x.ticks.map((tick) => (typeof tick === "object" ? tick.text : String(tick))),
          };
    return { type: "log", range: [from - pad, to + pad], ...marked, ...format };
  }
  const points = panels.some(({ lines }) => lines.some(({ draw }) => draw !== "steps"));
  const pad = points ? (high - low || 1) * 0.03 : 0;
  return {
    type: "linear",
    range: [low - pad, high === low ? low + 1 : high + pad],
    ...(apart(x.ticks, high - low, narrow) ? { tickvals: x.ticks } : { nticks: narrow ? 5 : 9 }),
    ...format,
  };
}

/** Whether marked values are so far from each other that each can be written. */
function apart(ticks: XAxis["ticks"], span: number, narrow: boolean): boolean {
  const values = (ticks ?? []).map(Number).sort((a, b) => a - b);
  const least = (narrow ? 0.16 : 0.07) * span;
  return values.length > 1 && values.every((value, i) => i === 0 || value - values[i - 1]! >= least);
}

/** Least and greatest, of any number of values. */
function extremes(values: readonly number[]): [number, number] {
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return low > high ? [0, 1] : [low, high];
}

function rangeOf({ lines, log }: Panel): [number, number] {
  const values = lines.flatMap(({ y }) => y.filter((value): value is number => value !== null));
  const [low, high] = extremes(values.filter((value) => !log || value > 0));
  if (log) return [low / 1.3, high * 1.3];
  if (low > 0.6 * high) {
    const pad = 0.12 * (high - low) || 0.05 * high;
    return [low - pad, high + pad];
  }
  return [Math.min(0, low * 1.08), high <= 0 ? 1 : high * 1.08];
}
