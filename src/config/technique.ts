import { ConfigError } from "./error.js";
import { brief, suggestion } from "./nearest.js";
import type { MachineConfig } from "./types.js";

/** The techniques by the names that the command line and the tables use. */
export const techniqueNames = ["native", "shadow", "ept", "npt"] as const;
export type TechniqueName = (typeof techniqueNames)[number];

/** Name of what a machine does: nested paging goes by its format. */
export function techniqueName(machine: { technique: string; format: string | null }): string {
  return machine.technique === "nested" ? (machine.format ?? "nested") : machine.technique;
}

/** A comma-separated list of techniques. Throws ConfigError for an unknown or repeated name. */
export function parseTechniques(text: string): TechniqueName[] {
  const names = text.split(",").map((name) => name.trim());
  const seen = new Set<string>();
  for (const name of names) {
    if (name === "nested") throw new ConfigError('technique "nested" has two formats; say ept or npt');
    if (!techniqueNames.some((known) => known === name))
      throw new ConfigError(`technique "${brief(name)}" is not known${suggestion(name, techniqueNames)}`);
    if (seen.has(name)) throw new ConfigError(`technique "${name}" is named twice; name each once`);
    seen.add(name);
  }
  return names as TechniqueName[];
}

/** The keys that a technique's name stands for. */
export function techniqueKeys(
  name: TechniqueName,
): Pick<MachineConfig, "technique"> & Partial<Pick<MachineConfig, "format">> {
  return name === "ept" || name === "npt" ? { technique: "nested", format: name } : { technique: name };
}
