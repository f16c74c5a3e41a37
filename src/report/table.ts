import type { Result } from "../result.js";
import {
  type ComparisonRow,
  comparisonHeading,
  comparisonRows,
  comparisonVerdicts,
  type Sentence,
} from "./comparison.js";
import { type Paint, plain } from "./style.js";
import { wrapped } from "./text.js";

export interface TableOptions {
  /** Columns of the terminal, 0 or undefined if unknown; never more than 100 are used, nor fewer than 40. */
  width?: number | undefined;
  paint?: Paint;
}

const MOST_WIDTH = 100;
const LEAST_WIDTH = 40;
const LEAST_COLUMN = 9;
const GAP = 2;

/** The readable comparison: lines for a terminal. */
export function comparisonTable(result: Result, options: TableOptions = {}): string[] {
  const paint = options.paint ?? plain;
  const width = Math.max(LEAST_WIDTH, Math.min(options.width || MOST_WIDTH, MOST_WIDTH));
  const [title, ...about] = comparisonHeading(result);
  const lines = [
    paint(title!.tone, title!.text),
    ...about.flatMap((line) => sentence(line, paint, width)),
    "",
  ];
  const rows = comparisonRows(result);
  const label = Math.max(...rows.map((row) => indented(row).length));
  const cells = result.machines.map((_, i) =>
    Math.max(LEAST_COLUMN, ...rows.map((row) => (row.cells?.[i] ?? "").length)),
  );
  for (const block of blocks(cells, width - label)) {
    for (const row of rows) lines.push(rowLine(row, label, block, cells, paint));
    lines.push("");
  }
  for (const line of comparisonVerdicts(result)) lines.push(...sentence(line, paint, width));
  return lines;
}

function sentence({ tone, text }: Sentence, paint: Paint, width: number): string[] {
  return wrapped(text, width).map((line) => paint(tone, line));
}

function indented({ label, indent }: ComparisonRow): string {
  return "  ".repeat(indent) + label;
}

/** Machines that fit beside each other, by index; what does not fit comes below. */
function blocks(cells: readonly number[], room: number): number[][] {
  const found: number[][] = [[]];
  let left = room;
  for (const [i, cell] of cells.entries()) {
    const last = found.at(-1)!;
    if (left < cell + GAP && last.length > 0) {
      found.push([i]);
      left = room - cell - GAP;
    } else {
      last.push(i);
      left -= cell + GAP;
    }
  }
  return found;
}

function rowLine(row: ComparisonRow, label: number, block: number[], widths: number[], paint: Paint): string {
  const cells = row.cells
    ? block.map((i) => " ".repeat(GAP) + row.cells![i]!.padStart(widths[i]!)).join("")
    : "";
  const line = (indented(row).padEnd(label) + cells).trimEnd();
  return row.tone && line !== "" ? paint(row.tone, line) : line;
}
