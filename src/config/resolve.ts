import { type OptionName, optionName } from "../request/option-names.js";
import { parseConfig, refuseStrange, shown, valueAt } from "./check.js";
import { ConfigError } from "./error.js";
import { checkGeometry } from "./geometry.js";
import { keyNode } from "./keys.js";
import { brief } from "./nearest.js";
import { valuesOf } from "./presets/cite.js";
import { defaultPreset, findPreset } from "./presets/index.js";
import { profiles } from "./profiles.js";
import type { MachineConfig } from "./types.js";

/**
 * From what was asked to a whole configuration. Later wins:
 *
 *   defaults < CPU preset < profiles (shadow.profile, exits.generation, exits.hypervisor) < configuration file < --set, in order < direct options
 */
export interface ConfigRequest {
  /** Preset by name, as `--cpu`; before `cpu` in a file or an assignment. */
  cpu?: string | undefined;
  /** Partial configuration, and what to call it in messages. */
  file?: { name: string; value: unknown } | undefined;
  /** Assignments as `--set` takes them: "key.path=value". */
  set?: readonly string[] | undefined;
  /** Keys of direct options, each with the option's name for messages. */
  options?: readonly { option: string; path: string; value: unknown }[] | undefined;
}

interface Assignment {
  label: string;
  path: string;
  value: unknown;
  /** The value as it was written. */
  raw?: string;
}

/** The configuration that a request describes. Throws ConfigError: one sentence for the first thing that is wrong. */
export function resolveConfig(request: ConfigRequest = {}): MachineConfig {
  const { file } = request;
  if (file) labelled(file.name, () => parseConfig(file.value));
  const assignments = [
    ...(request.set ?? []).map((text) => parseAssignment(text)),
    ...(request.options ?? []).map(({ option, path, value }) => ({ label: option, path, value })),
  ];
  const assignedCpu = assignments.filter(({ path }) => path === "cpu").at(-1);
  const preset = request.cpu
    ? findPreset(request.cpu)
    : assignedCpu
      ? findPreset(String(assignedCpu.value))
      : labelled(file?.name, () => findPreset(fileCpu(file?.value) ?? defaultPreset.name));
  const value = merge({}, valuesOf(preset)) as Record<string, unknown>;
  for (const { group, key, keys } of profiles) {
    const name =
      assignments
        .map(({ path, value: assigned }) => assignedProfile(group, key, path, assigned))
        .findLast((assigned) => assigned !== undefined) ?? fileProfile(group, key, file?.value);
    merge(value, { [group]: keys(name) });
  }
  if (file) merge(value, file.value as object);
  for (const assignment of assignments) assign(value, assignment);
  value.cpu = preset.name;
  value.format ??= value.vendor === "amd" ? "npt" : "ept";
  try {
    const config = parseConfig(value);
    checkGeometry(config);
    return config;
  } catch (error) {
    throw blame(error, assignments, file);
  }
}

/** Profile that an assignment names, by its key or within the whole group. */
function assignedProfile(group: string, key: string, path: string, value: unknown): unknown {
  if (path === `${group}.${key}`) return value;
  return path === group ? (value as Record<string, unknown> | null)?.[key] : undefined;
}

function fileProfile(group: string, key: string, value: unknown): unknown {
  return (value as Record<string, Record<string, unknown> | undefined> | undefined)?.[group]?.[key];
}

function fileCpu(value: unknown): string | undefined {
  return (value as { cpu?: string } | undefined)?.cpu;
}

/** The same, with what the fault is in before the sentence. */
function labelled<T>(name: string | undefined, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (name !== undefined && error instanceof ConfigError)
      throw new ConfigError(`${name}: ${error.message}`, error.path);
    throw error;
  }
}

/** Objects are merged key by key; everything else, lists included, is replaced. */
function merge(into: Record<string, unknown>, from: object): Record<string, unknown> {
  for (const [key, value] of Object.entries(from)) {
    if (typeof value === "object" && value !== null && !Array.isArray(value)) {
      const below = Object.hasOwn(into, key) ? into[key] : undefined;
      into[key] = merge(
        typeof below === "object" && below !== null && !Array.isArray(below)
          ? (below as Record<string, unknown>)
          : {},
        value,
      );
    } else {
      into[key] = structuredClone(value);
    }
  }
  return into;
}

/**
 * "key.path=value" with the value as JSON, or as a bare word. Throws ConfigError for a key that does not exist; `option` is
 * what gives it, for messages.
 */
export function parseAssignment(text: string, option: OptionName = "set"): Assignment {
  const equals = text.indexOf("=");
  const label = optionName(option, brief(text));
  if (equals <= 0)
    throw new ConfigError(`${label} is not key.path=value, as in ${optionName(option, "clock.window=128")}`);
  const path = text.slice(0, equals).trim();
  const raw = text.slice(equals + 1).trim();
  const node = labelled(label, () => keyNode(path));
  if (node.enum || node.type === "string") return { label, path, value: raw.replace(/^"(.*)"$/, "$1") };
  try {
    const value: unknown = JSON.parse(raw);
    labelled(label, () => refuseStrange(value, path));
    return { label, path, value, raw };
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    if (node.type === "array" && node.items?.enum) return { label, path, value: raw.split(/\s*,\s*/) };
    if (raw.startsWith("{") || raw.startsWith("["))
      throw new ConfigError(`${label}: the value is not complete JSON`, path);
    return { label, path, value: raw };
  }
}

function assign(value: Record<string, unknown>, { label, path, value: assigned }: Assignment): void {
  const parts = path.split(".");
  const last = parts.pop()!;
  let node = value as Record<string, unknown> | unknown[];
  const step = (key: string, at: string): unknown => {
    if (Array.isArray(node)) {
      if (Number(key) > node.length)
        throw new ConfigError(
          `${label}: ${at} does not exist, as the list has ${node.length} element${node.length === 1 ? "" : "s"}; the next to add is number ${node.length}`,
          path,
        );
      return node[Number(key)];
    }
    return node[key];
  };
  for (const [i, part] of parts.entries()) {
    let next = step(part, parts.slice(0, i + 1).join("."));
    if (typeof next !== "object" || next === null) {
      next = {};
      (node as Record<string, unknown>)[part] = next;
    }
    node = next as Record<string, unknown>;
  }
  step(last, path);
  const below = (node as Record<string, unknown>)[last];
  const both = [below, assigned].every((v) => typeof v === "object" && v !== null && !Array.isArray(v));
  (node as Record<string, unknown>)[last] = both
    ? merge(below as Record<string, unknown>, assigned as object)
    : assigned;
}

/** Names the assignment or the file that gave the key at fault, the last one if several did. */
function blame(error: unknown, assignments: readonly Assignment[], file: ConfigRequest["file"]): unknown {
  if (!(error instanceof ConfigError)) return error;
  const related = (path: string) =>
    path === error.path || error.path.startsWith(`${path}.`) || path.startsWith(`${error.path}.`);
  const near = (path: string) =>
    path.slice(0, path.lastIndexOf(".")) === error.path.slice(0, error.path.lastIndexOf("."));
  const by =
    assignments.findLast(({ path }) => related(path)) ??
    assignments.findLast(({ path }) => path.includes(".") && near(path));
  if (by?.path === error.path) {
    const { value, raw } = by;
    if (typeof value !== "number" || raw === undefined) return error;
    return new ConfigError(
      error.message.replace(`is ${shown(value)};`, () => `is ${brief(raw)};`),
      error.path,
    );
  }
  if (by) return new ConfigError(`${by.label}: ${error.message}`, error.path);
  if (file) {
    const parts = error.path.split(".");
    if (
      [parts, parts.slice(0, -1)].some((path) => path.length > 0 && valueAt(file.value, path) !== undefined)
    )
      return new ConfigError(`${file.name}: ${error.message}`, error.path);
  }
  return error;
}

/** A configuration file's text. Throws ConfigError with the place of what is not JSON. */
export function parseConfigFile(name: string, text: string): { name: string; value: unknown } {
  let value: unknown;
  try {
    value = JSON.parse(text.replace(/^\uFEFF/, ""));
  } catch (error) {
    throw new ConfigError(`${name} is not JSON: ${jsonFault(text, error)}`);
  }
  labelled(name, () => refuseStrange(value));
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new ConfigError(`${name} holds ${shown(value)}; it must be an object of configuration keys`);
  return { name, value };
}

function jsonFault(text: string, error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  const position = /position (\d+)/.exec(message)?.[1];
  if (text.trim() === "") return "it is empty";
  const at = position === undefined ? text.length : Number(position);
  const lines = text.slice(0, at).split("\n");
  const end = at >= text.length ? "it ends too early, " : "";
  return `${end}look at line ${lines.length}, column ${lines.at(-1)!.length + 1}`;
}

/** The same machine with the guest's memory as the trace's header has it, unless the configuration names it. */
export function withRecordedMemory(config: MachineConfig, ramMiB: number | undefined): MachineConfig {
  if (config.guest.memoryMiB !== 0 || ramMiB === undefined || !Number.isInteger(ramMiB) || ramMiB <= 0)
    return config;
  return { ...config, guest: { ...config.guest, memoryMiB: Math.min(ramMiB, 16_777_215) } };
}
