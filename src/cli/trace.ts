import { nearest } from "../config/nearest.js";
import { openFile } from "../node/files.js";
import { counted, grouped } from "../report/numbers.js";
import {
  convertTrace,
  openTrace,
  RecordScanner,
  type TraceHeader,
  type TraceSource,
} from "../trace/index.js";
import { parseArguments, positional } from "./arguments.js";
import { Interrupted, type Io, stopIfInterrupted, UsageError } from "./io.js";
import { jsonText, writeFile } from "./output.js";

export const traceHelp = `nestwalk trace info FILE [--json] [--allow-truncated]
nestwalk trace convert IN OUT [--allow-truncated]

info reads a trace to its end and says what it is: what was recorded, how, and how much.
It fails where the trace is damaged, and so is a check of it as well.

convert writes any trace that nestwalk reads as a .nwt file (traces/FORMAT.md): smaller to
keep, checksummed, and readable from the middle. OUT appears whole or not at all.

  --json               info as JSON
  --allow-truncated    take a trace that was cut short as far as it is whole

Examples
  nestwalk trace info traces/sqlite.nwt
  nestwalk trace convert guest.pgrec.gz guest.nwt
`;

export async function traceCommand(args: readonly string[], io: Io): Promise<number> {
  const [action, ...rest] = args;
  if (action === "info") return info(rest, io);
  if (action === "convert") return convert(rest, io);
  if (action === "synth") return (await import("./trace-synth.js")).synthCommand(rest, io);
  if (action === "--help" || action === "-h") {
    io.stdout.write(traceHelp);
    return 0;
  }
  if (action === undefined) throw new UsageError("trace needs info or convert; see nestwalk trace --help");
  const near = nearest(action, ["info", "convert"]);
  throw new UsageError(
    `trace ${action} is not a command; ${near ? `did you mean trace ${near}?` : "there are trace info and trace convert"}`,
  );
}

const TRUNCATED = { "allow-truncated": { type: "boolean" } } as const;

async function convert(args: readonly string[], io: Io): Promise<number> {
  const { values, positionals } = parseArguments("trace", args, TRUNCATED);
  if (values.help) {
    io.stdout.write(traceHelp);
    return 0;
  }
  const { IN, OUT } = positional("trace convert", positionals, "IN", "OUT");
  const trace = await openTrace(await openFile(IN), { allowTruncated: values["allow-truncated"] === true });
  const written = await writeFile(OUT, interruptible(convertTrace(trace), io));
  io.stdout.write(`${OUT}: ${counted(written, "byte")}\n`);
  warnTruncated(trace, io);
  return 0;
}

/** The same parts, until the user interrupts: even while the source has nothing to give. */
async function* interruptible(parts: AsyncIterable<Uint8Array>, io: Io): AsyncGenerator<Uint8Array, void> {
  stopIfInterrupted(io);
  const aborted = new Promise<never>((_, reject) => {
    io.signal.addEventListener("abort", () => reject(new Interrupted("interrupted")), { once: true });
  });
  aborted.catch(() => {});
  const iterator = parts[Symbol.asyncIterator]();
  for (;;) {
    const next = await Promise.race([iterator.next(), aborted]);
    if (next.done) return;
    yield next.value;
  }
}

function warnTruncated({ name, truncated }: TraceSource, io: Io): void {
  if (truncated)
    io.stderr.write(
      `nestwalk: ${name} ends at byte ${truncated.offset}; only its ${truncated.events} whole events were taken\n`,
    );
}

async function info(args: readonly string[], io: Io): Promise<number> {
  const { values, positionals } = parseArguments("trace", args, { ...TRUNCATED, json: { type: "boolean" } });
  if (values.help) {
    io.stdout.write(traceHelp);
    return 0;
  }
  const { FILE } = positional("trace info", positionals, "FILE");
  const trace = await openTrace(await openFile(FILE), { allowTruncated: values["allow-truncated"] === true });
  const scanner = new RecordScanner({ name: trace.name, fetch: trace.header.fetch });
  let bytes = 0;
  let held = new Uint8Array(0);
  for await (const slice of trace.records()) {
    stopIfInterrupted(io);
    bytes += slice.length;
    const whole = new Uint8Array(held.length + slice.length);
    whole.set(held);
    whole.set(slice, held.length);
    held = whole.slice(scanner.scan(whole));
  }
  const { events, fetches, reads, writes } = scanner;
  const facts = { events, accesses: scanner.accesses, fetches, reads, writes, streamBytes: bytes };
  if (values.json) {
    const { version, fetch, recorded } = trace.header;
    const sha256 = await trace.sha256();
    io.stdout.write(
      jsonText({ file: trace.name, sha256, format: trace.format, version, fetch, ...facts, recorded }),
    );
  } else {
    io.stdout.write(`${infoLines(trace.header, trace, await trace.sha256(), facts).join("\n")}\n`);
  }
  warnTruncated(trace, io);
  return 0;
}

interface Facts {
  events: number;
  accesses: number;
  fetches: number;
  reads: number;
  writes: number;
  streamBytes: number;
}

function infoLines(header: TraceHeader, trace: TraceSource, sha256: string, facts: Facts): string[] {
  const rows: [string, string][] = [
    ["format", `${trace.format}, version ${header.version}`],
    ["sha256", sha256],
    ["events", grouped(facts.events)],
    [
      "accesses",
      `${grouped(facts.accesses)}: ${grouped(facts.fetches)} fetches, ${grouped(facts.reads)} reads, ${grouped(facts.writes)} writes`,
    ],
    ["fetches", header.fetch === "insn" ? "one record an instruction" : "one record a run within a page"],
    ["record stream", counted(facts.streamBytes, "byte")],
  ];
  for (const [key, value] of Object.entries(header.recorded)) {
    if (value === undefined || key === "source") continue;
    if (Array.isArray(value)) for (const item of value) rows.push([key, String(item)]);
    else rows.push([key, typeof value === "object" ? JSON.stringify(value) : String(value)]);
  }
  const width = Math.max(...rows.map(([key]) => key.length)) + 2;
  return [trace.name, ...rows.map(([key, value]) => `  ${key.padEnd(width)}${value}`)];
}
