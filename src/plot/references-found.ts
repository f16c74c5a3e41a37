import { fixed } from "../report/numbers.js";
import type { Result } from "../result.js";
import { contextOf, listedFew } from "./context.js";
import { faint } from "./cycles.js";
import {
  type Figure,
  type FigureOptions,
  framed,
  label,
  legendAbove,
  namesAxis,
  namesWidth,
  roomOf,
  widthOf,
} from "./figure.js";
import { type Series, seriesOf } from "./series.js";

/** Counters of where a reference was found, the nearest first. */
const PLACES = [
  ["entryCacheHits", "page-walk cache", "", 0.15],
  ["tableLinesL1", "L1D", "", 0.45],
  ["tableLinesL2", "L2", "", 1],
  ["tableLinesL3", "L3", "/", 1],
  ["tableLinesMemory", "memory", "x", 1],
] as const;

/** Whether a result says where references were found: it does not where caches are not modelled. */
export function knowsPlaces({ machines }: Result): boolean {
  return machines.some(({ counters }) => PLACES.some(([counter]) => (counters[counter] ?? 0) > 0));
}

/** Where the page-table entries that walks read were found: references per walk by level of the cache hierarchy. */
export function referencesFoundFigure(result: Result, options: FigureOptions = {}): Figure {
  const series = seriesOf(result.machines);
  const some = PLACES.filter(([counter]) =>
    series.some(({ machine }) => (machine.counters[counter] ?? 0) > 0),
  );
  /* Bars of nothing, where nothing was read. */
  const places = some.length > 0 ? some : PLACES.slice(1, 2);
  const perWalk = ({ machine }: Series, counter: string) =>
    (machine.counters[counter] ?? 0) / (machine.counters.walks || 1);
  const names = series.map(({ name }) => name);
  const data = places.map(([counter, name, pattern, opacity]) => ({
    type: "bar",
    orientation: "h",
    name,
    y: names,
    x: series.map((one) => perWalk(one, counter)),
    customdata: series.map(({ machine }) => machine.counters[counter] ?? 0),
    width: 0.62,
    marker: {
      color: series.map(({ style }) => faint(style.color, opacity)),
      line: { color: series.map(({ style }) => style.color), width: 1 },
      ...(pattern === ""
        ? {}
        : { pattern: { shape: pattern, fillmode: "replace", size: 7, solidity: 0.28 } }),
    },
    hovertemplate: `%{y}, ${name}: %{x:.4f} references per walk<br>%{customdata:,} references<extra></extra>`,
  }));
  const ends = series.map((_, i) => data.reduce((sum, { x }) => sum + x[i]!, 0));
  const far = series.map(
    ({ machine }) => (machine.counters.tableLinesMemory ?? 0) + (machine.counters.tableLinesL3 ?? 0),
  );
  const { width, narrow } = roomOf(options);
  const texts = series.map(({ machine }, i) => [
    `<b>${fixed(ends[i]!, 2)}</b>`,
    `${percentOf(far[i]!, machine.counters.tableReferences ?? 0)} past L2`,
  ]);
  const left = namesWidth(names, options);
  const right = Math.max(...texts.map((text) => widthOf(narrow ? text[1]! : text.join(", ")))) + 16;
  const entry = Math.max(0, ...places.map(([, name]) => widthOf(name, 12))) + 60;
  const rows = Math.ceil(places.length / Math.max(1, Math.floor((width - left - right) / entry)));
  return framed(
    {
      id: "references-found",
      title:
        some.length === 0
          ? "No references found"
          : `References found past L2: ${listedFew(series.map(({ name, machine }, i) => `${name} ${percentOf(far[i]!, machine.counters.tableReferences ?? 0)}`))}`,
      subtitle: contextOf(result),
      alt: `Stacked bars of where page-table entries were found: ${series.map(({ name, machine }) => `${name} ${places.map(([counter, place]) => `${machine.counters[counter] ?? 0} in ${place}`).join(", ")}`).join("; ")}.`,
      table: {
        columns: ["machine", "walks", "references", ...places.map(([, name]) => name)],
        rows: series.map(({ name, machine }) => [
          name,
          machine.counters.walks ?? 0,
          machine.counters.tableReferences ?? 0,
          ...places.map(([counter]) => machine.counters[counter] ?? 0),
        ]),
      },
      data,
      height: 20 + series.length * 46,
      margin: { left, right, top: 18 + rows * 20, bottom: 54 },
      layout: {
        barmode: "stack",
        ...(some.length === 0 ? {} : legendAbove),
        xaxis: {
          title: { text: "references per walk" },
          range: [0, (Math.max(...ends, 0) || 1) * 1.01],
          nticks: narrow ? 4 : 6,
          tickangle: 0,
        },
        yaxis: namesAxis(names, options),
        annotations: texts.map((text, i) =>
          label(text.join(narrow ? "<br>" : ", "), { x: ends[i]!, y: names[i]!, xshift: 6 }),
        ),
      },
    },
    options,
  );
}

function percentOf(part: number, whole: number): string {
  return whole === 0 ? "-" : `${fixed((100 * part) / whole, 1)} %`;
}
