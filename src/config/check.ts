import { ConfigError } from "./error.js";
import { allowed, didYouMean, keyNode } from "./keys.js";
import { machineSchema } from "./schema.js";
import type { MachineConfig } from "./types.js";

type Issue = NonNullable<ReturnType<typeof machineSchema.safeParse>["error"]>["issues"][number];

/** A configuration with its defaults filled in. Throws ConfigError for the first key that is wrong. */
export function parseConfig(value: unknown): MachineConfig {
  const parsed = machineSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw sentence(parsed.error.issues[0]!, value);
}

function sentence(issue: Issue, value: unknown): ConfigError {
  const path = issue.path.join(".");
  if (issue.code === "unrecognized_keys") {
    const key = issue.keys[0]!;
    const node = path ? keyNode(path) : undefined;
    const siblings = path ? Object.keys(node?.properties ?? {}) : Object.keys(machineSchema.shape);
    const full = path ? `${path}.${key}` : key;
    return new ConfigError(`"${full}" is not a key${didYouMean(path, key, siblings)}`, full);
  }
  const found = valueAt(value, issue.path);
  const node = path ? keyNode(path) : undefined;
  const takes = node ? allowed(node) : "an object of configuration keys";
  const name = path || "the configuration";
  if (found === undefined) return new ConfigError(`${name} is missing; it must be ${takes}`, path);
  return new ConfigError(`${name} is ${shown(found)}; it must be ${takes}`, path);
}

/** What is at a path of a nested value; undefined where there is nothing. */
export function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  let node = value;
  for (const part of path) {
    if (typeof node !== "object" || node === null || !Object.hasOwn(node, part)) return undefined;
    node = (node as Record<PropertyKey, unknown>)[part];
  }
  return node;
}

/** A value as it was written, cut short. */
export function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 40 ? `${text.slice(0, 37)}...` : text;
}
