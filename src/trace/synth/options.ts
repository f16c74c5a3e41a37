import { ConfigError } from "../../config/error.js";
import { nearest } from "../../config/nearest.js";
import { openTrace } from "../open.js";
import type { TraceSource } from "../source.js";
import {
  type Generator,
  generators,
  optionsOf,
  type SynthOption,
  type SynthOptions,
  synthTrace,
} from "./index.js";

/** Options of computed traces as text: of `trace synth`, and of a trace that is named "synth:NAME,option=value". */

interface Spec {
  option: string;
  parse: (text: string, name: string) => number | bigint;
}

const whole =
  (low: number, high: number) =>
  (text: string, name: string): number => {
    const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
    if (!(value >= low && value <= high))
      throw new ConfigError(`${name} is "${text}"; it must be a whole number from ${low} to ${high}`);
    return value;
  };

const UNITS: Record<string, number> = { "": 1, k: 1 << 10, m: 1 << 20, g: 1 << 30 };

const size =
  (low: number, high: number) =>
  (text: string, name: string): number => {
    const found = /^(\d{1,12})([kmg]?)$/i.exec(text);
    const bytes = found ? Number(found[1]) * UNITS[found[2]!.toLowerCase()]! : Number.NaN;
    if (!(bytes >= low && bytes <= high))
      throw new ConfigError(`${name} is "${text}"; it must be ${low} to ${high} bytes, such as 64m`);
    return bytes;
  };

function fraction(text: string, name: string): number {
  const value = /^\d{1,3}(\.\d{1,6})?$/.test(text) ? Number(text) : Number.NaN;
  if (!(value <= 10)) throw new ConfigError(`${name} is "${text}"; it must be a number from 0 to 10`);
  return value;
}

function seed(text: string, name: string): bigint {
  const value = /^\d{1,20}$/.test(text) ? BigInt(text) : 0n;
  if (value === 0n || value >> 64n !== 0n)
    throw new ConfigError(`${name} is "${text}"; it must be a whole number from 1 to 2^64-1`);
  return value;
}

export const synthOptions: Record<SynthOption, Spec> = {
  instructions: { option: "instructions", parse: whole(1, 1e12) },
  bytes: { option: "bytes", parse: size(4096, 2 ** 36) },
  storeEvery: { option: "store-every", parse: whole(0, 1e9) },
  stride: { option: "stride", parse: size(1, 2 ** 36) },
  skew: { option: "skew", parse: fraction },
  degree: { option: "degree", parse: whole(1, 1024) },
  pages: { option: "pages", parse: whole(1, 100_000) },
  rate: { option: "rate", parse: whole(0, 1_000_000) },
  forks: { option: "forks", parse: whole(1, 1_000_000) },
  writes: { option: "writes", parse: whole(0, 1_000_000) },
  seed: { option: "seed", parse: seed },
};

/** Generators that hold something of each page or line in memory. */
const MOST_BYTES: Partial<Record<Generator["like"], number>> = {
  chase: 2 ** 33,
  zipf: 2 ** 36,
  bfs: 2 ** 31,
};

/** The generator of that name. Throws ConfigError with the nearest name. */
export function generatorCalled(name: string): Generator {
  const names = generators.map((generator) => generator.name);
  const found = generators.find((generator) => generator.name === name);
  if (found) return found;
  const near = nearest(name, names);
  throw new ConfigError(
    `"${name}" is no generator; ${near ? `did you mean ${near}?` : `there are ${names.join(", ")}`}`,
  );
}

/**
 * Options by the name that the command line has for them, as numbers. Throws ConfigError for what the generator does not
 * take; `named` is what an option is called in messages.
 */
export function parseSynthOptions(
  generator: Generator,
  texts: Readonly<Record<string, string | undefined>>,
  named: (option: string) => string,
): Partial<SynthOptions> {
  const asked: Record<string, number | bigint> = {};
  for (const [key, { option, parse }] of Object.entries(synthOptions)) {
    const text = texts[option];
    if (text === undefined) continue;
    if (!generator.takes.includes(key as SynthOption))
      throw new ConfigError(notTaken(generator, option, named));
    asked[key] = parse(text, named(option));
  }
  const most = MOST_BYTES[generator.like] ?? Number.POSITIVE_INFINITY;
  if (Number(asked.bytes ?? 0) > most)
    throw new ConfigError(`${named("bytes")} is more than ${generator.name} can hold, ${most / 2 ** 30}g`);
  return asked as Partial<SynthOptions>;
}

function notTaken({ name, takes }: Generator, option: string, named: (option: string) => string): string {
  const known = takes.map((key) => named(synthOptions[key].option)).join(", ");
  return `${name} takes no ${named(option)}; ${known === "" ? "it is always the same trace, and random is its general form" : `it takes ${known}`}`;
}

/** The command line that makes the trace again. */
export function synthCommandLine(
  generator: Generator,
  texts: Readonly<Record<string, string | undefined>>,
): string {
  const given = Object.values(synthOptions)
    .filter(({ option }) => texts[option] !== undefined)
    .map(({ option }) => ` --${option} ${texts[option]}`);
  return `nestwalk trace synth ${generator.name}${given.join("")} -o FILE`;
}

const PREFIX = "synth:";

/** Whether a trace is named that is computed. */
export function isSynthName(name: string): boolean {
  return name.startsWith(PREFIX);
}

/** "synth:NAME,option=value,..." in its parts. Throws ConfigError. */
function partsOf(name: string): { generator: Generator; texts: Record<string, string> } {
  const [called = "", ...pairs] = name.slice(PREFIX.length).split(",");
  const generator = generatorCalled(called);
  const texts: Record<string, string> = {};
  const known = Object.values(synthOptions).map(({ option }) => option);
  for (const pair of pairs) {
    const equals = pair.indexOf("=");
    if (equals <= 0 || equals === pair.length - 1)
      throw new ConfigError(
        `"${pair}" in ${name} is not option=value, as in ${PREFIX}table-updates,rate=5000`,
      );
    const option = pair.slice(0, equals);
    if (!known.includes(option)) {
      const near = nearest(option, known);
      throw new ConfigError(
        `"${option}" in ${name} is no option${near ? `; did you mean ${near}?` : ` of ${called}`}`,
      );
    }
    if (Object.hasOwn(texts, option))
      throw new ConfigError(`"${option}" stands twice in ${name}; leave one out`);
    texts[option] = pair.slice(equals + 1);
  }
  return { generator, texts };
}

/** The same computed trace with an option set. */
export function withSynthOption(name: string, option: string, value: string): string {
  const { generator, texts } = partsOf(name);
  const pairs = Object.entries({ ...texts, [option]: value }).map(([key, text]) => `${key}=${text}`);
  return `${PREFIX}${[generator.name, ...pairs].join(",")}`;
}

/**
 * A trace that is computed as it is read: "synth:table-updates,rate=5000", with the names of the options of
 * `nestwalk trace synth`. The same as the file that `trace synth` writes. Throws ConfigError.
 */
export async function openSynth(name: string): Promise<TraceSource> {
  const { generator, texts } = partsOf(name);
  const options = optionsOf(
    generator,
    parseSynthOptions(generator, texts, (option) => option),
  );
  const command = synthCommandLine(generator, texts);
  return openTrace({
    name,
    [Symbol.asyncIterator]: () => synthTrace(generator, options, command),
  });
}
