import { ConfigError } from "./error.js";
import { brief, nearest } from "./nearest.js";
import { jsonSchema } from "./schema.js";

/** A node of the JSON Schema, as far as it is used here. */
export interface KeyNode {
  type?: string;
  description?: string;
  default?: unknown;
  enum?: readonly string[];
  minimum?: number;
  maximum?: number;
  minItems?: number;
  maxItems?: number;
  properties?: Record<string, KeyNode>;
  items?: KeyNode;
}

let root: KeyNode | undefined;

function schemaRoot(): KeyNode {
  root ??= jsonSchema() as KeyNode;
  return root;
}

/** Every key path, with `0` for an array's elements, and its node. */
export function allKeys(): { path: string; node: KeyNode }[] {
  const found: { path: string; node: KeyNode }[] = [];
  const visit = (node: KeyNode, path: string): void => {
    for (const [key, child] of Object.entries(node.properties ?? {})) {
      const at = path ? `${path}.${key}` : key;
      found.push({ path: at, node: child });
      visit(child, at);
      if (child.items) visit(child.items, `${at}.0`);
    }
  };
  visit(schemaRoot(), "");
  return found;
}

/** The node of a key path. Throws ConfigError that names the nearest key when there is none. */
export function keyNode(path: string): KeyNode {
  let node = schemaRoot();
  let above = "";
  for (const part of path.split(".")) {
    if (node.type === "array") {
      if (!/^(0|[1-9]\d*)$/.test(part) || node.items === undefined)
        throw new ConfigError(
          `"${brief(path)}" is not a key: ${above} is a list, whose elements are ${above}.0, ${above}.1 and so on`,
          path,
        );
      node = node.items;
    } else {
      const { properties } = node;
      const next = properties && Object.hasOwn(properties, part) ? properties[part] : undefined;
      if (next === undefined) throw new ConfigError(unknownKey(path, above, part, node), path);
      node = next;
    }
    above = above ? `${above}.${part}` : part;
  }
  return node;
}

function unknownKey(path: string, above: string, part: string, node: KeyNode): string {
  const siblings = Object.keys(node.properties ?? {});
  if (siblings.length === 0) return `"${brief(path)}" is not a key: ${above} is a single value`;
  return `"${brief(path)}" is not a key${didYouMean(above, part, siblings)}`;
}

/** The end of a sentence about an unknown key below `above`. */
export function didYouMean(above: string, part: string, siblings: readonly string[]): string {
  const full = (name: string) => (above ? `${above}.${name}` : name);
  const elsewhere = allKeys()
    .map((key) => key.path)
    .filter((known) => known.endsWith(`.${part}`) && !/\.\d+\./.test(known));
  const near = nearest(part, siblings);
  if (near !== undefined) return `; did you mean "${full(near)}"?`;
  if (elsewhere.length > 0 && elsewhere.length <= 4)
    return `; did you mean ${elsewhere.map((name) => `"${name}"`).join(" or ")}?`;
  const leaf = nearest(part, [...new Set(allKeys().map((key) => key.path.split(".").at(-1)!))]);
  const path = leaf && allKeys().find((key) => key.path.endsWith(`.${leaf}`))?.path;
  if (path) return `; did you mean "${path}"?`;
  return `; ${above ? `the keys of ${above}` : "the keys"} are ${siblings.join(", ")}`;
}

/** "an integer from 1 to 16", "4k, 2m or 1g", "true or false": what a key takes. */
export function allowed(node: KeyNode): string {
  if (node.enum) return oneOf(node.enum);
  if (node.type === "boolean") return "true or false";
  if (node.type === "integer" || node.type === "number")
    return `an integer from ${node.minimum} to ${node.maximum}`;
  if (node.type === "string") return "a name";
  if (node.type === "array") {
    const low = node.minItems ?? 0;
    const what = node.items?.enum ? `of ${oneOf(node.items.enum)}` : "of objects";
    return `a list of ${low} to ${node.maxItems} elements ${what}`;
  }
  return `an object with the keys ${Object.keys(node.properties ?? {}).join(", ")}`;
}

function oneOf(names: readonly string[]): string {
  return names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} or ${names.at(-1)}`;
}
