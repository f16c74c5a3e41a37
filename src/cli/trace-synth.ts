import { counted } from "../report/numbers.js";
import { generators, optionsOf, synthTrace } from "../trace/synth/index.js";
import {
  generatorCalled,
  parseSynthOptions,
  synthCommandLine,
  synthOptions,
} from "../trace/synth/options.js";
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

Every command that reads a trace computes one itself, without a file, for synth:NAME or
synth:NAME,option=value,... in place of the file.

All but the whole guests hold no page tables: when they are replayed, a stand-in for the Linux
kernel plays them (nestwalk schema lists its keys, kernel.*).

Examples
  nestwalk trace synth random --bytes 256m -o random.nwt
  nestwalk trace synth zipf --bytes 1g --skew 1.2 --seed 7 -o zipf.nwt
  nestwalk trace synth table-updates --rate 20000 -o updates.nwt && nestwalk compare updates.nwt
  nestwalk compare synth:table-updates,rate=20000
`;

export async function synthCommand(args: readonly string[], io: Io): Promise<number> {
  const options: OptionSpecs = { output: { type: "string", short: "o" } };
  for (const { option } of Object.values(synthOptions)) options[option] = { type: "string" };
  const { values, positionals } = parseArguments("trace synth", args, options);
  if (values.help) {
    writeHelp(io, synthHelp);
    return 0;
  }
  const generator = generatorCalled(nameOf(positionals));
  const output = values.output as string | undefined;
  if (output === undefined) throw new UsageError("trace synth needs -o FILE, the trace to write");
  const texts = values as Record<string, string | undefined>;
  const asked = parseSynthOptions(generator, texts, (option) => `--${option}`);
  const parts = synthTrace(generator, optionsOf(generator, asked), synthCommandLine(generator, texts));
  const bytes = await writeFile(output, interruptible(parts, io));
  const how = generator.tables ? "a whole guest with its page tables" : "no page tables: compare plays them";
  io.stdout.write(`${output}: ${counted(bytes, "byte")}; ${how}\n`);
  return 0;
}

function nameOf(positionals: readonly string[]): string {
  const [name, more] = positionals;
  if (name === undefined)
    throw new UsageError(`trace synth needs a NAME: ${generators.map((one) => one.name).join(", ")}`);
  if (more !== undefined)
    throw new UsageError(`trace synth takes one NAME, but was also given "${more}"; the file comes after -o`);
  return name;
}
