import type { Point } from "./chase.js";
import type { Measured } from "./tables.js";

/** A plotly figure of one table: each column measured and modelled. */

export interface PlottedColumn {
  name: string;
  measured: readonly Measured[];
  model: readonly Point[];
}

const COLOURS = [
  "#1f77b4",
  "#ff7f0e",
  "#2ca02c",
  "#d62728",
  "#9467bd",
  "#8c564b",
  "#e377c2",
  "#7f7f7f",
  "#bcbd22",
  "#17becf",
];

export function figureOf(title: string, columns: readonly PlottedColumn[]) {
  const data = columns.flatMap((column, i) => {
    const color = COLOURS[i % COLOURS.length];
    const trace = { type: "scatter", legendgroup: column.name };
    return [
      {
        ...trace,
        name: `${column.name} measured`,
        mode: "markers",
        marker: { color, size: 6 },
        x: column.measured.map((p) => p.n),
        y: column.measured.map((p) => p.cycles),
      },
      {
        ...trace,
        name: `${column.name} model`,
        mode: "lines",
        line: { color, width: 2 },
        x: column.model.map((p) => p.n),
        y: column.model.map((p) => Number(p.cycles.toFixed(3))),
      },
    ];
  });
  return {
    data,
    layout: {
      title: { text: title },
      xaxis: { title: { text: "N" }, type: "log" },
      yaxis: { title: { text: "core cycles per access" }, rangemode: "tozero" },
      hovermode: "closest",
    },
  };
}
