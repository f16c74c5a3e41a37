/** The visual language of every figure, in one place: colours, dashes, marker shapes, hatches, fonts. */

export type Theme = "light" | "dark";

/** How a series looks: told apart by colour, and without colour by dash, marker shape and hatch. */
export interface SeriesStyle {
  color: string;
  /** Dash of a line, by plotly's names. */
  dash: string;
  /** Marker shape, by plotly's names. */
  symbol: string;
  /** Hatch of a bar, by plotly's names; "" is solid. */
  pattern: string;
}

/**
 * Okabe and Ito's colours as far as they stand out from white and from near-black alike (contrast of 3:1 or more); the blue
 * a little lighter, for dark paper.
 */
export const palette: readonly string[] = ["#1a80bf", "#d55e00", "#009e73", "#cc79a7", "#767676", "#b58900"];

const STYLES: Readonly<Record<string, SeriesStyle>> = {
  native: { color: "#767676", dash: "solid", symbol: "circle", pattern: "" },
  shadow: { color: "#d55e00", dash: "dash", symbol: "square", pattern: "/" },
  ept: { color: "#1a80bf", dash: "dot", symbol: "diamond", pattern: "x" },
  npt: { color: "#009e73", dash: "dashdot", symbol: "triangle-up", pattern: "\\" },
  direct: { color: "#cc79a7", dash: "longdash", symbol: "cross", pattern: "-" },
};

const DASHES = ["solid", "dash", "dot", "dashdot", "longdash", "longdashdot"];
const SYMBOLS = ["circle", "square", "diamond", "triangle-up", "cross", "x", "star", "hexagon"];
const PATTERNS = ["", "/", "x", "\\", "-", ".", "+", "|"];

/** The look of a technique, the same in every figure; of any other name, that of the n-th series. */
export function techniqueStyle(name: string, nth = 0): SeriesStyle {
  return (Object.hasOwn(STYLES, name) ? STYLES[name] : undefined) ?? seriesStyle(nth);
}

/** The look of the n-th series where the series are no techniques. */
export function seriesStyle(nth: number): SeriesStyle {
  const of = (list: readonly string[]) => list[nth % list.length]!;
  return { color: of(palette), dash: of(DASHES), symbol: of(SYMBOLS), pattern: of(PATTERNS) };
}

/** Colours of what surrounds the data, for figures and for the page that they stand in. */
export interface PageColors {
  paper: string;
  /** A surface beside the paper: table heads, code. */
  raised: string;
  ink: string;
  muted: string;
  line: string;
  /** Links and the focus ring. */
  accent: string;
  good: string;
  bad: string;
}

export const pageColors: Readonly<Record<Theme, PageColors>> = {
  light: {
    paper: "#ffffff",
    raised: "#f3f4f6",
    ink: "#1a1c20",
    muted: "#565b65",
    line: "#d5d8de",
    accent: "#005c99",
    good: "#00694c",
    bad: "#a33c00",
  },
  dark: {
    paper: "#15171b",
    raised: "#20242a",
    ink: "#eceef1",
    muted: "#a9afb9",
    line: "#3a3f48",
    accent: "#6cbcf0",
    good: "#4fd0a5",
    bad: "#ff9e64",
  },
};

/**
 * From none to most, of the heat maps: of one hue, so that it reads the same without colour. The step in the middle leaves
 * out what neither dark nor white figures can be read on.
 */
const HEAT: Readonly<Record<Theme, readonly [number, string][]>> = {
  light: [
    [0, "#f7f9fb"],
    [0.3, "#cfe1ef"],
    [0.6, "#9fc6e2"],
    [0.6, "#2474ab"],
    [1, "#004e80"],
  ],
  dark: [
    [0, "#1c2026"],
    [0.3, "#1e3d54"],
    [0.6, "#25618a"],
    [0.6, "#7bbdec"],
    [1, "#c4e6fb"],
  ],
};

export const fontFamily =
  'system-ui, -apple-system, "Segoe UI", Roboto, "Open Sans", "DejaVu Sans", Arial, sans-serif';

/** Plotly's `layout.template`: all of a figure that depends on the theme, and nothing else does. */
export function template(theme: Theme): Record<string, unknown> {
  const { paper, ink, muted, line } = pageColors[theme];
  const axis = {
    gridcolor: line,
    linecolor: muted,
    tickcolor: muted,
    zerolinecolor: muted,
    tickfont: { color: ink },
    title: { font: { size: 13, color: ink } },
    zeroline: false,
    showline: true,
    ticks: "outside",
    ticklen: 4,
    automargin: true,
  };
  return {
    layout: {
      font: { family: fontFamily, size: 13, color: ink },
      title: { font: { size: 16, color: ink }, subtitle: { font: { size: 12, color: muted } } },
      paper_bgcolor: paper,
      plot_bgcolor: paper,
      colorway: [...palette],
      xaxis: axis,
      yaxis: axis,
      hoverlabel: { bgcolor: paper, bordercolor: muted, font: { color: ink, family: fontFamily } },
      legend: { bgcolor: "rgba(0,0,0,0)", font: { color: ink } },
      modebar: { bgcolor: "rgba(0,0,0,0)", color: muted, activecolor: ink },
      annotationdefaults: { showarrow: false, font: { color: ink } },
      shapedefaults: { line: { color: muted, width: 1 } },
    },
    data: { heatmap: [{ type: "heatmap", colorscale: HEAT[theme] }] },
  };
}
