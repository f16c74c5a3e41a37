import { shareRead } from "../trace/source.js";
import { type StatOptions, type TraceStatistics, traceStatistics } from "../trace/tools/stat.js";
import { positional } from "./arguments.js";
import { type Io, UsageError } from "./io.js";
import { jsonText } from "./output.js";
import { startProgress } from "./progress.js";
import { count, inputOptionsHelp, openInput, traceArguments, warnTruncated } from "./trace-input.js";

export const statHelp = `nestwalk trace stat FILE [options]

Reads a trace to its end and prints, as JSON for plots:
  fetch, data          reuse distances by page: how many accesses, how many first touches
                       (cold), and a histogram: [0] the page touched just before, [k] with
                       2^(k-1) to 2^k - 1 other pages in between
  workingSet           distinct pages in each window of accesses

  --page SIZE          4k (default), 2m or 1g: what a page is
  --window N           accesses in a window (default: a thousandth of the trace, and at
                       least 10,000); k, M and G may follow
${inputOptionsHelp}

Examples
  nestwalk trace stat traces/bfs-thp.nwt | jq '.data.histogram'
  nestwalk trace stat traces/redis.nwt --window 100k > redis.json
`;

export async function statCommand(args: readonly string[], io: Io): Promise<number> {
  const parsed = traceArguments("stat", args, io, statHelp, {
    page: { type: "string" },
    window: { type: "string" },
  });
  if (!parsed) return 0;
  const { FILE } = positional("trace stat", parsed.positionals, "FILE");
  const page = parsed.values.page as string | undefined;
  if (page !== undefined && page !== "4k" && page !== "2m" && page !== "1g")
    throw new UsageError(`--page is "${page}"; it must be 4k, 2m or 1g`);
  const window = count(parsed, "window", 1);
  const options: StatOptions = { ...(page ? { page } : {}), ...(window ? { window } : {}) };
  const trace = await openInput(FILE, parsed);
  const progress = startProgress(io, 1, false);
  let statistics: TraceStatistics;
  try {
    statistics = await traceStatistics(trace, options, (accesses) =>
      progress.update({ fraction: shareRead(trace, accesses), accesses }),
    );
  } finally {
    progress.end();
  }
  io.stdout.write(jsonText(statistics));
  warnTruncated(trace, io);
  return 0;
}
