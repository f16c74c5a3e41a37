import { type Result, techniqueName } from "nestwalk";
import { type Figure, type FigureOptions, linesFigure, techniqueStyle } from "nestwalk/plot";

/** Cycles per access of each technique against the price of an exit. */
export function pricesFigure(
  prices: readonly number[],
  results: readonly Result[],
  options: FigureOptions,
): Figure {
  const names = results[0]?.machines.map(techniqueName) ?? [];
  const series = names.map((name, i) => ({
    name,
    style: techniqueStyle(name),
    x: prices,
    y: results.map(({ machines }) => machines[i]!.cycles.total / (machines[i]!.counters.accesses || 1)),
  }));
  const ends = series.map(({ name, y }) => `${name} ${y[0]!.toFixed(2)} to ${y.at(-1)!.toFixed(2)}`);
  return linesFigure(
    {
      id: "prices",
      title: `Exits of ${prices[0]} to ${prices.at(-1)} cycles: ${ends.join(", ")} cycles per access`,
      alt: `Lines of cycles per access against the cycles of an exit's round trip: ${ends.join(", ")}.`,
      x: { title: "round trip of an exit, cycles of the hardware" },
      y: { title: "cycles per access" },
      series,
    },
    options,
  );
}
