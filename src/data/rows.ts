import { techniqueName } from "../config/technique.js";
import { counters, structureCells } from "../generated/declarations.js";
import type { MachineResult, Result, ShadowPages } from "../result.js";

export type LongValue = string | number | boolean | null;

/**
 * One figure of one machine. Columns: `trace`, `machine` (from 0), `technique`, `cpu`, `hostPage`, a column for each
 * varied key, then `group`, `metric`, `value`, `unit`. Group and metric are where the figure stands in the JSON result.
 */
export type LongRow = Record<string, LongValue>;

/** A result, and what was set to have it. */
export interface Setting {
  at: Readonly<Record<string, string | number | boolean>>;
  result: Result;
}

/** The figures of one result, or of many with keys varied, a row each. */
export function rowsOf(results: Result | readonly Setting[]): LongRow[] {
  return pointsOf(results).flatMap(({ at, result }) =>
    result.machines.flatMap((machine, nth) => {
      const head = headOf(result, machine, nth, at);
      return figuresOf(machine).map(([group, metric, value, unit]) => ({
        ...head,
        group,
        metric,
        value,
        unit,
      }));
    }),
  );
}

export function pointsOf(results: Result | readonly Setting[]): readonly Setting[] {
  return "machines" in results ? [{ at: {}, result: results }] : results;
}

/** What all rows of a machine begin with. */
export function headOf(result: Result, machine: MachineResult, nth: number, at: Setting["at"]): LongRow {
  return {
    trace: result.trace.file,
    machine: nth,
    technique: techniqueName(machine),
    cpu: machine.config.cpu,
    hostPage: machine.config.host.page,
    ...at,
  };
}

export type LongFigure = readonly [group: string, metric: string, value: number, unit: string];

const COUNTER_UNITS = new Map(counters.map(({ name, unit }) => [name, unit]));
const CELL_UNITS = new Map(structureCells.map(({ name, unit }) => [name, unit]));

export function counterUnit(name: string): string {
  return COUNTER_UNITS.get(name) ?? "";
}

function figuresOf(machine: MachineResult): LongFigure[] {
  const each = (group: string, values: object, unit: (name: string) => string): LongFigure[] =>
    Object.entries(values).map(([name, value]): LongFigure => [group, name, value, unit(name)]);
  return [
    ...each("counters", machine.counters, counterUnit),
    ...each("cycles", machine.cycles, () => "cycles"),
    ...machine.exits.flatMap(({ reason, count, cycles }): LongFigure[] => [
      ["exits", `${reason}.count`, count, "exits"],
      ["exits", `${reason}.cycles`, cycles, "cycles"],
    ]),
    ...Object.entries(machine.structures).flatMap(([name, cells]) =>
      Object.entries(cells).map(
        ([cell, value]): LongFigure => ["structures", `${name}.${cell}`, value, CELL_UNITS.get(cell) ?? ""],
      ),
    ),
    ...machine.references.flatMap((row, guest) =>
      row.map((count, host): LongFigure => ["references", `${guest}.${host}`, count, "references"]),
    ),
    ...machine.walkLengths.map(
      (count, length): LongFigure => ["walkLengths", String(length), count, "walks"],
    ),
    ...shadowFigures(machine.shadowPages),
  ];
}

function shadowFigures(pages: ShadowPages | undefined): LongFigure[] {
  return Object.entries(pages ?? {}).flatMap(([event, levels]: [string, Record<string, number>]) =>
    Object.entries(levels).map(
      ([level, count]): LongFigure => ["shadowPages", `${event}.${level}`, count, "pages"],
    ),
  );
}
