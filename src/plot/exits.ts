import { grouped } from "../report/numbers.js";
import type { Result } from "../result.js";
import { contextOf, listedFew, short } from "./context.js";
import { type Figure, type FigureOptions, framed, label, roomOf, widthOf } from "./figure.js";
import { type Series, seriesOf } from "./series.js";

const BAR = 19;
/** Between the bars of two reasons, in bars. */
const GAP = 0.8;

interface Bar {
  one: Series;
  reason: string;
  count: number;
  cycles: number;
  /** Where it stands, in bars from the top. */
  at: number;
}

/** VM exits by reason, the most expensive first: how many, and what they cost. */
export function exitsFigure(result: Result, options: FigureOptions = {}): Figure {
  const series = seriesOf(result.machines);
  const reasons = reasonsOf(series);
  const bars: Bar[] = [];
  let at = 0;
  for (const reason of reasons) {
    for (const one of series) {
      const exit = one.machine.exits.find((e) => e.reason === reason);
      if (exit && exit.count > 0)
        bars.push({ one, reason, count: exit.count, cycles: exit.cycles, at: at++ });
    }
    at += GAP;
  }
  const rows = Math.max(1, at - GAP);
  const { narrow, width } = roomOf(options);
  const left = Math.max(60, ...reasons.map((reason) => widthOf(reason, 12))) + 14;
  const plot = width - left - 16;
  const panel = Math.round(rows * BAR + 10);
  const height = narrow ? 2 * panel + 76 : panel;
  const sides = [
    { title: "exits", value: (bar: Bar) => bar.count, axis: "" },
    { title: "cycles", value: (bar: Bar) => bar.cycles, axis: "2" },
  ];
  const data = sides.flatMap(({ title, value, axis }) =>
    series
      .filter((one) => bars.some((bar) => bar.one === one))
      .map((one) => {
        const own = bars.filter((bar) => bar.one === one);
        const { color, pattern } = one.style;
        return {
          type: "bar",
          orientation: "h",
          name: one.name,
          x: own.map(value),
          y: own.map((bar) => bar.at),
          width: 0.82,
          xaxis: `x${axis}`,
          yaxis: `y${axis}`,
          customdata: own.map((bar) => bar.reason),
          marker: {
            color,
            line: { color, width: 1 },
            ...(pattern === ""
              ? {}
              : { pattern: { shape: pattern, fillmode: "replace", size: 6, solidity: 0.4 } }),
          },
          text: own.map((bar) => `${one.name} ${short(value(bar))}`),
          textposition: "outside",
          cliponaxis: false,
          constraintext: "none",
          textfont: { size: 11 },
          hovertemplate: `${one.name}, %{customdata}: %{x:,} ${title}<extra></extra>`,
        };
      }),
  );
  const longest = Math.max(0, ...bars.map((bar) => widthOf(`${bar.one.name} ${short(bar.cycles)}`, 11))) + 8;
  const panelWidth = narrow ? plot : plot / 2 - 12;
  const domains = narrow
    ? {
        x: [
          [0, 1],
          [0, 1],
        ],
        y: [
          [1 - panel / height, 1],
          [0, panel / height],
        ],
      }
    : {
        x: [
          [0, 0.5 - 12 / plot],
          [0.5 + 12 / plot, 1],
        ],
        y: [
          [0, 1],
          [0, 1],
        ],
      };
  const centres = reasons.map((reason) => {
    const own = bars.filter((bar) => bar.reason === reason);
    return (own[0]!.at + own.at(-1)!.at) / 2;
  });
  return framed(
    {
      id: "exits",
      title: titleOf(series),
      subtitle: contextOf(result),
      alt:
        bars.length === 0
          ? "No VM exits in any machine."
          : `Bars of VM exits by reason, counts and cycles: ${bars.map((bar) => `${bar.one.name} ${bar.reason} ${grouped(bar.count)} exits, ${grouped(bar.cycles)} cycles`).join("; ")}.`,
      table: {
        columns: ["reason", ...series.flatMap(({ name }) => [`${name}, exits`, `${name}, cycles`])],
        rows: reasons.map((reason) => [
          reason,
          ...series.flatMap(({ machine }) => {
            const exit = machine.exits.find((e) => e.reason === reason);
            return [exit?.count ?? 0, exit?.cycles ?? 0];
          }),
        ]),
      },
      data,
      height,
      margin: { left, top: 18, bottom: 54 },
      layout: {
        ...(bars.length === 0 ? NO_AXES : { barmode: "overlay" }),
        ...Object.fromEntries(
          (bars.length === 0 ? [] : sides).flatMap(({ title, value, axis }, i) => {
            const most = Math.max(1, ...bars.map(value));
            return [
              [
                `xaxis${axis}`,
                {
                  domain: domains.x[i],
                  anchor: `y${axis}`,
                  title: { text: title },
                  range: [0, most / Math.max(0.3, 1 - longest / panelWidth)],
                  nticks: narrow ? 4 : 5,
                  tickformat: "~s",
                },
              ],
              [
                `yaxis${axis}`,
                {
                  domain: domains.y[i],
                  anchor: `x${axis}`,
                  range: [rows - 0.35, -0.65],
                  tickvals: centres,
                  ticktext: reasons,
                  ...(narrow || i === 0
                    ? { tickfont: { size: 12 }, ticklabelstandoff: 6 }
                    : { showticklabels: false }),
                  ticks: "",
                  showgrid: false,
                },
              ],
            ];
          }),
        ),
        annotations:
          bars.length === 0
            ? [label("no exits", { xref: "paper", yref: "paper", x: 0.5, y: 0.5, xanchor: "center" })]
            : [],
      },
    },
    options,
  );
}

const NO_AXES = { xaxis: { visible: false }, yaxis: { visible: false } };

/** Reasons that occurred, those that cost most first. */
function reasonsOf(series: readonly Series[]): string[] {
  const cost = new Map<string, number>();
  for (const { machine } of series)
    for (const { reason, count, cycles } of machine.exits)
      if (count > 0) cost.set(reason, (cost.get(reason) ?? 0) + cycles);
  return [...cost].sort(([a, x], [b, y]) => y - x || (a < b ? -1 : 1)).map(([reason]) => reason);
}

function titleOf(series: readonly Series[]): string {
  const exiting = series.filter(({ machine }) => (machine.counters.exits ?? 0) > 0);
  if (exiting.length === 0) return "No VM exits";
  return `VM exits: ${listedFew(exiting.map(({ name, machine }) => `${name} ${grouped(machine.counters.exits ?? 0)}`))}`;
}

/** Whether any machine of a result left the guest. */
export function hasExits({ machines }: Result): boolean {
  return machines.some(({ exits }) => exits.some(({ count }) => count > 0));
}
