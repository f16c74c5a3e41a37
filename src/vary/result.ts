import { version } from "../generated/version.js";
import type { Result } from "../result.js";
import type { Axis, Setting } from "./axes.js";

/** Version of the shape; it grows only when a key changes its meaning or goes away. */
export const VARY_SCHEMA = 1;

/** A result, and what was set to have it: a value for each axis. */
export interface Point {
  at: Record<string, Setting>;
  /** As the same command gives it with the values set by `--set`. */
  result: Result;
}

/** Results with keys varied, every combination of their values. */
export interface VaryResult {
  schema: typeof VARY_SCHEMA;
  /** Version of nestwalk. */
  nestwalk: string;
  /** What was asked for, as the command had it. */
  config: Record<string, unknown>;
  axes: Axis[];
  /** The last axis turns fastest. */
  points: Point[];
}

/** Puts results, in the order of `combinations(axes)`, together. */
export function varyResult(
  axes: readonly Axis[],
  results: readonly Result[],
  asked: Record<string, unknown> = {},
): VaryResult {
  const strides = axes.map((_, i) => axes.slice(i + 1).reduce((n, { values }) => n * values.length, 1));
  const settings = (nth: number) =>
    axes.map(({ key, values }, i) => [key, values[Math.floor(nth / strides[i]!) % values.length]!] as const);
  return {
    schema: VARY_SCHEMA,
    nestwalk: version,
    config: asked,
    axes: axes.map(({ key, values }) => ({ key, values: [...values] })),
    points: results.map((result, nth) => ({ at: Object.fromEntries(settings(nth)), result })),
  };
}
