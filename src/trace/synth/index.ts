import { NwtWriter } from "../nwt-writer.js";
import type { Recorded } from "../source.js";
import { type ProgramOptions, programStream, type programs } from "./programs.js";
import { type StormOptions, stormStream } from "./storms.js";

export type SynthOptions = ProgramOptions & StormOptions;
export type SynthOption = keyof SynthOptions;

/** A trace that is computed, not recorded. */
export interface Generator {
  name: string;
  /** One sentence. */
  what: string;
  /** Whether it is a whole guest with page tables; if not, the stand-in kernel plays one. */
  tables: boolean;
  /** The options it takes. */
  takes: readonly SynthOption[];
  /** Its own values of options. */
  values: Partial<SynthOptions>;
  /** The same with another name. */
  like: keyof typeof programs | "table-updates" | "fork-storm";
}

const MIB = 1 << 20;

/** What an option is unless the generator or the user says otherwise. */
const STANDARD: SynthOptions = {
  instructions: 1_000_000,
  bytes: 64 * MIB,
  storeEvery: 4,
  stride: 4096,
  skew: 0.99,
  degree: 16,
  pages: 1024,
  rate: 1000,
  forks: 20,
  writes: 64,
  seed: 88172645463325252n,
};

const PROGRAM = ["instructions", "bytes", "storeEvery"] as const;

/** The published synthetic traces (TLB-miss counts of drcachesim and TLBSim exist for them). */
const published = (name: string, bytes: number, instructions: number): Generator => ({
  name,
  what: `random lines of ${bytes / MIB} MiB, ${instructions / 1e6} M instructions; always the same trace, with published TLB-miss counts`,
  tables: false,
  takes: [],
  values: { bytes, instructions },
  like: "random",
});

export const generators: readonly Generator[] = [
  {
    name: "sequential",
    what: "8-byte words one after the other, around and around a region",
    tables: false,
    takes: PROGRAM,
    values: {},
    like: "sequential",
  },
  {
    name: "strided",
    what: "one word every stride bytes, around and around a region",
    tables: false,
    takes: [...PROGRAM, "stride"],
    values: {},
    like: "strided",
  },
  {
    name: "random",
    what: "a random line of a region each time",
    tables: false,
    takes: [...PROGRAM, "seed"],
    values: {},
    like: "random",
  },
  published("g8", 8 * MIB, 2_000_000),
  published("g64", 64 * MIB, 2_000_000),
  published("gups", 1024 * MIB, 3_000_000),
  {
    name: "chase",
    what: "a chain of loads through every line of a region in random order",
    tables: false,
    takes: ["instructions", "bytes", "seed"],
    values: { storeEvery: 0 },
    like: "chase",
  },
  {
    name: "zipf",
    what: "pages of a region by a Zipf distribution, scattered over it",
    tables: false,
    takes: [...PROGRAM, "skew", "seed"],
    values: {},
    like: "zipf",
  },
  {
    name: "bfs",
    what: "breadth-first searches of a random graph in compressed rows",
    tables: false,
    takes: ["instructions", "bytes", "degree", "seed"],
    values: {},
    like: "bfs",
  },
  {
    name: "table-updates",
    what: "a whole guest whose pages are unmapped and mapped elsewhere at a rate: shadow against nested paging",
    tables: true,
    takes: ["instructions", "pages", "rate", "seed"],
    values: {},
    like: "table-updates",
  },
  {
    name: "fork-storm",
    what: "a whole guest that forks; the children, and the parent after them, write pages that are copied on write",
    tables: true,
    takes: ["forks", "pages", "writes", "seed"],
    values: {},
    like: "fork-storm",
  },
];

/** The options of a generator with what was asked for. */
export function optionsOf(generator: Generator, asked: Partial<SynthOptions>): SynthOptions {
  return { ...STANDARD, ...generator.values, ...asked };
}

/** The record stream of a generator, in slices; the same bytes for the same options on every engine. */
export function synthStream({ like }: Generator, options: SynthOptions): Iterable<Uint8Array> {
  if (like === "table-updates" || like === "fork-storm") return stormStream(like, options);
  return programStream(like, options);
}

/** What the header says of a generated trace. */
function synthRecorded(generator: Generator, command: string): Recorded {
  const common = {
    program: `synthetic ${generator.name}: ${generator.what}`,
    recorder: "nestwalk trace synth",
    command,
  };
  if (generator.tables) return { ...common, tables: true, ramMiB: 1024 };
  return {
    ...common,
    tables: false,
    addresses: "virtual",
    missing: ["the kernel: page tables, faults and switches"],
  };
}

/** A generated trace as the bytes of a .nwt file, in order. */
export async function* synthTrace(
  generator: Generator,
  options: SynthOptions,
  command: string,
): AsyncGenerator<Uint8Array, void> {
  const writer = new NwtWriter({ fetch: "insn", recorded: synthRecorded(generator, command) });
  yield writer.start();
  for (const slice of synthStream(generator, options)) yield* await writer.push(slice);
  yield* await writer.finish();
}
