import { nearest } from "../config/nearest.js";
import { counted } from "../report/numbers.js";
import {
  type Generator,
  generators,
  optionsOf,
  type SynthOption,
  type SynthOptions,
  synthTrace,
} from "../trace/synth/index.js";
import { type OptionSpecs, parseArguments } from "./arguments.js";
import { writeHelp } from "./help.js";
import { type Io, interruptible, UsageError } from "./io.js";
import { writeFile } from "./output.js";

const list = generators.map(({ name, what }) => `  ${name.padEnd(14)} ${what}`).join("\n");

export const synthHelp = `nestwalk trace synth NAME [options] -o FILE

Writes a trace that is computed rather than recorded: the same bytes for the same options,
everywhere. NAME is one of

${list}

  -o, --output FILE    the .nwt file to write
  --instructions N     instructions (default 1000000)
  --bytes SIZE         region of data: bytes, or with k, m or g (default 64m)
  --store-every N      one in N accesses is a store; 0 for none (default 4)
  --stride SIZE        bytes from one access to the next (default 4k)
  --skew S             exponent of the Zipf distribution (default 0.99)
  --degree N           edges of each vertex (default 16)
  --pages N            pages of data of a whole guest (default 1024)
  --rate N             table updates in a million instructions (default 1000)
  --forks N            children (default 20)
  --writes N           writes of each child, and of its parent after it (default 64)
  --seed N             seed of the random numbers (default 88172645463325252)

All but the whole guests hold no page tables: when they are replayed, a stand-in for the Linux
kernel plays them (nestwalk schema lists its keys, kernel.*).

Examples
  nestwalk trace synth random --bytes 256m -o random.nwt
  nestwalk trace synth zipf --bytes 1g --skew 1.2 --seed 7 -o zipf.nwt
  nestwalk trace synth table-updates --rate 20000 -o updates.nwt && nestwalk compare updates.nwt
`;

interface Spec {
  option: string;
  parse: (text: string, name: string) => number | bigint;
}

const whole =
  (low: number, high: number) =>
  (text: string, name: string): number => {
    const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
    if (!(value >= low && value <= high))
      throw new UsageError(`${name} is "${text}"; it must be a whole number from ${low} to ${high}`);
    return value;
  };

const UNITS: Record<string, number> = { "": 1, k: 1 << 10, m: 1 << 20, g: 1 << 30 };

const size =
  (low: number, high: number) =>
  (text: string, name: string): number => {
    const found = /^(\d{1,12})([kmg]?)$/i.exec(text);
    const bytes = found ? Number(found[1]) * UNITS[found[2]!.toLowerCase()]! : Number.NaN;
    if (!(bytes >= low && bytes <= high))
      throw new UsageError(`${name} is "${text}"; it must be ${low} to ${high} bytes, such as 64m`);
    return bytes;
  };

function fraction(text: string, name: string): number {
  const value = /^\d{1,3}(\.\d{1,6})?$/.test(text) ? Number(text) : Number.NaN;
  if (!(value <= 10)) throw new UsageError(`${name} is "${text}"; it must be a number from 0 to 10`);
  return value;
}

function seed(text: string, name: string): bigint {
  const value = /^\d{1,20}$/.test(text) ? BigInt(text) : 0n;
  if (value === 0n || value >> 64n !== 0n)
    throw new UsageError(`${name} is "${text}"; it must be a whole number from 1 to 2^64-1`);
  return value;
}

const specs: Record<SynthOption, Spec> = {
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

export async function synthCommand(args: readonly string[], io: Io): Promise<number> {
  const options: OptionSpecs = { output: { type: "string", short: "o" } };
  for (const { option } of Object.values(specs)) options[option] = { type: "string" };
  const { values, positionals } = parseArguments("trace synth", args, options);
  if (values.help) {
    writeHelp(io, synthHelp);
    return 0;
  }
  const generator = generatorCalled(positionals);
  const output = values.output as string | undefined;
  if (output === undefined) throw new UsageError("trace synth needs -o FILE, the trace to write");
  const asked = askedOf(generator, values);
  const parts = synthTrace(generator, optionsOf(generator, asked), commandOf(generator, values));
  const bytes = await writeFile(output, interruptible(parts, io));
  const how = generator.tables ? "a whole guest with its page tables" : "no page tables: compare plays them";
  io.stdout.write(`${output}: ${counted(bytes, "byte")}; ${how}\n`);
  return 0;
}

function generatorCalled(positionals: readonly string[]): Generator {
  const names = generators.map(({ name }) => name);
  const [name, more] = positionals;
  if (name === undefined) throw new UsageError(`trace synth needs a NAME: ${names.join(", ")}`);
  if (more !== undefined)
    throw new UsageError(`trace synth takes one NAME, but was also given "${more}"; the file comes after -o`);
  const found = generators.find((generator) => generator.name === name);
  if (found) return found;
  const near = nearest(name, names);
  throw new UsageError(
    `"${name}" is no generator; ${near ? `did you mean ${near}?` : `there are ${names.join(", ")}`}`,
  );
}

function askedOf(generator: Generator, values: Record<string, unknown>): Partial<SynthOptions> {
  const asked: Record<string, number | bigint> = {};
  for (const [key, { option, parse }] of Object.entries(specs)) {
    const text = values[option] as string | undefined;
    if (text === undefined) continue;
    if (!generator.takes.includes(key as SynthOption)) throw new UsageError(notTaken(generator, option));
    asked[key] = parse(text, `--${option}`);
  }
  const most = MOST_BYTES[generator.like] ?? Number.POSITIVE_INFINITY;
  if (Number(asked.bytes ?? 0) > most)
    throw new UsageError(`--bytes is more than ${generator.name} can hold, ${most / 2 ** 30}g`);
  return asked as Partial<SynthOptions>;
}

function notTaken({ name, takes }: Generator, option: string): string {
  const known = takes.map((key) => `--${specs[key].option}`).join(", ");
  return `${name} takes no --${option}; ${known === "" ? "it is always the same trace, and random is its general form" : `it takes ${known}`}`;
}

/** The command line that makes the trace again. */
function commandOf(generator: Generator, values: Record<string, unknown>): string {
  const given = Object.values(specs)
    .filter(({ option }) => values[option] !== undefined)
    .map(({ option }) => ` --${option} ${String(values[option])}`);
  return `nestwalk trace synth ${generator.name}${given.join("")} -o FILE`;
}
