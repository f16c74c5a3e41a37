import { cycleParts } from "../report/cycle-parts.js";
import { fixed, overhead } from "../report/numbers.js";
import type { Result } from "../result.js";
import { contextOf, listed } from "./context.js";
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
import { accessesOf, type Series, seriesOf } from "./series.js";
import type { SeriesStyle } from "./theme.js";

export interface CyclesOptions extends FigureOptions {
  /**
   * `added`, the default: cycles per access beside those of issuing it, which are the same in every machine.
   * `all`: every part, in percent of native's cycles, or of the first machine's where native is missing.
   */
  parts?: "added" | "all";
}

type Part = (typeof cycleParts)[number][0];

/** A part's look: the machine's colour, full or faint, and a hatch of its own. */
const LOOKS: Readonly<Record<Part, { pattern: string; opacity: number }>> = {
  issue: { pattern: "", opacity: 0.12 },
  tlb: { pattern: "", opacity: 0.4 },
  walk: { pattern: "", opacity: 1 },
  walkerQueue: { pattern: ".", opacity: 1 },
  data: { pattern: "-", opacity: 1 },
  exitHardware: { pattern: "/", opacity: 1 },
  exitHandler: { pattern: "x", opacity: 1 },
  kernel: { pattern: "|", opacity: 1 },
};

/** Where the cycles go: a bar for each machine, its parts stacked. */
export function cyclesFigure(result: Result, options: CyclesOptions = {}): Figure {
  const series = seriesOf(result.machines);
  const whole = options.parts === "all";
  const base = series.find(({ technique }) => technique === "native") ?? series[0];
  const total = base?.machine.cycles.total || 1;
  const scaled = ({ machine }: Series, cycles: number) =>
    whole ? (100 * cycles) / total : cycles / accessesOf(machine);
  const shown = cycleParts.filter(([part]) => whole || part !== "issue");
  const some = shown.filter(([part]) => series.some(({ machine }) => (machine.cycles[part] ?? 0) > 0));
  /* Bars of nothing, where nothing was spent. */
  const parts = some.length > 0 ? some : shown.slice(0, 1);
  const names = series.map(({ name }) => name);
  const data = parts.map(([part, name]) => ({
    type: "bar",
    orientation: "h",
    name,
    y: names,
    x: series.map((one) => scaled(one, one.machine.cycles[part] ?? 0)),
    customdata: series.map(({ machine }) => machine.cycles[part] ?? 0),
    width: 0.62,
    marker: look(
      series.map(({ style }) => style),
      part,
    ),
    hovertemplate: `%{y}, ${name}: %{x:.4f} ${whole ? "%" : "cycles per access"}<br>%{customdata:,} cycles<extra></extra>`,
  }));
  const ends = series.map((_, i) => data.reduce((sum, { x }) => sum + x[i]!, 0));
  const texts = series.map((one) => endLabel(one, base, series.length));
  const { width, narrow } = roomOf(options);
  const most = Math.max(...ends, 0) || 1;
  const left = namesWidth(names, options);
  const right = narrow ? 96 : Math.max(...texts.map((text) => widthOf(text.join("  ")))) + 16;
  const entry = Math.max(0, ...parts.map(([, name]) => widthOf(name, 12))) + 60;
  const rows = Math.ceil(parts.length / Math.max(1, Math.floor((width - left - right) / entry)));
  return framed(
    {
      id: whole ? "cycles-all" : "cycles",
      title: titleOf(series, base),
      subtitle: contextOf(result),
      alt: altOf(series, base),
      table: {
        columns: [
          "machine",
          "cycles",
          "per access",
          ...allParts(series).map(([, name]) => `${name}, cycles`),
        ],
        rows: series.map(({ name, machine }) => [
          name,
          machine.cycles.total,
          machine.cycles.total / accessesOf(machine),
          ...allParts(series).map(([part]) => machine.cycles[part] ?? 0),
        ]),
      },
      data,
      height: 20 + series.length * 46,
      margin: { left, right, top: 18 + rows * 20, bottom: 54 },
      layout: {
        barmode: "stack",
        ...(some.length === 0 ? {} : legendAbove),
        xaxis: {
          title: {
            text: whole
              ? `cycles, % of ${base?.name ?? "native"}`
              : narrow
                ? "cycles per access beyond issue"
                : "cycles per access, beyond those of issuing it",
          },
          range: [0, most * 1.01],
          nticks: narrow ? 4 : 8,
          tickangle: 0,
        },
        yaxis: namesAxis(names, options),
        annotations: texts.map((lines, i) =>
          label(narrow ? lines.join("<br>") : lines.join("  "), { x: ends[i]!, y: names[i]!, xshift: 6 }),
        ),
      },
    },
    options,
  );
}

function allParts(series: readonly Series[]) {
  return cycleParts.filter(([part]) => series.some(({ machine }) => (machine.cycles[part] ?? 0) > 0));
}

function look(styles: readonly SeriesStyle[], part: Part) {
  const { pattern, opacity } = LOOKS[part];
  const colors = styles.map(({ color }) => faint(color, opacity));
  return {
    color: colors,
    line: { color: styles.map(({ color }) => color), width: 1 },
    ...(pattern === "" ? {} : { pattern: { shape: pattern, fillmode: "replace", size: 7, solidity: 0.28 } }),
  };
}

/** A colour seen through, so that light and dark paper both do. */
export function faint(color: string, opacity: number): string {
  const [r, g, b] = [1, 3, 5].map((at) => Number.parseInt(color.slice(at, at + 2), 16));
  return opacity === 1 ? color : `rgba(${r},${g},${b},${opacity})`;
}

function endLabel(one: Series, base: Series | undefined, machines: number): string[] {
  const { machine } = one;
  const each = `<b>${fixed(machine.cycles.total / accessesOf(machine), 3)}</b> in all`;
  if (machines < 2 || base === undefined || one === base) return [each];
  return [each, overhead(machine.cycles.total, base.machine.cycles.total)];
}

const MOST_TOLD = 3;

function titleOf(series: readonly Series[], base: Series | undefined): string {
  const [first] = series;
  if (first === undefined || base === undefined) return "Cycles";
  if (series.every(({ machine }) => machine.cycles.total === 0)) return "No cycles";
  if (series.length === 1)
    return `${first.name}: ${fixed(first.machine.cycles.total / accessesOf(first.machine), 2)} cycles per access`;
  const times = new Map<string, string[]>();
  for (const one of series.filter((other) => other !== base)) {
    const ratio = `${fixed(one.machine.cycles.total / (base.machine.cycles.total || 1), 2)}×`;
    times.set(ratio, [...(times.get(ratio) ?? []), one.name]);
  }
  const [[ratio, names], ...rest] = [...times] as [[string, string[]], ...[string, string[]][]];
  const more = rest.map(([other, who]) => `, ${listed(who)} ${other}`);
  const told = more.length > MOST_TOLD ? [...more.slice(0, MOST_TOLD), " …"] : more;
  return `${listed(names)}: ${ratio} the cycles of ${base.name}${told.join("")}`;
}

function altOf(series: readonly Series[], base: Series | undefined): string {
  const said = series.map((one) => {
    const { cycles } = one.machine;
    const largest = [...cycleParts].sort(([a], [b]) => (cycles[b] ?? 0) - (cycles[a] ?? 0))[0]!;
    const second = cycleParts
      .filter(([part]) => part !== "issue")
      .sort(([a], [b]) => (cycles[b] ?? 0) - (cycles[a] ?? 0))[0]!;
    const beside = largest[0] === "issue" ? second : largest;
    const against =
      base && one !== base
        ? ` (${overhead(cycles.total, base.machine.cycles.total)} against ${base.name})`
        : "";
    return `${one.name} ${fixed(cycles.total / accessesOf(one.machine), 3)}${against}, beside issuing mostly ${beside[1]}`;
  });
  return `Stacked bars of cycles per access by machine: ${said.join("; ")}.`;
}
