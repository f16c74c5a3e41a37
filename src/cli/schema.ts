import { allKeys, allowed, jsonSchema } from "../config/index.js";
import { parseArguments, positional } from "./arguments.js";
import { type Row, writeHelp, writeRows } from "./help.js";
import type { Io } from "./io.js";
import { jsonText } from "./output.js";

export const schemaHelp = `nestwalk schema [--keys]

Prints the JSON Schema (draft 2020-12) of a configuration file: every key with its
description, range and default. Editors complete and check a file against it.

  --keys               a plain list instead: key, default, description

Examples
  nestwalk schema > nestwalk.schema.json
  nestwalk schema --keys | grep tlb
`;

export async function schemaCommand(args: readonly string[], io: Io): Promise<number> {
  const { values, positionals } = parseArguments("schema", args, { keys: { type: "boolean" } });
  if (values.help) {
    writeHelp(io, schemaHelp);
    return 0;
  }
  positional("schema", positionals);
  if (values.keys) writeRows(io, keyList());
  else io.stdout.write(jsonText(jsonSchema()));
  return 0;
}

function keyList(): Row[] {
  const rows = allKeys()
    .filter(({ node }) => node.properties === undefined)
    .map(({ path, node }) => {
      const shown = node.type === "array" || node.default === undefined ? "" : String(node.default);
      return { path, shown, text: `${node.description ?? ""} (${allowed(node)})` };
    });
  const path = Math.max(...rows.map((row) => row.path.length)) + 2;
  const shown = Math.max(...rows.map((row) => row.shown.length)) + 2;
  return rows.map((row) => ({
    left: `${row.path.padEnd(path)}${row.shown.padEnd(shown)}`,
    text: row.text,
  }));
}
