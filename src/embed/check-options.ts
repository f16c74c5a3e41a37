import { ConfigError } from "../config/index.js";
import { brief, suggestion } from "../config/nearest.js";

/** What is wrong with the options of `createMmu` before anything is made of them. Each refusal names the key. */

const OPTIONS = [
  ...["memory", "ram", "physical", "technique", "hypervisor", "cpu", "features", "config", "set"],
  ...["onInvalidate", "record"],
];
const HOOKS = ["kind", "read", "write", "compareExchange"];
/** Keys that other options decide. */
const DECIDED = ["technique", "format"];

type Keyed = Record<string, unknown>;

function isObject(value: unknown): value is Keyed {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function shown(value: unknown): string {
  if (typeof value === "string") return `"${brief(value)}"`;
  if (typeof value === "function") return "a function";
  if (Array.isArray(value)) return "a list";
  return isObject(value) ? "an object" : String(value);
}

/** Throws ConfigError unless `value` is an object with none but these keys. */
export function checkKeys(value: unknown, name: string, known: readonly string[]): asserts value is Keyed {
  if (!isObject(value)) throw new ConfigError(`${name} is ${shown(value)}; it must be an object`, name);
  for (const key of Object.keys(value))
    if (!known.includes(key))
      throw new ConfigError(`"${brief(key)}" is no key of ${name}${suggestion(key, known)}`, name);
}

/** Throws ConfigError unless `value` is an integer from `least` to `most`. */
export function checkInteger(value: unknown, name: string, least: number, most: number): void {
  if (!Number.isInteger(value) || (value as number) < least || (value as number) > most)
    throw new ConfigError(`${name} is ${shown(value)}; it must be an integer from ${least} to ${most}`, name);
}

function checkFunction(value: unknown, name: string): void {
  if (value !== undefined && typeof value !== "function")
    throw new ConfigError(`${name} is ${shown(value)}; it must be a function`, name);
}

function checkRam(ram: unknown): void {
  if (ram === undefined)
    throw new ConfigError("ram is missing; say where guest RAM is, as { base, size } or as ranges", "ram");
  if (!Array.isArray(ram)) {
    checkKeys(ram, "ram", ["base", "size"]);
    if (ram.size === undefined) throw new ConfigError("ram.size is missing; say its bytes", "ram.size");
    return;
  }
  for (const [i, range] of ram.entries()) {
    const name = `ram[${i}]`;
    checkKeys(range, name, ["address", "base", "size", "kind"]);
    for (const key of ["address", "base", "size"])
      if (range[key] === undefined)
        throw new ConfigError(`${name}.${key} is missing; say it in bytes`, `${name}.${key}`);
  }
}

function checkMemory(memory: unknown): void {
  if (memory === undefined || memory instanceof WebAssembly.Memory || ArrayBuffer.isView(memory)) return;
  const kind = Object.prototype.toString.call(memory);
  if (kind !== "[object ArrayBuffer]" && kind !== "[object SharedArrayBuffer]")
    throw new ConfigError(
      `memory is ${shown(memory)}; it must be a WebAssembly.Memory, a buffer or a view of one`,
      "memory",
    );
}

/** `config` and `set` may say everything but what the option technique says. */
function checkConfiguration({ config, set }: Keyed): void {
  const named = (key: string, where: string) =>
    new ConfigError(`${where} names ${key}; say it by the option technique`, "technique");
  if (isObject(config)) {
    const key = DECIDED.find((decided) => decided in config);
    if (key !== undefined) throw named(key, "config");
  }
  if (set === undefined) return;
  if (!Array.isArray(set) || set.some((one) => typeof one !== "string"))
    throw new ConfigError(`set is ${shown(set)}; it must be a list of assignments, as "key=value"`, "set");
  for (const one of set as string[]) {
    const key = DECIDED.find((decided) => one.split("=")[0]!.trim() === decided);
    if (key !== undefined) throw named(key, "set");
  }
}

export function checkOptions(options: unknown): void {
  checkKeys(options, "options", OPTIONS);
  checkRam(options.ram);
  checkMemory(options.memory);
  if (options.physical !== undefined) {
    checkKeys(options.physical, "physical", HOOKS);
    for (const name of HOOKS) checkFunction(options.physical[name], `physical.${name}`);
  }
  checkFunction(options.onInvalidate, "onInvalidate");
  if (options.features !== undefined && !isObject(options.features))
    throw new ConfigError(`features is ${shown(options.features)}; it must be an object`, "features");
  checkConfiguration(options);
  const { record } = options;
  if (record === undefined || typeof record === "boolean") return;
  checkKeys(record, "record", ["guest"]);
  if (record.guest !== undefined && typeof record.guest !== "string")
    throw new ConfigError(`record.guest is ${shown(record.guest)}; it must be a text`, "record.guest");
}
