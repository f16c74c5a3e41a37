import { type Theme, template } from "./theme.js";

/** A table of the numbers that a figure shows, exact. */
export interface Table {
  columns: readonly string[];
  rows: readonly (readonly Cell[])[];
}

export type Cell = string | number | null;
export type PlotlyTrace = Record<string, unknown>;
export type PlotlyLayout = Record<string, unknown>;
export type PlotlyConfig = Record<string, unknown>;

/** A plotly figure as plain data, with what those who cannot see it need. `Plotly.newPlot(element, figure)` draws it. */
export interface Figure {
  /** Of letters a to z, digits and hyphens: the name of its file. */
  id: string;
  /** What is seen, in one sentence. */
  title: string;
  /** Of what, or how to read it. */
  subtitle?: string;
  /** Text alternative. */
  alt: string;
  table: Table;
  data: PlotlyTrace[];
  /** Its height in CSS pixels is set; its width is that of the element, or as asked. */
  layout: PlotlyLayout;
  config: PlotlyConfig;
}

/** What changes how a figure is laid out and written, never its numbers. */
export interface FigureOptions {
  /** Default light. */
  theme?: Theme;
  /** Width in CSS pixels that it will have (default 760); below 520 it is laid out for a narrow column. */
  width?: number;
}

export const DEFAULT_WIDTH = 760;
const NARROW = 520;

/** The space that a figure has. */
export interface Room {
  width: number;
  narrow: boolean;
}

export function roomOf({ width = DEFAULT_WIDTH }: FigureOptions): Room {
  return { width, narrow: width < NARROW };
}

/** What a figure function says of its figure; the frame round it is the same for all. */
export interface Draft {
  id: string;
  title: string;
  /** Below the title: of what the figures are. */
  subtitle?: string;
  alt: string;
  table: Table;
  data: PlotlyTrace[];
  /** Height of the plotting area in CSS pixels. */
  height: number;
  /** Room round the plotting area; above it is that of the title and what `top` adds. */
  margin?: { left?: number; right?: number; top?: number; bottom?: number };
  layout: PlotlyLayout;
}

const TITLE_LINE = 21;
const TITLE_FOOT = 15;
const SUBTITLE_LINE = 17;
/** Mean width of a character of the title and of its subtitle, in CSS pixels. */
const TITLE_CHARACTER = 9.4;
const SUBTITLE_CHARACTER = 6.9;
const EDGE = 14;

/** Puts the frame of all figures round a draft. */
export function framed(draft: Draft, options: FigureOptions): Figure {
  const { width } = roomOf(options);
  const { left = 60, right = 16, top = 8, bottom = 52 } = draft.margin ?? {};
  const room = (options.width ?? DEFAULT_WIDTH) - 2 * EDGE;
  const title = broken(draft.title, room / TITLE_CHARACTER);
  const subtitle = draft.subtitle === undefined ? [] : broken(draft.subtitle, room / SUBTITLE_CHARACTER);
  const above = EDGE + title.length * TITLE_LINE + subtitle.length * SUBTITLE_LINE + top;
  const height = Math.round(above + draft.height + bottom);
  const { id, alt, table, data } = draft;
  return {
    id,
    title: draft.title,
    ...(draft.subtitle === undefined ? {} : { subtitle: draft.subtitle }),
    alt,
    table,
    data,
    layout: {
      template: template(options.theme ?? "light"),
      ...(options.width === undefined ? { autosize: true } : { width }),
      height,
      margin: { l: left, r: right, t: above, b: bottom },
      title: {
        text: `<b>${title.map(escaped).join("<br>")}</b>`,
        x: 0,
        xref: "container",
        xanchor: "left",
        /* The first line's foot: from its top, plotly would place a title of two lines higher. */
        y: 1 - (EDGE + TITLE_FOOT) / height,
        yref: "container",
        yanchor: "bottom",
        pad: { l: EDGE },
        ...(subtitle.length === 0 ? {} : { subtitle: { text: subtitle.map(escaped).join("<br>") } }),
      },
      showlegend: false,
      dragmode: false,
      ...draft.layout,
    },
    config: {
      responsive: true,
      displaylogo: false,
      modeBarButtons: [draft.layout.dragmode ? ZOOMED : ["toImage"]],
    },
  };
}

const ZOOMED = ["zoom2d", "pan2d", "resetScale2d", "toImage"];

/** The same figure in another theme. */
export function withTheme(figure: Figure, theme: Theme): Figure {
  return { ...figure, layout: { ...figure.layout, template: template(theme) } };
}

/** The same figure without its title, where the page round it says it. */
export function withoutTitle(figure: Figure): Figure {
  const { title: _, ...layout } = figure.layout;
  const margin = layout.margin as { t: number };
  const { above } = titleRoom(figure);
  return {
    ...figure,
    layout: {
      ...layout,
      height: (layout.height as number) - above,
      margin: { ...margin, t: margin.t - above },
    },
  };
}

/** Height of a figure's title. */
function titleRoom({ layout }: Figure): { above: number } {
  const { text, subtitle } = layout.title as { text: string; subtitle?: { text: string } };
  const lines = (html: string) => html.split("<br>").length;
  return {
    above: lines(text) * TITLE_LINE + (subtitle === undefined ? 0 : lines(subtitle.text) * SUBTITLE_LINE),
  };
}

/** A text in as few lines of at most `most` characters as will do, broken at spaces, the lines about equally long. */
export function broken(text: string, most: number): string[] {
  const lines = filled(text, most);
  let width = most;
  while (width > 1 && filled(text, width - 1).length === lines.length) width--;
  return filled(text, width);
}

function filled(text: string, most: number): string[] {
  const lines: string[] = [];
  for (const word of text.replaceAll(" %", "\u00a0%").split(" ")) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= most)
      lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}

/** Text of foreign origin inside plotly's HTML-like labels, which know no other escape. */
export function escaped(text: string): string {
  return text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
}

/** A text beside a point or a bar. */
export function label(text: string, at: Record<string, unknown>): Record<string, unknown> {
  return { text, showarrow: false, xanchor: "left", yanchor: "middle", align: "left", ...at };
}

/** Width of a label of the figure's own font size, in CSS pixels, near enough for a margin. */
export function widthOf(text: string, size = 13): number {
  return Math.ceil(text.replace(/<[^>]*>/g, "").length * size * 0.58);
}

/** A legend between the title and the plotting area. */
export const legendAbove = {
  showlegend: true,
  legend: {
    orientation: "h",
    x: 0,
    xanchor: "left",
    y: 1,
    yanchor: "bottom",
    traceorder: "normal",
    font: { size: 12 },
  },
};

const NARROW_NAME = 14;

/** An axis of names, read from the top; in a narrow figure long ones take several lines. */
export function namesAxis(names: readonly string[], options: FigureOptions) {
  return {
    autorange: "reversed",
    type: "category",
    tickvals: names,
    ticktext: names.map((name) => linesOf(name, options).map(escaped).join("<br>")),
    showline: false,
    showgrid: false,
    ticks: "",
    ticklabelstandoff: 6,
  };
}

/** Margin that an axis of names needs, in CSS pixels. */
export function namesWidth(names: readonly string[], options: FigureOptions): number {
  return Math.max(0, ...names.flatMap((name) => linesOf(name, options)).map((line) => widthOf(line))) + 18;
}

function linesOf(name: string, options: FigureOptions): string[] {
  return roomOf(options).narrow ? broken(name, NARROW_NAME) : [name];
}
