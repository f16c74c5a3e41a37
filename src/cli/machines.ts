import { readFile } from "node:fs/promises";
import { parseConfigFile, parseTechniques } from "../config/index.js";
import { simdSupported } from "../core.js";
import type { MachineRequest } from "../request/index.js";
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

/** The machines that a command line asks for; `machines` says whether the command is about one. */
export async function machineRequest(
  command: string,
  machines: "one" | "several",
  parsed: Parsed,
): Promise<MachineRequest> {
  const technique = text(parsed, "technique");
  const techniques = technique === undefined ? undefined : parseTechniques(technique);
  if (techniques && techniques.length > 1 && machines === "one")
    throw new UsageError(
      `${command} replays one machine, but --technique names ${techniques.length}${command === "run" ? "; use nestwalk compare" : ""}`,
    );
  const path = text(parsed, "config");
  return {
    techniques,
    cpu: text(parsed, "cpu"),
    file: path === undefined ? undefined : parseConfigFile(path, await configText(path)),
    set: parsed.values.set as string[] | undefined,
    hostPage: text(parsed, "host-page"),
  };
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
