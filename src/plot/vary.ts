import { techniqueName } from "../config/technique.js";
import { grouped } from "../report/numbers.js";
import type { MachineResult, Result } from "../result.js";
import { contextOf, listed, slug } from "./context.js";
import type { Cell, Figure, FigureOptions } from "./figure.js";
import { type Panel, panelsFigure, type XAxis } from "./panels.js";
import { accessesOf, seriesOf } from "./series.js";

export type Setting = string | number | boolean;

/** What was varied. */
export interface SweepAxis {
  key: string;
  values: readonly Setting[];
}

/** A result, and what was set to have it: a value for each axis. */
export interface SweepPoint {
  at: Readonly<Record<string, Setting>>;
  result: Result;
}

/** Results of one trace with keys varied. */
export interface Sweep {
  axes: readonly SweepAxis[];
  points: readonly SweepPoint[];
}

/** Against the first key with several values: cost, hit rate and walks; a figure for each setting of the other keys. */
export function varyFigures(sweep: Sweep, options: FigureOptions = {}): Figure[] {
  const axis = sweep.axes.find(({ values }) => values.length > 1) ?? sweep.axes[0];
  if (axis === undefined || sweep.points.length === 0) return [];
  const groups = new Map<string, SweepPoint[]>();
  for (const point of sweep.points) {
    const others = sweep.axes
      .filter(({ key, values }) => key !== axis.key && values.length > 1)
      .map(({ key }) => `${key}=${point.at[key]}`)
      .join(", ");
    groups.set(others, [...(groups.get(others) ?? []), point]);
  }
  return [...groups].map(([others, points], i) => varyFigure(axis, points, others, i, options));
}

interface Measure {
  title: string;
  column: string;
  suffix?: string;
  of: (machine: MachineResult) => number | null;
}

const MEASURES: readonly Measure[] = [
  { title: "cycles per access", column: "cycles per access", of: (m) => m.cycles.total / accessesOf(m) },
  {
    title: "hit rate of the TLBs, all levels together",
    column: "TLB hit rate, %",
    suffix: " %",
    of: tlbHitRate,
  },
  {
    title: "page walks per 1,000 accesses",
    column: "walks per 1,000 accesses",
    of: (m) => (1000 * (m.counters.walks ?? 0)) / accessesOf(m),
  },
  {
    title: "references per walk",
    column: "references per walk",
    of: (m) => (m.counters.walks ? (m.counters.tableReferences ?? 0) / m.counters.walks : null),
  },
  {
    title: "VM exits per 1,000 accesses",
    column: "exits per 1,000 accesses",
    of: (m) => (1000 * (m.counters.exits ?? 0)) / accessesOf(m),
  },
];

const FIRST_LEVEL = ["l1d", "l1i", "l1s"];
const SECOND_LEVEL = ["l2", "l2i"];

/** Share of the lookups that some TLB answered, in percent; null without lookups. */
export function tlbHitRate({ structures }: MachineResult): number | null {
  const sum = (cell: "lookups" | "misses", names: string[]) =>
    names.reduce((total, name) => total + (structures[name]?.[cell] ?? 0), 0);
  const first = sum("lookups", FIRST_LEVEL);
  const second = sum("lookups", SECOND_LEVEL);
  if (first === 0) return null;
  return 100 * (1 - sum("misses", second > 0 ? SECOND_LEVEL : FIRST_LEVEL) / first);
}

function varyFigure(
  axis: SweepAxis,
  points: readonly SweepPoint[],
  others: string,
  nth: number,
  options: FigureOptions,
): Figure {
  const first = points[0]!;
  const series = seriesOf(first.result.machines);
  const x = points.map(({ at }) => at[axis.key]!);
  const scale = scaleOf(axis, x);
  const values = (measure: Measure, machine: number) =>
    points.map(({ result }) => {
      const own = result.machines[machine];
      return own === undefined ? null : measure.of(own);
    });
  const drawn = MEASURES.map((measure) => ({
    measure,
    columns: series.map((_, machine) => values(measure, machine)),
  })).filter(
    ({ measure, columns }) =>
      measure === MEASURES[0] || columns.some((column) => column.some((v) => v !== null && v !== 0)),
  );
  const panels: Panel[] = drawn.map(({ measure, columns }) => ({
    title: measure.title,
    ...(measure.suffix === undefined ? {} : { suffix: measure.suffix }),
    lines: series.map(({ name, style }, i) => ({
      name,
      style,
      x: scale.type === "category" ? x.map(String) : (x as number[]),
      y: columns[i]!,
      draw: "both" as const,
    })),
  }));
  return panelsFigure(
    {
      id: `vary-${slug(axis.key)}${nth === 0 ? "" : `-${nth + 1}`}`,
      title: titleOf(axis, points),
      subtitle: `${contextOf(first.result)}${others === "" ? "" : `; ${others}`}`,
      alt: `Lines against ${axis.key} at ${listed(x.map(String))}${others === "" ? "" : ` with ${others}`}: ${series.map(({ name }, i) => `${name} ${drawn[0]!.columns[i]!.map((v) => (v === null ? "-" : v.toFixed(3))).join(", ")} cycles per access`).join("; ")}.`,
      table: {
        columns: [axis.key, "machine", "cycles", ...drawn.map(({ measure }) => measure.column)],
        rows: points.flatMap((point, p) =>
          series.map(({ name }, i): Cell[] => [
            cellOf(point.at[axis.key]!),
            name,
            point.result.machines[i]?.cycles.total ?? null,
            ...drawn.map(({ columns }) => columns[i]![p]!),
          ]),
        ),
      },
      x: { title: axis.key, ...scale },
      panels,
      panelHeight: 120,
    },
    options,
  );
}

function cellOf(value: Setting): Cell {
  return typeof value === "boolean" ? String(value) : value;
}

/** An axis for what was varied: names side by side, numbers by size, and those that grow by factors by their logarithm. */
function scaleOf({ values }: SweepAxis, x: readonly Setting[]): Omit<XAxis, "title"> {
  const numbers = x.filter((value): value is number => typeof value === "number");
  if (numbers.length < x.length || numbers.length < 2) return { type: "category", ticks: values.map(String) };
  const [low, high] = [Math.min(...numbers), Math.max(...numbers)];
  const short = high >= 10_000;
  if (low > 0 && high / low >= 6)
    return { type: "log", ticks: [...new Set(numbers)].sort((a, b) => a - b), short: false };
  return { type: "linear", ticks: numbers, short };
}

function titleOf(axis: SweepAxis, points: readonly SweepPoint[]): string {
  const ranges = points[0]!.result.machines.map((machine, i) => {
    const costs = points.map(({ result }) => {
      const own = result.machines[i];
      return own === undefined ? 0 : own.cycles.total / accessesOf(own);
    });
    const [from, to] = [costs[0]!, costs.at(-1)!];
    return { name: techniqueName(machine), from, to, change: from === 0 ? 0 : to / from - 1 };
  });
  const most = ranges.reduce((a, b) => (Math.abs(b.change) > Math.abs(a.change) ? b : a));
  const [low, high] = [points[0]!.at[axis.key]!, points.at(-1)!.at[axis.key]!];
  if (Math.abs(most.change) < 0.0005)
    return `${axis.key} from ${say(low)} to ${say(high)} changes no machine's cycles`;
  const percent = `${most.change < 0 ? "−" : "+"}${(100 * Math.abs(most.change)).toFixed(1)} %`;
  return `${axis.key} from ${say(low)} to ${say(high)}: ${most.name} changes most, ${percent} cycles per access`;
}

function say(value: Setting): string {
  return typeof value === "number" && Number.isInteger(value) ? grouped(value) : String(value);
}
