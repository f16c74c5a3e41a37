import { ConfigError } from "../config/error.js";
import { brief } from "../config/nearest.js";
import { parseAssignment } from "../config/resolve.js";
import { optionName } from "../request/option-names.js";
import { isSynthName } from "../trace/synth/options.js";

export type Setting = string | number | boolean;

/** A key and the values that it takes, in order. */
export interface Axis {
  key: string;
  values: Setting[];
}

/** An axis as it was asked for: the values as text beside. */
export interface AskedAxis extends Axis {
  texts: string[];
}

/** Most results of one sweep. */
export const MOST_POINTS = 1000;

/** The keys of a computed trace, `trace.rate` for one, stand beside those of the configuration. */
const TRACE = "trace.";

/** The option of a computed trace that the key names, or undefined for a key of the configuration. */
export function traceOption(key: string): string | undefined {
  return key.startsWith(TRACE) ? key.slice(TRACE.length) : undefined;
}

const CHOOSES_MACHINES = ["technique", "format"];

/** Axes of texts KEY=V1,V2,... Throws ConfigError: one sentence for the first thing that is wrong. */
export function parseAxes(texts: readonly string[], trace: string): AskedAxis[] {
  const axes = texts.map((text) => parseAxis(text, trace));
  for (const [i, { key }] of axes.entries())
    if (axes.findIndex((other) => other.key === key) < i)
      throw new ConfigError(`${optionName("vary", key)} is given twice; give all its values at once`);
  const points = axes.reduce((product, { values }) => product * values.length, 1);
  if (points > MOST_POINTS)
    throw new ConfigError(
      `the varied keys make ${points} combinations; at most ${MOST_POINTS} are run at once: give fewer values`,
    );
  return axes;
}

function parseAxis(text: string, trace: string): AskedAxis {
  const equals = text.indexOf("=");
  const key = text.slice(0, equals).trim();
  const texts = equals <= 0 ? [] : listOf(text.slice(equals + 1));
  if (texts.length === 0 || texts.includes(""))
    throw new ConfigError(
      `${optionName("vary", brief(text))} is not key.path=value,value,..., as in ${optionName("vary", "tlb.l2.0.entries=768,1536,3072")}`,
    );
  if (CHOOSES_MACHINES.includes(key))
    throw new ConfigError(
      `${optionName("vary", key)} would compare techniques; ${optionName("technique")} does, side by side`,
    );
  const option = traceOption(key);
  if (option !== undefined && !isSynthName(trace))
    throw new ConfigError(
      `${optionName("vary", key)} varies how a trace is computed, and ${brief(trace)} is a file; take a computed one, such as synth:table-updates`,
    );
  const values = texts.map((value) => (option === undefined ? settingOf(key, value) : numberOr(value)));
  for (const [i, value] of values.entries())
    if (values.indexOf(value) < i)
      throw new ConfigError(`${optionName("vary", key)} names ${brief(texts[i]!)} twice`);
  return { key, values, texts };
}

/** Values between commas, but for the commas within brackets and quotes of JSON. */
function listOf(text: string): string[] {
  const values: string[] = [];
  let depth = 0;
  let quoted = false;
  let value = "";
  for (const c of text) {
    if (c === '"') quoted = !quoted;
    else if (!quoted && "[{".includes(c)) ++depth;
    else if (!quoted && "]}".includes(c)) --depth;
    if (c === "," && depth === 0 && !quoted) {
      values.push(value.trim());
      value = "";
    } else {
      value += c;
    }
  }
  return [...values, value.trim()];
}

/** The value as results have it: a list or an object as the text that it was given as. */
function settingOf(key: string, text: string): Setting {
  const { value } = parseAssignment(`${key}=${text}`, "vary");
  return typeof value === "string" || typeof value === "number" || typeof value === "boolean" ? value : text;
}

function numberOr(text: string): Setting {
  return /^\d{1,15}(\.\d+)?$/.test(text) ? Number(text) : text;
}

/** A value for each axis: one number for each, its place among the values. The last axis turns fastest. */
export function combinations(axes: readonly Axis[]): number[][] {
  return axes.reduce<number[][]>(
    (all, { values }) => all.flatMap((before) => values.map((_, i) => [...before, i])),
    [[]],
  );
}
