import { counted, fixed } from "../report/numbers.js";
import type { Result } from "../result.js";
import { contextOf, fromZero, listedFew } from "./context.js";
import { type Figure, type FigureOptions, framed, label, roomOf } from "./figure.js";
import { type Series, seriesOf } from "./series.js";

const ROW = 78;
const GAP = 34;
/** Elements of `walkLengths`; the last of them holds everything longer too. */
const LONGEST = 63;

/** References per walk: for each machine, the share of its walks that made so many. */
export function walkLengthsFigure(result: Result, options: FigureOptions = {}): Figure {
  const series = seriesOf(result.machines);
  const most = Math.max(1, ...series.map(({ machine }) => machine.walkLengths.length - 1));
  const height = series.length * (ROW + GAP) - GAP + 8;
  const shares = series.map(({ machine }) => {
    const walks = walksOf(machine.walkLengths) || 1;
    return machine.walkLengths.map((count) => (100 * count) / walks);
  });
  const range = fromZero(shares.flat(), 1.15);
  const domain = (i: number) => {
    const top = 1 - (i * (ROW + GAP)) / height;
    return [Math.max(0, top - ROW / height), top];
  };
  const axis = (i: number) => (i === 0 ? "" : String(i + 1));
  const { narrow } = roomOf(options);
  return framed(
    {
      id: "walk-lengths",
      title: titleOf(series),
      subtitle: contextOf(result),
      alt: `Histograms of references per page walk, one for each machine: ${series.map(sayMachine).join("; ")}.`,
      table: {
        columns: ["references", ...series.map(({ name }) => `${name}, walks`)],
        rows: Array.from({ length: most + 1 }, (_, n) => [
          n === LONGEST ? `${n} or more` : n,
          ...series.map(({ machine }) => machine.walkLengths[n] ?? 0),
        ]),
      },
      data: series.map(({ name, style, machine }, i) => ({
        type: "bar",
        name,
        x: machine.walkLengths.map((_, n) => n),
        y: shares[i],
        customdata: machine.walkLengths,
        xaxis: "x",
        yaxis: `y${axis(i)}`,
        width: 0.8,
        marker: {
          color: style.color,
          line: { color: style.color, width: 1 },
          ...(style.pattern === ""
            ? {}
            : { pattern: { shape: style.pattern, fillmode: "replace", size: 6, solidity: 0.4 } }),
        },
        hovertemplate: `${name}: %{customdata:,} walks of %{x} references (%{y:.2f} %)<extra></extra>`,
      })),
      height,
      margin: { left: 56, top: 36, bottom: 54 },
      layout: {
        xaxis: {
          title: { text: narrow ? "references in a walk" : "references in a walk (page-table entries read)" },
          range: [-0.6, most + 0.6],
          dtick: most > 40 ? 8 : most > 12 ? (narrow ? 4 : 2) : 1,
          tick0: 0,
          anchor: `y${axis(series.length - 1)}`,
          showgrid: false,
        },
        ...Object.fromEntries(
          series.map((_, i) => [
            `yaxis${axis(i)}`,
            { domain: domain(i), range, nticks: 3, ticksuffix: " %", anchor: "x" },
          ]),
        ),
        annotations: series.map((one, i) =>
          label(`<b>${one.name}</b>  ${rowLabel(one, narrow)}`, {
            xref: "paper",
            x: 0,
            yref: "paper",
            y: domain(i)[1]!,
            yanchor: "bottom",
            yshift: 4,
          }),
        ),
      },
    },
    options,
  );
}

function walksOf(lengths: readonly number[]): number {
  return lengths.reduce((sum, count) => sum + count, 0);
}

function mean({ machine }: Series): number {
  return (machine.counters.tableReferences ?? 0) / (machine.counters.walks || 1);
}

function rowLabel({ machine, ...one }: Series, narrow: boolean): string {
  const walks = walksOf(machine.walkLengths);
  if (walks === 0) return "no walks";
  const average = `mean ${fixed(mean({ machine, ...one }), 2)}`;
  const figures = `${average}, longest ${machine.counters.walkReferencesMax ?? 0}`;
  return narrow ? average : `${figures}, of ${counted(walks, "walk")}`;
}

function sayMachine(one: Series): string {
  return `${one.name} ${rowLabel(one, false)}`;
}

function titleOf(series: readonly Series[]): string {
  const walked = series.filter(({ machine }) => walksOf(machine.walkLengths) > 0);
  if (walked.length === 0) return "No page walks";
  return `References per walk: ${listedFew(walked.map((one) => `${one.name} ${fixed(mean(one), 2)}`))}`;
}
