import { readFile } from "node:fs/promises";
import {
  type ConfigRequest,
  type MachineConfig,
  parseAssignment,
  parseConfigFile,
  parseTechniques,
  resolveConfig,
  type TechniqueName,
  techniqueKeys,
  techniqueName,
} from "../config/index.js";
import { simdSupported } from "../core.js";
import type { OptionSpecs, Parsed } from "./arguments.js";
import { FailureError, UsageError } from "./io.js";

/** The machines that a command line describes. */

export const machineOptions = {
  technique: { type: "string", short: "t" },
  cpu: { type: "string" },
  "host-page": { type: "string" },
  config: { type: "string" },
  set: { type: "string", multiple: true },
  core: { type: "string" },
} as const satisfies OptionSpecs;

export const machineOptionsHelp = `  --cpu PRESET         CPU to model (default skylake-sp); nestwalk presets lists them
  --host-page SIZE     4k, 2m or 1g: largest host page that backs the guest (default 4k)
  --config FILE        JSON file with configuration keys; nestwalk schema describes them
  --set KEY=VALUE      one key, such as clock.window=128; may be repeated`;

export const coreOptionHelp = `  --core simd|scalar   build of the core (default: simd where the engine has it); same results`;

export const precedenceHelp = `Later wins: defaults, CPU preset, --config, --set in order, --technique and --host-page.`;

function text(parsed: Parsed, option: string): string | undefined {
  return parsed.values[option] as string | undefined;
}

/** The build of `--core`. */
export function coreBuild(parsed: Parsed): "simd" | "scalar" {
  const name = text(parsed, "core");
  if (name === undefined) return simdSupported() ? "simd" : "scalar";
  if (name !== "simd" && name !== "scalar")
    throw new UsageError(`--core is "${name}"; it must be simd or scalar`);
  if (name === "simd" && !simdSupported())
    throw new FailureError("this JavaScript engine has no WebAssembly SIMD; use --core scalar");
  return name;
}

/** One configuration for each technique; just one for a command that is about one machine. */
export async function machinesOf(
  command: string,
  machines: "one" | "several",
  parsed: Parsed,
  varied: Direct = [],
): Promise<MachineConfig[]> {
  const technique = text(parsed, "technique");
  const names = technique === undefined ? undefined : parseTechniques(technique);
  if (names && names.length > 1 && machines === "one")
    throw new UsageError(
      `${command} replays one machine, but --technique names ${names.length}${command === "run" ? "; use nestwalk compare" : ""}`,
    );
  const path = text(parsed, "config");
  const page = text(parsed, "host-page");
  const base = {
    cpu: text(parsed, "cpu"),
    file: path === undefined ? undefined : parseConfigFile(path, await configText(path)),
    set: parsed.values.set as string[] | undefined,
  };
  const direct = [
    ...(page === undefined ? [] : [{ option: "--host-page", path: "host.page", value: page }]),
    ...varied,
  ];
  const chosenBy = whatChooses(base);
  if (names && chosenBy)
    throw new UsageError(`--technique and ${chosenBy} both choose what the machine does; leave one out`);
  if (names === undefined) {
    const config = resolveConfig({ ...base, options: direct });
    if (machines === "one") return [config];
    return several(base, direct, standardTechniques(config, namesTechnique(base)));
  }
  return several(base, direct, names);
}

/** Keys set by an option of their own. */
export type Direct = NonNullable<ConfigRequest["options"]>;

/** What `compare` compares when --technique is not given: all techniques, or native with the one that is configured. */
function standardTechniques(config: MachineConfig, named: boolean): TechniqueName[] {
  if (!named) return ["native", "shadow", config.format];
  const name = techniqueName(config) as TechniqueName;
  return name === "native" ? [name] : ["native", name];
}

function several(base: ConfigRequest, direct: Direct, names: readonly TechniqueName[]): MachineConfig[] {
  return names.map((name) =>
    resolveConfig({
      ...base,
      options: [
        ...Object.entries(techniqueKeys(name)).map(([key, value]) => ({
          option: "--technique",
          path: key,
          value,
        })),
        ...direct,
      ],
    }),
  );
}

function has(value: unknown, key: string): boolean {
  return typeof value === "object" && value !== null && Object.hasOwn(value, key);
}

function namesTechnique({ file, set = [] }: ConfigRequest): boolean {
  return has(file?.value, "technique") || set.some((text) => parseAssignment(text).path === "technique");
}

/** The assignment or the file that names a technique or a format. */
function whatChooses({ file, set = [] }: ConfigRequest): string | undefined {
  for (const key of ["technique", "format"]) {
    const text = set.find((one) => parseAssignment(one).path === key);
    if (text !== undefined) return `--set ${text}`;
    if (file && has(file.value, key)) return `${key} in ${file.name}`;
  }
  return undefined;
}

async function configText(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const why =
      code === "ENOENT" ? "does not exist" : code === "EISDIR" ? "is a folder" : `cannot be read (${code})`;
    throw new UsageError(`--config ${path} ${why}`);
  }
}
