import { label, widthOf } from "./figure.js";
import type { Line, Panel } from "./panels.js";

const LABEL_LINE = 16;
/** A piece of the line before its name: from the plotting area, and how long, in CSS pixels. */
const SAMPLE_GAP = 8;
const SAMPLE = 22;

/** What a name needs beside the plotting area, in CSS pixels. */
export function nameWidth(name: string): number {
  return widthOf(name, 12) + SAMPLE_GAP + SAMPLE + 14;
}

/** Where a line's name belongs: its last value; of steps, which go up and down, the mean of the last tenth. */
function endOf({ y, draw }: Line): number | undefined {
  const values = y.filter((value): value is number => value !== null);
  const last = values.slice(draw === "steps" ? -Math.ceil(values.length / 10) : -1);
  return last.length === 0 ? undefined : last.reduce((a, b) => a + b, 0) / last.length;
}

interface PlacedEnd {
  line: Line;
  /** CSS pixels above the foot of the panel. */
  at: number;
}

/** Where the names of the lines stand: at their ends, pushed apart where they would cover each other. */
export function placedEnds(
  { lines, log }: Panel,
  [from, to]: readonly [number, number],
  height: number,
): PlacedEnd[] {
  const scale = (value: number) => (log ? Math.log10(value) : value);
  const ends = lines
    .filter((line) => line.named !== false)
    .map((line) => ({ line, y: endOf(line) }))
    .filter((end): end is { line: Line; y: number } => end.y !== undefined)
    .map(({ line, y }) => ({ line, at: ((scale(y) - scale(from)) / (scale(to) - scale(from))) * height }))
    .sort((a, b) => a.at - b.at);
  let floor = 4;
  for (const end of ends) {
    end.at = Math.max(end.at, floor);
    floor = end.at + LABEL_LINE;
  }
  let ceiling = Math.max(height, 4 + LABEL_LINE * (ends.length - 1));
  for (const end of ends.toReversed()) {
    end.at = Math.round(Math.min(end.at, ceiling));
    ceiling = end.at - LABEL_LINE;
  }
  return ends;
}

/** The name of a line, `at` CSS pixels above the foot of its panel. */
export function nameOf({ name }: Line, at: number, foot: number) {
  return label(name, {
    xref: "paper",
    x: 1,
    xshift: SAMPLE_GAP + SAMPLE + 4,
    yref: "paper",
    y: foot,
    yshift: at,
    font: { size: 12 },
  });
}

/** A piece of a line, beside its name. */
export function sampleOf({ style, draw }: Line, at: number, foot: number) {
  const dash = draw === "points" ? "dot" : style.dash;
  return {
    type: "line",
    xref: "paper",
    xsizemode: "pixel",
    xanchor: 1,
    x0: SAMPLE_GAP,
    x1: SAMPLE_GAP + SAMPLE,
    yref: "paper",
    ysizemode: "pixel",
    yanchor: foot,
    y0: at,
    y1: at,
    line: { color: style.color, dash, width: 2 },
  };
}
