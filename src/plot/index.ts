/**
 * Figures of results as plain data for plotly, and the report that holds them: pure functions, for Node and browsers.
 * Nothing here draws, and nothing needs plotly to be loaded.
 */
export {
  type ComparisonRow,
  comparisonHeading,
  comparisonRows,
  comparisonVerdicts,
  type Sentence,
} from "../report/comparison.js";
export { varyHeading, varyRows } from "../report/vary-table.js";
export { crossingsOf, crossoverFigure, tableUpdateRate } from "./crossover.js";
export { type CyclesOptions, cyclesFigure } from "./cycles.js";
export { exitsFigure } from "./exits.js";
export { type ExplainedWalkOptions, explainedWalkFigure } from "./explained-walk.js";
export {
  type Cell,
  type Figure,
  type FigureOptions,
  type PlotlyConfig,
  type PlotlyLayout,
  type PlotlyTrace,
  type Table,
  withoutTitle,
  withTheme,
} from "./figure.js";
export {
  type IntervalMetric,
  type IntervalsOptions,
  intervalMetrics,
  intervalRates,
  intervalsFigure,
} from "./intervals.js";
export { type LinesDraft, linesFigure, type PlottedSeries } from "./lines.js";
export type { XAxis } from "./panels.js";
export { referencesFoundFigure } from "./references-found.js";
export { commandOf } from "./report/command.js";
export { type ReportContent, type ReportSweep, reportFigures, reportHtml } from "./report/report.js";
export { resultFigures, uniqueIds } from "./result-figures.js";
export { machineNames } from "./series.js";
export {
  fontFamily,
  type PageColors,
  pageColors,
  palette,
  type SeriesStyle,
  seriesStyle,
  type Theme,
  techniqueStyle,
  template,
} from "./theme.js";
export {
  type Setting,
  type Sweep,
  type SweepAxis,
  type SweepPoint,
  tlbHitRate,
  varyFigures,
} from "./vary.js";
export { type WalkGridOptions, walkGridFigure } from "./walk-grid.js";
export { walkLengthsFigure } from "./walk-lengths.js";
