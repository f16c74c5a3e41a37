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

/** Places where a curve rises more than 5 % above its last plateau: three points within 5 % of each other. */
export function knees(points: readonly Point[]): number[] {
  const found: number[] = [];
  /** Lowest point of the last plateau. */
  let level: number | undefined;
  let since = 0;
  for (let at = 0; at < points.length; ++at) {
    if (level !== undefined && points[at]!.cycles > RISE * level) {
      found.push(points[at]!.n);
      level = undefined;
      since = at;
    }
    if (at - since + 1 < PLATEAU) continue;
    const last = points.slice(at - PLATEAU + 1, at + 1).map((p) => p.cycles);
    const lowest = Math.min(...last);
    if (Math.max(...last) <= FLAT * lowest) level = lowest;
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
