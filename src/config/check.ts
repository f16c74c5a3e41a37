import { ConfigError } from "./error.js";
import { allowed, didYouMean, keyNode } from "./keys.js";
import { brief } from "./nearest.js";
import { machineSchema } from "./schema.js";
import type { MachineConfig } from "./types.js";

type Issue = NonNullable<ReturnType<typeof machineSchema.safeParse>["error"]>["issues"][number];

/** A configuration with its defaults filled in. Throws ConfigError for the first key that is wrong. */
export function parseConfig(value: unknown): MachineConfig {
  refuseStrange(value);
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
    return new ConfigError(`"${brief(full)}" is not a key${didYouMean(path, key, siblings)}`, full);
  }
  const found = valueAt(value, issue.path);
  const node = path ? keyNode(path) : undefined;
  const takes = node ? allowed(node) : "an object of configuration keys";
  const name = path || "the configuration";
  if (found === undefined) return new ConfigError(`${name} is missing; it must be ${takes}`, path);
  return new ConfigError(`${name} is ${shown(found)}; it must be ${takes}`, path);
}

const MOST_DEPTH = 16;

/** Throws ConfigError for what JSON can hold and no configuration does: deep nesting, and an object's prototype as a key. */
export function refuseStrange(value: unknown, at = ""): void {
  const left: { value: unknown; path: string; depth: number }[] = [{ value, path: at, depth: 0 }];
  for (let next = left.pop(); next; next = left.pop()) {
    if (typeof next.value !== "object" || next.value === null) continue;
    const { path, depth } = next;
    if (depth > MOST_DEPTH)
      throw new ConfigError(
        `${brief(path)} is nested more than ${MOST_DEPTH} deep; no key of a configuration is`,
        path,
      );
    for (const key of Object.keys(next.value)) {
      const below = path ? `${path}.${key}` : key;
      if (key === "__proto__") keyNode(below);
      left.push({ value: (next.value as Record<string, unknown>)[key], path: below, depth: depth + 1 });
    }
  }
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
  const text = typeof value === "number" ? String(value) : (JSON.stringify(value) ?? String(value));
  return text.length > 40 ? `${text.slice(0, 37)}...` : text;
}
