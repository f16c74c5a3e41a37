import { columns } from "../../report/columns.js";
import type { Paint } from "../../report/style.js";
import type { GridCell, ReferenceStep, Step, WalkView } from "../types.js";

/** The two-dimensional walk: in each cell which reference of the walk it was, or a mark for why it was none. */
export function gridLines({ grid }: WalkView, steps: readonly Step[], paint: Paint): string[] {
  const first = grid[0];
  if (first === undefined || first.cells.length < 2) return [];
  const marks = new Map<string, string>();
  const head = ["", ...first.cells.map(({ hostLevel, name }) => (hostLevel === 0 ? "entry" : name))];
  const rows = grid.map(({ name, cells }) => [name, ...cells.map((cell) => cellText(cell, steps, marks))]);
  const [top, ...rest] = columns([head, ...rows]).map((line) => `  ${line}`);
  return [
    paint("head", top!),
    ...rest,
    ...[...marks].map(([why, mark]) => paint("dim", `  ${mark} ${why}`)),
    "",
  ];
}

const MARKS = [".", ":", "=", "+", "*", "~", "^", "%"];

function cellText(
  { step, order, skippedBy }: GridCell,
  steps: readonly Step[],
  marks: Map<string, string>,
): string {
  if (step !== undefined) {
    const { source } = steps[step] as ReferenceStep;
    return source === "flat" ? String(order) : `${order} ${SHORT[source] ?? source}`;
  }
  const why = skippedBy ?? "not reached";
  if (why === "not reached") return "";
  if (!marks.has(why)) marks.set(why, MARKS[marks.size] ?? "?");
  return marks.get(why)!;
}

const SHORT: Record<string, string> = { memory: "mem", entryCache: "PWC" };
