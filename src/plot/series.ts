import { techniqueName } from "../config/technique.js";
import type { MachineResult } from "../result.js";
import { type SeriesStyle, seriesStyle, techniqueStyle } from "./theme.js";

/** A machine as a series of a figure: what it is called and how it looks. */
export interface Series {
  name: string;
  technique: string;
  style: SeriesStyle;
  machine: MachineResult;
}

/** The machines of a result, each by a name of its own: that of its technique, and of what sets it apart from another of the same. */
export function seriesOf(machines: readonly MachineResult[]): Series[] {
  const names = machineNames(machines);
  const seen = new Map<string, number>();
  return machines.map((machine, i) => {
    const technique = techniqueName(machine);
    const nth = seen.get(technique) ?? 0;
    seen.set(technique, nth + 1);
    const style = techniqueStyle(technique, i);
    const own = nth === 0 ? style : { ...seriesStyle(i + nth), color: style.color };
    return { name: names[i]!, technique, style: own, machine };
  });
}

/** Names of machines, all different. */
export function machineNames(machines: readonly MachineResult[]): string[] {
  const techniques = machines.map(techniqueName);
  const names = machines.map((machine, i) => {
    const alike = machines.filter((_, k) => techniques[k] === techniques[i]);
    if (alike.length === 1) return techniques[i]!;
    const leaves = alike.map((one) => leavesOf(one.config));
    const own = leavesOf(machine.config);
    const differing = [...own.keys()].filter((key) => new Set(leaves.map((map) => map.get(key))).size > 1);
    if (differing.length === 0) return techniques[i]!;
    const told = differing.includes("cpu") ? ["cpu"] : differing.slice(0, MOST_TOLD);
    return `${techniques[i]} ${told.map((key) => sayKey(key, own.get(key)!)).join(" ")}`;
  });
  return names.map((name, i) =>
    names.indexOf(name) === i && names.lastIndexOf(name) === i ? name : `${name} #${i + 1}`,
  );
}

const MOST_TOLD = 2;

function sayKey(key: string, value: string): string {
  return key === "cpu" ? value : `${key}=${value}`;
}

/** What a configuration says, by path. */
export function leavesOf(value: unknown, path = "", into = new Map<string, string>()): Map<string, string> {
  if (typeof value === "object" && value !== null)
    for (const [key, part] of Object.entries(value))
      leavesOf(part, path === "" ? key : `${path}.${key}`, into);
  else into.set(path, String(value));
  return into;
}

/** Accesses that a machine's figures are of; 1 where there are none, so that they may be divided by. */
export function accessesOf(machine: MachineResult): number {
  return machine.counters.accesses || 1;
}
