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

/** "unit. Sentence." in two; `what` is what the part before the full stop is called. */
function inTwo(what, { name, value, doc }) {
  const dot = doc.indexOf(". ");
  if (dot <= 0) throw new Error(`${name} has no ${what}: its comment is "${doc}", not "${what}. Sentence."`);
  return { name, value, [what]: doc.slice(0, dot), sentence: doc.slice(dot + 2) };
}

function inOne({ name, value, doc }) {
  if (doc === "") throw new Error(`${name} has no comment; it must be a sentence`);
  return { name, value, sentence: doc };
}

export const counted = (member) => inTwo("unit", member);
export const exitReason = (member) => inTwo("codes", member);
export const structure = inOne;

const TYPES = `export interface Declared {
  readonly name: string;
  readonly value: number;
  readonly sentence: string;
}

export interface DeclaredCounter extends Declared {
  readonly unit: string;
}

/** Intel's basic exit reason and AMD's exit code, such as "0 / 0x4E"; "-" where there is none. */
export interface DeclaredExitReason extends Declared {
  readonly codes: string;
}
`;

/** The text of src/generated/declarations.ts. */
export function declarations(folder) {
  const counters = readFileSync(`${folder}/counters.ts`, "utf8");
  const parameters = readFileSync(`${folder}/parameters.ts`, "utf8");
  const tracepoints = readFileSync(`${folder}/tracepoints.ts`, "utf8");
  const list = (name, type, rows) =>
    `export const ${name}: readonly ${type}[] = ${JSON.stringify(rows, null, 2)};\n`;
  const index = (name, rows) =>
    `export const ${name} = {\n${rows.map((m) => `  ${m.name}: ${m.value},`).join("\n")}\n} as const;\n`;
  const parameterRows = members(parameters, "Parameter");
  return [
    "/** Written by scripts/build.mjs from assembly/counters.ts, tracepoints.ts and parameters.ts. */",
    TYPES,
    list("counters", "DeclaredCounter", members(counters, "Counter").map(counted)),
    list("exitReasons", "DeclaredExitReason", members(counters, "ExitReason").map(exitReason)),
    list("structures", "Declared", members(counters, "Structure").map(structure)),
    list("structureCells", "DeclaredCounter", members(counters, "StructureCell").map(counted)),
    list("tracepoints", "DeclaredCounter", members(tracepoints, "Tracepoint").map(counted)),
    list("errorFamilies", "DeclaredCounter", members(tracepoints, "ErrorFamily").map(counted)),
    index("Counter", members(counters, "Counter")),
    index("Parameter", parameterRows),
    `export const parameterCount = ${Math.max(...parameterRows.map((m) => m.value)) + 1};\n`,
  ].join("\n");
}
