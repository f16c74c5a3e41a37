import { UsageError } from "../cli/io.js";
import { published } from "./peers/published.js";
import { programs } from "./peers/random-lines.js";
import { countMisses } from "./peers/run.js";
import { suiteArguments, Tally } from "./suite.js";

const usage = `npm run conform -- peers [g8] [g64] [gups]

Counts the TLB misses of synthetic programs, under LRU and FIFO, and compares them with what other simulators count.
`;

export async function conformPeers(args: readonly string[], write: (text: string) => void): Promise<number> {
  const { values, positionals } = suiteArguments(args, usage, {});
  if (values.help) {
    write(usage);
    return 0;
  }
  for (const name of positionals)
    if (!programs.some((p) => p.name === name))
      throw new UsageError(`no program "${name}": ${programs.map((p) => p.name).join(", ")}`);
  const tally = new Tally();
  for (const { program: name, policy, misses, source } of published) {
    if (positionals.length > 0 && !positionals.includes(name)) continue;
    const found = countMisses(programs.find((p) => p.name === name)!, policy);
    for (const level of ["l1i", "l1d", "l2"] as const) {
      const equal = found[level] === misses[level];
      tally.add(equal);
      write(
        `${`${name} ${policy} ${level} misses`.padEnd(24)} expected ${String(misses[level]).padStart(8)}  found ${String(found[level]).padStart(8)}${equal ? "" : "  DIFFERS"}  (${source})\n`,
      );
    }
  }
  write(tally.line);
  return tally.exitCode;
}
