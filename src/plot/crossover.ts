import { techniqueName } from "../config/technique.js";
import { grouped } from "../report/numbers.js";
import type { MachineResult, Result } from "../result.js";
import { brief } from "./context.js";
import type { Figure, FigureOptions } from "./figure.js";
import { panelsFigure, type XAxis } from "./panels.js";
import { accessesOf, seriesOf } from "./series.js";

/** Stores into page tables per million accesses, of what a guest did. */
export function tableUpdateRate(machine: MachineResult): number {
  return (1e6 * (machine.counters.tableWrites ?? 0)) / accessesOf(machine);
}

/**
 * Shadow against nested paging by the guest's table-update rate, from the results of guests that differ in it, such as
 * `nestwalk trace synth table-updates --rate N` makes. All results have the same techniques in the same order.
 */
export function crossoverFigure(results: readonly Result[], options: FigureOptions = {}): Figure {
  const sorted = [...results]
    .filter(({ machines }) => machines.length > 0)
    .map((result) => ({ result, rate: tableUpdateRate(result.machines[0]!) }))
    .sort((a, b) => a.rate - b.rate);
  if (sorted.length === 0) throw new RangeError("crossoverFigure needs at least one result with machines");
  const series = seriesOf(sorted[0]!.result.machines);
  const rates = sorted.map(({ rate }) => rate);
  const costs = series.map((_, i) =>
    sorted.map(({ result }) => {
      const own = result.machines[i];
      return own === undefined ? null : own.cycles.total / accessesOf(own);
    }),
  );
  const place = (technique: string) => series.findIndex((one) => one.technique === technique);
  const shadow = place("shadow");
  const nested = series.findIndex(({ machine }) => machine.technique === "nested");
  const crossings = shadow < 0 || nested < 0 ? [] : crossingsOf(rates, costs[shadow]!, costs[nested]!);
  const scale = rateScale(rates);
  const nestedName = nested < 0 ? "nested" : series[nested]!.name;
  return panelsFigure(
    {
      id: "crossover",
      title: titleOf(crossings, nestedName, costs[shadow], costs[nested]),
      subtitle: `CPU ${sorted[0]!.result.machines[0]!.config.cpu}, host pages of ${sorted[0]!.result.machines[0]!.config.host.page}`,
      alt: `Lines of cycles per access against table updates per million accesses, ${grouped(Math.round(rates[0]!))} to ${grouped(Math.round(rates.at(-1)!))}: ${series.map(({ name }, i) => `${name} ${costs[i]!.map((c) => (c === null ? "-" : brief(c))).join(", ")}`).join("; ")}. ${crossings.length === 0 ? "Shadow and nested paging do not cross." : `They cross at ${crossings.map(({ x }) => grouped(Math.round(x))).join(" and ")}.`}`,
      table: {
        columns: [
          "table updates per million accesses",
          ...series.map(({ name }) => `${name}, cycles per access`),
        ],
        rows: sorted.map(({ rate }, p) => [rate, ...series.map((_, i) => costs[i]![p]!)]),
      },
      x: {
        title: "table updates by the guest per million accesses",
        ...scale.axis,
        marks: crossings.map(({ x, after, share }) => ({
          x: scale.between(rates[after]!, rates[after + 1]!, share),
          text: `equal at ${grouped(Math.round(x))}`,
        })),
      },
      panels: [
        {
          title: "cycles per access",
          lines: series.map(({ name, style }, i) => ({
            name,
            style,
            x: rates.map(scale.place),
            y: costs[i]!,
            draw: "both" as const,
          })),
        },
      ],
    },
    options,
  );
}

const FACTOR = 20;

/**
 * Rates that differ by large factors go by their logarithm. A rate of 0 has none: it stands at the left, marked as 0, a power
 * of ten below the least.
 */
function rateScale(rates: readonly number[]): {
  axis: Omit<XAxis, "title">;
  place: (rate: number) => number;
  /** A share of the way that a straight line on the axis goes. */
  between: (from: number, to: number, share: number) => number;
} {
  const positive = rates.filter((rate) => rate > 0);
  const [least, most] = [positive[0] ?? 1, positive.at(-1) ?? 1];
  if (most / least < FACTOR)
    return {
      axis: { type: "linear", short: true },
      place: (rate) => rate,
      between: (from, to, share) => from + (to - from) * share,
    };
  const zero = least / 10;
  const place = (rate: number) => (rate < zero ? zero : rate);
  const powers = Array.from({ length: 20 }, (_, i) => 10 ** i).filter(
    (n) => n >= least / 2 && n <= most * 1.1,
  );
  const nought = rates[0] === 0 ? [{ at: zero, text: "0" }] : [];
  return {
    axis: { type: "log", ticks: [...nought, ...powers.map((at) => ({ at, text: grouped(at) }))] },
    place,
    between: (from, to, share) => place(from) * (place(to) / place(from)) ** share,
  };
}

/** Where two lines cross: at `x`, a `share` of the way from one point to the next, of which the first is point `after`. */
export interface Crossing {
  x: number;
  after: number;
  share: number;
}

/** Where one line crosses the other, on straight lines between the points. */
export function crossingsOf(
  x: readonly number[],
  a: readonly (number | null)[],
  b: readonly (number | null)[],
): Crossing[] {
  const found: Crossing[] = [];
  for (let i = 1; i < x.length; i++) {
    const [a0, a1, b0, b1] = [a[i - 1], a[i], b[i - 1], b[i]];
    if (a0 == null || a1 == null || b0 == null || b1 == null) continue;
    const [before, after] = [a0 - b0, a1 - b1];
    if (before === 0 || before > 0 === after > 0) continue;
    const share = before / (before - after);
    found.push({ x: x[i - 1]! + (x[i]! - x[i - 1]!) * share, after: i - 1, share });
  }
  return found;
}

function titleOf(
  crossings: readonly Crossing[],
  nested: string,
  shadowCosts: readonly (number | null)[] | undefined,
  nestedCosts: readonly (number | null)[] | undefined,
): string {
  if (shadowCosts === undefined || nestedCosts === undefined) return "Cycles by the rate of table updates";
  if (crossings.length === 1) {
    const cheaper = shadowCosts[0]! < nestedCosts[0]! ? "shadow" : nested;
    return `Below ${grouped(Math.round(crossings[0]!.x))} table updates per million accesses ${cheaper} is cheaper, above it ${cheaper === "shadow" ? nested : "shadow"}`;
  }
  if (crossings.length === 0)
    return `${(shadowCosts[0] ?? 0) < (nestedCosts[0] ?? 0) ? "shadow" : nested} is cheaper at every rate of table updates`;
  return `shadow and ${nested} cross at ${crossings.map(({ x }) => grouped(Math.round(x))).join(" and ")} table updates per million accesses`;
}

/** Whether results have both sides of the comparison. */
export function comparesTechniques(result: Result): boolean {
  const names = result.machines.map(techniqueName);
  return names.includes("shadow") && result.machines.some(({ technique }) => technique === "nested");
}
