import type { Result } from "../result.js";
import { cyclesFigure } from "./cycles.js";
import { exitsFigure, hasExits } from "./exits.js";
import type { Figure, FigureOptions } from "./figure.js";
import { hasIntervals, intervalsFigure } from "./intervals.js";
import { knowsPlaces, referencesFoundFigure } from "./references-found.js";
import { seriesOf } from "./series.js";
import { walkGridFigure } from "./walk-grid.js";
import { walkLengthsFigure } from "./walk-lengths.js";

/** The figures of a result that have something to show, in the order of reading, each with an id of its own. */
export function resultFigures(result: Result, options: FigureOptions = {}): Figure[] {
  const walked = seriesOf(result.machines).filter(({ machine }) => (machine.counters.walks ?? 0) > 0);
  const nested = walked.filter(({ machine }) => machine.technique === "nested");
  const figures = [cyclesFigure(result, options)];
  if (hasExits(result)) figures.push(exitsFigure(result, options));
  if (walked.length > 0) figures.push(walkLengthsFigure(result, options));
  for (const { name, machine } of nested.length > 0 ? nested : walked)
    figures.push(walkGridFigure(machine, { ...options, name }));
  if (walked.length > 0 && knowsPlaces(result)) figures.push(referencesFoundFigure(result, options));
  if (hasIntervals(result)) figures.push(intervalsFigure(result, options));
  return uniqueIds(figures);
}

/** The same figures, those that share an id numbered. */
export function uniqueIds(figures: readonly Figure[]): Figure[] {
  const seen = new Map<string, number>();
  return figures.map((figure) => {
    const nth = (seen.get(figure.id) ?? 0) + 1;
    seen.set(figure.id, nth);
    return nth === 1 ? figure : { ...figure, id: `${figure.id}-no-${nth}` };
  });
}
