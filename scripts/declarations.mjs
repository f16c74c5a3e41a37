/**
 * Reads the enums that the core declares and writes them as TypeScript for the driver: names in order, and for
 * the counters the unit and the sentence of their comments.
 */
import { readFileSync } from "node:fs";

/** Members of `enum name` in `source`, in order: {name, value, doc}. */
export function members(source, name) {
  const body = new RegExp(`export enum ${name} \\{([\\s\\S]*?)\\n\\}`).exec(source)?.[1];
  if (body === undefined) throw new Error(`no enum ${name}`);
  const out = [];
  const values = new Map();
  let next = 0;
  for (const [, doc, member, expression] of body.matchAll(
    /(?:\/\*\* ([^\n]*?) \*\/\s*)?^ {2}(\w+)(?: = ([^,]+))?,/gm,
  )) {
    if (expression !== undefined)
      next = Function(...values.keys(), `return ${expression}`)(...values.values());
    values.set(member, next);
    if (member !== "COUNT") out.push({ name: member, value: next, doc: doc ?? "" });
    next += 1;
  }
  return out;
}

function described({ name, value, doc }) {
  const dot = doc.indexOf(". ");
  return { name, value, unit: doc.slice(0, dot), sentence: doc.slice(dot + 2) };
}

/** The text of src/generated/declarations.ts. */
export function declarations(folder) {
  const counters = readFileSync(`${folder}/counters.ts`, "utf8");
  const parameters = readFileSync(`${folder}/parameters.ts`, "utf8");
  const tracepoints = readFileSync(`${folder}/tracepoints.ts`, "utf8");
  const list = (name, rows) =>
    `export const ${name}: readonly Declared[] = ${JSON.stringify(rows.map(described), null, 2)};\n`;
  const index = (name, rows) =>
    `export const ${name} = {\n${rows.map((m) => `  ${m.name}: ${m.value},`).join("\n")}\n} as const;\n`;
  const parameterRows = members(parameters, "Parameter");
  return [
    "/** Written by scripts/build.mjs from assembly/counters.ts, tracepoints.ts and parameters.ts. */",
    "export interface Declared {\n  readonly name: string;\n  readonly value: number;\n  readonly unit: string;\n  readonly sentence: string;\n}",
    list("counters", members(counters, "Counter")),
    list("exitReasons", members(counters, "ExitReason")),
    list("structures", members(counters, "Structure")),
    list("structureCells", members(counters, "StructureCell")),
    list("tracepoints", members(tracepoints, "Tracepoint")),
    list("errorFamilies", members(tracepoints, "ErrorFamily")),
    index("Counter", members(counters, "Counter")),
    index("Parameter", parameterRows),
    `export const parameterCount = ${Math.max(...parameterRows.map((m) => m.value)) + 1};\n`,
  ].join("\n");
}
