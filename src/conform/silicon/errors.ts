import type { Point } from "./chase.js";
import type { Measured } from "./tables.js";

/** How far a modelled curve is from a measured one. */

export interface Errors {
  /** Relative errors of all points. */
  median: number;
  mean: number;
  worst: { error: number; n: number; measured: number; model: number };
  points: number;
}

export function errorsOf(measured: readonly Measured[], model: readonly Point[]): Errors {
  const errors = model.map((point) => {
    const truth = measured.find((m) => m.n === point.n)!.cycles;
    return {
      error: Math.abs(point.cycles - truth) / truth,
      n: point.n,
      measured: truth,
      model: point.cycles,
    };
  });
  const sorted = errors.map((e) => e.error).sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return {
    median: sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2,
    mean: sorted.reduce((a, b) => a + b, 0) / sorted.length,
    worst: errors.reduce((a, b) => (b.error > a.error ? b : a)),
    points: errors.length,
  };
}

const PLATEAU = 3;
const RISE = 1.05;
const FLAT = 1.05;

/** Places in a curve where it first rises more than 5 % above a plateau of three points. */
export function knees(points: readonly Point[]): number[] {
  const found: number[] = [];
  let start = 0;
  while (start + PLATEAU < points.length) {
    const plateau = points.slice(start, start + PLATEAU).map((p) => p.cycles);
    const level = plateau.reduce((a, b) => a + b, 0) / PLATEAU;
    if (Math.max(...plateau) > FLAT * Math.min(...plateau)) {
      ++start;
      continue;
    }
    let at = start + PLATEAU;
    while (at < points.length && points[at]!.cycles <= RISE * level) ++at;
    if (at < points.length) found.push(points[at]!.n);
    start = at;
  }
  return found;
}

/** Measured knees that are no noise, and which of them the model has within one step of N. */
export function compareKnees(measured: readonly Measured[], model: readonly Point[]) {
  const common = measured.filter((m) => model.some((p) => p.n === m.n));
  const ns = common.map((m) => m.n);
  const quiet = (n: number) => {
    const point = common.find((m) => m.n === n)!;
    return point.spread <= 1.1 * point.cycles;
  };
  const inMeasurement = knees(common).filter(quiet);
  const inModel = knees(model);
  const met = inMeasurement.filter((n) => inModel.some((m) => Math.abs(ns.indexOf(m) - ns.indexOf(n)) <= 1));
  return { measured: inMeasurement, model: inModel, met };
}
