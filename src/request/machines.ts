import { ConfigError } from "../config/error.js";
import { brief } from "../config/nearest.js";
import { type ConfigRequest, parseAssignment, resolveConfig } from "../config/resolve.js";
import { type TechniqueName, techniqueKeys, techniqueName } from "../config/technique.js";
import type { MachineConfig } from "../config/types.js";
import { optionName } from "./option-names.js";

/** The machines that are asked for. */
export interface MachineRequest {
  /** Left out: those that the keys choose, or the standard ones. */
  techniques?: readonly TechniqueName[] | undefined;
  /** A preset by name. */
  cpu?: string | undefined;
  /** A configuration file: its name, and what it holds. */
  file?: ConfigRequest["file"];
  /** Assignments "key.path=value". */
  set?: readonly string[] | undefined;
  hostPage?: string | undefined;
}

/** Keys set by an option of their own; `option` is what messages call it. */
export type DirectKeys = NonNullable<ConfigRequest["options"]>;

/**
 * One configuration for each technique; `machines` says whether only one is wanted. `varied` keys come last. Throws ConfigError: one
 * sentence for the first thing that is wrong.
 */
export function requestedMachines(
  request: MachineRequest,
  machines: "one" | "several" = "several",
  varied: DirectKeys = [],
): MachineConfig[] {
  const { techniques, cpu, file, set, hostPage } = request;
  refuseTwice(request);
  const base = { cpu, file, set };
  const page = { option: optionName("host-page"), path: "host.page", value: hostPage };
  const direct = [...(hostPage === undefined ? [] : [page]), ...varied];
  if (techniques !== undefined) return several(base, direct, techniques);
  const config = resolveConfig({ ...base, options: direct });
  if (machines === "one") return [config];
  return several(base, direct, standardTechniques(config, namesTechnique(base)));
}

/** What is compared unless techniques are named: all of them, or native with the one that is configured. */
function standardTechniques(config: MachineConfig, named: boolean): TechniqueName[] {
  if (!named) return ["native", "shadow", config.format];
  const name = techniqueName(config) as TechniqueName;
  return name === "native" ? [name] : ["native", name];
}

function several(base: ConfigRequest, direct: DirectKeys, names: readonly TechniqueName[]): MachineConfig[] {
  const option = optionName("technique");
  return names.map((name) =>
    resolveConfig({
      ...base,
      options: [
        ...Object.entries(techniqueKeys(name)).map(([path, value]) => ({ option, path, value })),
        ...direct,
      ],
    }),
  );
}

/** Throws where a choice is made in two places, one of which would be without effect. */
function refuseTwice({ techniques, cpu, file, set = [] }: MachineRequest): void {
  const chosenBy = whatChooses({ file, set });
  if (techniques && chosenBy)
    throw new ConfigError(
      `${optionName("technique")} and ${chosenBy} both choose what the machine does; leave one out`,
    );
  const preset = cpu === undefined ? undefined : set.find((text) => parseAssignment(text).path === "cpu");
  if (preset !== undefined)
    throw new ConfigError(
      `${optionName("cpu")} and ${optionName("set", brief(preset))} both choose the CPU; leave one out`,
    );
}

function has(value: unknown, key: string): boolean {
  return typeof value === "object" && value !== null && Object.hasOwn(value, key);
}

function namesTechnique({ file, set = [] }: ConfigRequest): boolean {
  return has(file?.value, "technique") || set.some((text) => parseAssignment(text).path === "technique");
}

/** The assignment or the file that names a technique or a format. */
export function whatChooses({ file, set = [] }: ConfigRequest): string | undefined {
  for (const key of ["technique", "format"]) {
    const text = set.find((one) => parseAssignment(one).path === key);
    if (text !== undefined) return optionName("set", brief(text));
    if (file && has(file.value, key)) return `${key} in ${file.name}`;
  }
  return undefined;
}
