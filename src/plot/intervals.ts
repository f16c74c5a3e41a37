import type { Intervals } from "../intervals.js";
import { counted, grouped } from "../report/numbers.js";
import { optionName } from "../request/option-names.js";
import type { Result } from "../result.js";
import { brief, contextOf, listedFew } from "./context.js";
import type { Cell, Figure, FigureOptions } from "./figure.js";
import { type Panel, panelsFigure } from "./panels.js";
import { type Series, seriesOf } from "./series.js";
import type { SeriesStyle } from "./theme.js";

export const intervalMetrics = ["cycles", "misses", "walks", "references", "exits", "workingSet"] as const;
export type IntervalMetric = (typeof intervalMetrics)[number];

export interface IntervalsOptions extends FigureOptions {
  /** Panels, from the top; those in which nothing happens are left out. Default all but references. */
  metrics?: readonly IntervalMetric[];
}

const STANDARD: readonly IntervalMetric[] = ["cycles", "misses", "walks", "exits", "workingSet"];
const MOST_MARKS = 30;
/** Most steps of a line: neighbours among more intervals are drawn as one. */
const MOST_STEPS = 1500;

const TITLES: Readonly<Record<IntervalMetric, string>> = {
  cycles: "cycles per access",
  misses: "misses of the last TLB per 1,000 accesses",
  walks: "page walks per 1,000 accesses",
  references: "page-table references per 1,000 accesses",
  exits: "VM exits per 1,000 accesses",
  workingSet: "working set: 4 KiB pages accessed",
};

/** What an interval of a machine counted; its unit is that of `TITLES` before it is divided by the accesses. */
export function intervalCounts(intervals: Intervals, metric: IntervalMetric): number[] {
  switch (metric) {
    case "cycles":
      return [...(intervals.cycles.total ?? [])];
    case "misses": {
      const { l1d, l1i, l1s, l2, l2i } = intervals.misses;
      return l2 || l2i ? summed([l2, l2i]) : summed([l1d, l1i, l1s]);
    }
    case "exits":
      return summed(Object.values(intervals.exits), intervals.end.length);
    default:
      return [...intervals[metric]];
  }
}

function summed(columns: readonly (readonly number[] | undefined)[], length = 0): number[] {
  const present = columns.filter((column) => column !== undefined);
  return Array.from({ length: Math.max(length, ...present.map((c) => c.length)) }, (_, i) =>
    present.reduce((sum, column) => sum + (column[i] ?? 0), 0),
  );
}

const PER: Readonly<Record<IntervalMetric, number>> = {
  cycles: 1,
  misses: 1000,
  walks: 1000,
  references: 1000,
  exits: 1000,
  workingSet: 0,
};

/** What is drawn of an interval: per access, per 1,000 accesses, or the count itself. */
export function intervalRates(intervals: Intervals, metric: IntervalMetric): number[] {
  const per = PER[metric];
  return intervalCounts(intervals, metric).map((n, i) =>
    per === 0 ? n : (per * n) / (intervals.accesses[i] || 1),
  );
}

export function hasIntervals({ machines }: Result): boolean {
  return machines.some(({ intervals }) => (intervals?.end.length ?? 0) > 0);
}

/** The same figures in at most `most` intervals: neighbours put together, of the working set the largest. */
export function merged(intervals: Intervals, most: number): Intervals {
  const each = Math.ceil(intervals.end.length / most);
  if (each <= 1) return intervals;
  const groups = Array.from({ length: Math.ceil(intervals.end.length / each) }, (_, i) => i * each);
  const over = (values: readonly number[], put: (group: readonly number[]) => number) =>
    groups.map((from) => put(values.slice(from, from + each)));
  const sums = (values: readonly number[]) => over(values, (group) => group.reduce((a, b) => a + b, 0));
  const all = (columns: object): Record<string, number[]> =>
    Object.fromEntries(Object.entries(columns).map(([name, values]) => [name, sums(values as number[])]));
  const { markers: _, ...rest } = intervals;
  return {
    ...rest,
    every: intervals.every === "markers" ? "markers" : intervals.every * each,
    end: over(intervals.end, (group) => group.at(-1)!),
    accesses: sums(intervals.accesses),
    workingSet: over(intervals.workingSet, (group) => Math.max(...group)),
    misses: all(intervals.misses),
    walks: sums(intervals.walks),
    references: sums(intervals.references),
    exits: all(intervals.exits),
    exitCycles: all(intervals.exitCycles),
    cycles: all(intervals.cycles),
  };
}

interface Sampled extends Series {
  intervals: Intervals;
}

/** Time series over the trace: what each interval cost and counted. Throws RangeError for a result without intervals. */
export function intervalsFigure(result: Result, options: IntervalsOptions = {}): Figure {
  const series: Sampled[] = seriesOf(result.machines).flatMap((one) => {
    const { intervals } = one.machine;
    return intervals === undefined ? [] : [{ ...one, intervals: merged(intervals, MOST_STEPS) }];
  });
  const [first] = series;
  if (first === undefined)
    throw new RangeError(
      `the result holds no intervals; compare with an interval (${optionName("interval", "N")}) to have them`,
    );
  const { end, every, markers } = first.intervals;
  const start = (end[0] ?? 0) - (first.intervals.accesses[0] ?? 0);
  const x = [start, ...end];
  const metrics = options.metrics ?? STANDARD;
  const panels = metrics
    .map((metric) => panelOf(series, metric, x))
    .filter(({ lines }) => lines.some(({ y }) => y.some((value) => value !== 0)));
  const each = every === "markers" ? "between markers" : `of ${counted(every, "access", "accesses")}`;
  const marks =
    every === "markers" && end.length <= MOST_MARKS
      ? end.flatMap((at, i) => (markers?.[i] == null ? [] : [{ x: at, text: String(markers[i]) }]))
      : [];
  return panelsFigure(
    {
      id: "intervals",
      title: titleOf(series),
      subtitle: `${contextOf(result)}; ${counted(end.length, "interval")} ${each}`,
      alt: `Time series over the trace in ${counted(end.length, "interval")} ${each}: ${metrics.map((metric) => `${TITLES[metric]}, ${series.map((one) => `${one.name} ${spread(intervalRates(one.intervals, metric))}`).join(", ")}`).join("; ")}.`,
      table: {
        columns: [
          "to access",
          "accesses",
          ...series.flatMap(({ name }) => metrics.map((metric) => `${name}, ${metric}`)),
        ],
        rows: end.map((at, i): Cell[] => [
          at,
          first.intervals.accesses[i]!,
          ...series.flatMap(({ intervals }) =>
            metrics.map((metric) => intervalCounts(intervals, metric)[i] ?? 0),
          ),
        ]),
      },
      x: { title: "accesses replayed", short: true, marks },
      panels,
    },
    options,
  );
}

const NEUTRAL: SeriesStyle = { color: "#767676", dash: "solid", symbol: "circle", pattern: "" };

function panelOf(series: readonly Sampled[], metric: IntervalMetric, x: readonly number[]): Panel {
  const rates = series.map(({ intervals }) => intervalRates(intervals, metric));
  /* The working set is the guest's: one line where all machines saw the same. */
  const same = metric === "workingSet" && rates.every((values) => values.every((v, i) => v === rates[0]![i]));
  const lines = series.slice(0, same ? 1 : undefined).map(({ name, style }, i) => ({
    name: same && series.length > 1 ? "guest" : name,
    style: same && series.length > 1 ? NEUTRAL : style,
    x,
    y: [...rates[i]!, rates[i]!.at(-1) ?? null],
    draw: "steps" as const,
  }));
  const most = rates.flat().reduce((a, b) => Math.max(a, b), 0);
  return { title: TITLES[metric], lines, range: [0, most === 0 ? 1 : most * 1.08] };
}

function spread(values: readonly number[]): string {
  const [low, high] = values.reduce(
    ([a, b], v) => [Math.min(a, v), Math.max(b, v)],
    [Number.POSITIVE_INFINITY, 0],
  );
  const say = (n: number) => (n >= 100 ? grouped(Math.round(n)) : String(Number(n.toPrecision(3))));
  return low === high ? say(high) : `${say(low)} to ${say(high)}`;
}

function titleOf(series: readonly Sampled[]): string {
  const peaks = series.map(
    (one) => `${one.name} ${brief(Math.max(0, ...intervalRates(one.intervals, "cycles")))}`,
  );
  return `Most expensive interval, cycles per access: ${listedFew(peaks)}`;
}
