import type { Cell, Figure, FigureOptions } from "./figure.js";
import { type Panel, panelsFigure, type XAxis } from "./panels.js";
import { type SeriesStyle, seriesStyle } from "./theme.js";

/** A series of a figure of lines and points. */
export interface PlottedSeries {
  name: string;
  x: readonly number[];
  y: readonly (number | null)[];
  /** What was measured is drawn as points, a model as a line; default a line with points. */
  draw?: "line" | "points" | "both";
  /** Series of one number look alike: what was measured, and the model of it. Default: the series' own. */
  look?: number;
  style?: SeriesStyle;
  /** Whether its name stands at its right end; default true. */
  named?: boolean;
}

export interface LinesDraft {
  id: string;
  title: string;
  subtitle?: string;
  alt: string;
  x: XAxis;
  y: { title: string; range?: readonly [number, number]; log?: boolean; suffix?: string };
  series: readonly PlottedSeries[];
  /** Height of the plotting area in CSS pixels; default 300. */
  height?: number;
}

/** Lines and points over one pair of axes, in the language of all figures. */
export function linesFigure(draft: LinesDraft, options: FigureOptions = {}): Figure {
  const { series, y, height, ...rest } = draft;
  const panel: Panel = {
    ...y,
    lines: series.map((one, i) => ({
      name: one.name,
      style: one.style ?? seriesStyle(one.look ?? i),
      x: one.x,
      y: one.y,
      draw: one.draw ?? "both",
      ...(one.named === undefined ? {} : { named: one.named }),
    })),
  };
  return panelsFigure(
    {
      ...rest,
      panels: [panel],
      ...(height === undefined ? {} : { panelHeight: height }),
      table: {
        columns: ["series", draft.x.title, y.title],
        rows: series.flatMap((one) => one.x.map((x, i): Cell[] => [one.name, x, one.y[i] ?? null])),
      },
    },
    options,
  );
}
