import type { Intervals } from "../intervals.js";
import type { Result } from "../result.js";
import { counterUnit, headOf, type LongFigure, type LongRow, pointsOf, type Setting } from "./rows.js";

export function hasIntervalRows(results: Result | readonly Setting[]): boolean {
  return pointsOf(results).some(({ result }) =>
    result.machines.some(({ intervals }) => (intervals?.end.length ?? 0) > 0),
  );
}

/**
 * The figures of each interval of each machine, a row each: the columns of `rowsOf`, and before `group` the `interval`
 * (from 0), the accesses replayed at its `start` and `end`, and the `marker` that ended it.
 */
export function* intervalRowsOf(results: Result | readonly Setting[]): Generator<LongRow, void> {
  for (const { at, result } of pointsOf(results)) {
    for (const [nth, machine] of result.machines.entries()) {
      const sampled = machine.intervals;
      if (sampled === undefined) continue;
      const head = headOf(result, machine, nth, at);
      for (const [i, end] of sampled.end.entries()) {
        const place = {
          interval: i,
          start: end - sampled.accesses[i]!,
          end,
          marker: sampled.markers?.[i] ?? null,
        };
        for (const [group, metric, value, unit] of figuresAt(sampled, i))
          yield { ...head, ...place, group, metric, value, unit };
      }
    }
  }
}

function figuresAt(sampled: Intervals, i: number): LongFigure[] {
  const of = (
    group: string,
    columns: Readonly<Record<string, readonly number[] | undefined>>,
    unit: string,
    end = "",
  ) =>
    Object.entries(columns).flatMap(([name, values]): LongFigure[] =>
      values === undefined ? [] : [[group, name + end, values[i]!, unit]],
    );
  return [
    ["counters", "accesses", sampled.accesses[i]!, counterUnit("accesses")],
    ["counters", "workingSet", sampled.workingSet[i]!, "4 KiB pages"],
    ["counters", "walks", sampled.walks[i]!, counterUnit("walks")],
    ["counters", "tableReferences", sampled.references[i]!, counterUnit("tableReferences")],
    ...of("structures", sampled.misses, "misses", ".misses"),
    ...of("exits", sampled.exits, "exits", ".count"),
    ...of("exits", sampled.exitCycles, "cycles", ".cycles"),
    ...of("cycles", sampled.cycles, "cycles"),
  ];
}
