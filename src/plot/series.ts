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

/** Names of machines, all different: where a technique is there twice, with as few keys of the configuration as tell them apart. */
export function machineNames(machines: readonly MachineResult[]): string[] {
  const techniques = machines.map(techniqueName);
  const leaves = machines.map(({ config }) => leavesOf(config));
  const names = machines.map((_, i) => {
    const alike = leaves.filter((_, k) => techniques[k] === techniques[i]);
    const told = tellingKeys(alike);
    return [techniques[i], ...told.map((key) => sayKey(key, leaves[i]!.get(key) ?? ""))].join(" ");
  });
  return names.map((name, i) =>
    names.indexOf(name) === i && names.lastIndexOf(name) === i ? name : `${name} #${i + 1}`,
  );
}

const FIRST = ["cpu", "host.page"];
const MOST_TOLD = 3;

/** Keys by which configurations differ, each of which tells more of them apart. */
function tellingKeys(configs: readonly ReadonlyMap<string, string>[]): string[] {
  const chosen: string[] = [];
  const apart = (keys: readonly string[]) =>
    new Set(configs.map((config) => JSON.stringify(keys.map((key) => config.get(key))))).size;
  for (const key of [...FIRST, ...(configs[0]?.keys() ?? [])]) {
    if (chosen.length === MOST_TOLD || apart(chosen) === configs.length) break;
    if (apart([...chosen, key]) > apart(chosen)) chosen.push(key);
  }
  return chosen;
}

function sayKey(key: string, value: string): string {
  return FIRST.includes(key) ? value : `${key}=${value}`;
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
