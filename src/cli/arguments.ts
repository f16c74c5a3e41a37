import { type ParseArgsConfig, parseArgs } from "node:util";
import { brief, nearest } from "../config/nearest.js";
import { UsageError } from "./io.js";

export type OptionSpecs = NonNullable<ParseArgsConfig["options"]>;

export interface Parsed {
  values: Record<string, string | boolean | string[] | undefined>;
  positionals: string[];
}

/** A command's arguments. Throws UsageError in our own words. */
export function parseArguments(command: string, args: readonly string[], options: OptionSpecs): Parsed {
  const all: OptionSpecs = { ...options, help: { type: "boolean", short: "h" } };
  const { tokens } = parseArgs({
    args: [...args],
    options: all,
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  const seen = new Set<string>();
  for (const token of tokens) {
    if (token.kind !== "option") continue;
    const spec = Object.hasOwn(all, token.name) ? all[token.name] : undefined;
    if (spec === undefined) {
      const near = nearest(token.name, Object.keys(all));
      const advice = near ? `did you mean --${near}?` : `see nestwalk ${command} --help`;
      throw new UsageError(`${brief(token.rawName)} is not an option of ${command}; ${advice}`);
    }
    if (spec.type === "boolean" && token.value !== undefined)
      throw new UsageError(`${token.rawName} takes no value, but was given "${brief(token.value)}"`);
    if (spec.type === "string") {
      const lacking = token.value === undefined || token.value === "";
      const swallowed = !token.inlineValue && token.value?.startsWith("-") && token.value !== "-";
      if (swallowed && /^-[^-a-z]/i.test(token.value!))
        throw new UsageError(
          `${token.rawName} needs a value; if that is "${brief(token.value!)}", write ${token.rawName}=${brief(token.value!)}`,
        );
      if (lacking || swallowed)
        throw new UsageError(`${token.rawName} needs a value; see nestwalk ${command} --help`);
    }
    if (!spec.multiple && seen.has(token.name)) throw new UsageError(`${token.rawName} is given twice`);
    seen.add(token.name);
  }
  const { values, positionals } = parseArgs({
    args: [...args],
    options: all,
    strict: false,
    allowPositionals: true,
  });
  return { values, positionals } as Parsed;
}

/** The positional arguments by name; throws UsageError when there are too few or too many. */
export function positional<N extends string>(
  command: string,
  given: readonly string[],
  ...names: N[]
): Record<N, string> {
  const missing = names[given.length];
  if (missing !== undefined)
    throw new UsageError(`${command} needs ${missing}: nestwalk ${command} ${names.join(" ")}`);
  if (given.length > names.length)
    throw new UsageError(
      `${command} takes ${names.length === 0 ? "no argument" : `only ${names.join(" ")}`}, but was also given "${brief(given[names.length]!)}"`,
    );
  const empty = names.find((_, i) => given[i] === "");
  if (empty !== undefined) throw new UsageError(`${command} was given an empty ${empty}; name a file`);
  return Object.fromEntries(names.map((name, i) => [name, given[i]])) as Record<N, string>;
}
