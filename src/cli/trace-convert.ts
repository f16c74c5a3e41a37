import { counted } from "../report/numbers.js";
import { printable } from "../report/text.js";
import { exportDrmemtrace } from "../trace/exporters/drmemtrace.js";
import { exportLackey } from "../trace/exporters/lackey.js";
import { convertTrace, type TraceSource } from "../trace/index.js";
import { shareRead } from "../trace/source.js";
import { cutTrace } from "../trace/tools/cut.js";
import { mergeTraces, QUANTUM } from "../trace/tools/merge.js";
import { traceText } from "../trace/tools/text.js";
import { type Parsed, positional } from "./arguments.js";
import { type Io, interruptible, UsageError } from "./io.js";
import { mustNotBeInput, writeFile } from "./output.js";
import { startProgress } from "./progress.js";
import { count, inputOptionsHelp, openInput, traceArguments, warnTruncated } from "./trace-input.js";

const outputOptionsHelp = `  --to FORMAT          nwt (default), text, drmemtrace or lackey. An OUT that ends in .gz is
                       compressed, as drcachesim wants its traces`;

export const convertHelp = `nestwalk trace convert IN OUT [options]

Writes any trace that nestwalk reads as a .nwt file (traces/FORMAT.md): small, checksummed,
readable from the middle. Or in another format, to run another tool on it; what that format
cannot hold is lost. OUT appears whole or not at all.

${outputOptionsHelp}
${inputOptionsHelp}

Examples
  nestwalk trace convert guest.pgrec.gz guest.nwt
  nestwalk trace convert mcf.champsimtrace.xz mcf.nwt
  nestwalk trace convert traces/sqlite.nwt sqlite.trace.gz --to drmemtrace
`;

export const cutHelp = `nestwalk trace cut IN OUT --start N [--end N] [options]

Writes a window of a trace as a trace of its own. It begins with the registers and page
tables that hold there, so that it replays by itself.

  --start N            first access of the window, from 0; k, M and G may follow (250k)
  --end N              the access after its last (default: the end of the trace)
  --events             count events of every kind in place of accesses
${outputOptionsHelp}
${inputOptionsHelp}

Examples
  nestwalk trace cut traces/pipe-pti.nwt window.nwt --start 2M --end 3M
`;

export const mergeHelp = `nestwalk trace merge OUT IN IN... [options]

Writes several traces of user-space programs as one guest in which they take turns, each as
processes of its own. Traces of whole guests cannot be merged.

  --quantum N          accesses to a turn (default ${QUANTUM.toLocaleString("en")}); k, M and G may follow
${outputOptionsHelp}
${inputOptionsHelp}

Examples
  nestwalk trace merge both.nwt ls.lackey sort.lackey --quantum 50k
`;

const OUTPUT = { to: { type: "string" } } as const;
const FORMATS = ["nwt", "text", "drmemtrace", "lackey"];

export async function convertCommand(args: readonly string[], io: Io): Promise<number> {
  const parsed = traceArguments("convert", args, io, convertHelp, OUTPUT);
  if (!parsed) return 0;
  const { IN, OUT } = positional("trace convert", parsed.positionals, "IN", "OUT");
  await mustNotBeInput(OUT, [IN]);
  return write(await openInput(IN, parsed), OUT, parsed, io);
}

export async function cutCommand(args: readonly string[], io: Io): Promise<number> {
  const parsed = traceArguments("cut", args, io, cutHelp, {
    ...OUTPUT,
    start: { type: "string" },
    end: { type: "string" },
    events: { type: "boolean" },
  });
  if (!parsed) return 0;
  const { IN, OUT } = positional("trace cut", parsed.positionals, "IN", "OUT");
  const from = count(parsed, "start", 0) ?? 0;
  const to = count(parsed, "end", 1);
  if (parsed.values.start === undefined && to === undefined)
    throw new UsageError("trace cut needs --start, --end or both; see nestwalk trace cut --help");
  if (to !== undefined && to <= from) throw new UsageError(`--end ${to} does not lie after --start ${from}`);
  const unit = parsed.values.events ? "events" : "accesses";
  await mustNotBeInput(OUT, [IN]);
  const trace = await openInput(IN, parsed);
  return write(cutTrace(trace, { from, ...(to === undefined ? {} : { to }), unit }), OUT, parsed, io);
}

export async function mergeCommand(args: readonly string[], io: Io): Promise<number> {
  const parsed = traceArguments("merge", args, io, mergeHelp, { ...OUTPUT, quantum: { type: "string" } });
  if (!parsed) return 0;
  const [OUT, ...inputs] = parsed.positionals;
  if (OUT === undefined || inputs.length < 2)
    throw new UsageError("trace merge needs OUT and two traces or more: nestwalk trace merge OUT IN IN...");
  const quantum = count(parsed, "quantum", 1) ?? QUANTUM;
  await mustNotBeInput(OUT, inputs);
  const traces: TraceSource[] = [];
  for (const path of inputs) traces.push(await openInput(path, parsed));
  return write(mergeTraces(traces, quantum), OUT, parsed, io);
}

async function write(trace: TraceSource, path: string, parsed: Parsed, io: Io): Promise<number> {
  const to = (parsed.values.to as string | undefined) ?? "nwt";
  if (!FORMATS.includes(to))
    throw new UsageError(`--to is "${to}"; it must be nwt, text, drmemtrace or lackey`);
  const progress = startProgress(io, 1, false);
  try {
    const plain = interruptible(
      parts(trace, to, (accesses) => progress.update({ fraction: shareRead(trace, accesses), accesses })),
      io,
    );
    const bytes = await writeFile(path, path.endsWith(".gz") ? gzipped(plain) : plain);
    progress.end();
    io.stdout.write(`${printable(path)}: ${counted(bytes, "byte")}\n`);
  } finally {
    progress.end();
  }
  warnTruncated(trace, io);
  return 0;
}

async function* parts(
  trace: TraceSource,
  to: string,
  onAccesses: (accesses: number) => void,
): AsyncGenerator<Uint8Array, void> {
  if (to === "nwt")
    yield* convertTrace(trace, {
      onProgress: ({ fetches, reads, writes }) => onAccesses(fetches + reads + writes),
    });
  else if (to === "drmemtrace") yield* exportDrmemtrace(trace);
  else if (to === "lackey") yield* exportLackey(trace);
  else for await (const text of traceText(trace)) yield new TextEncoder().encode(text);
}

async function* gzipped(plain: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void> {
  const iterator = plain[Symbol.asyncIterator]();
  const stream = new ReadableStream<Uint8Array>({
    async pull(controller) {
      const { done, value } = await iterator.next();
      if (done) controller.close();
      else if (value.length > 0) controller.enqueue(value);
      else controller.enqueue(new Uint8Array(0));
    },
  });
  const packed = stream.pipeThrough(
    new CompressionStream("gzip") as ReadableWritablePair<Uint8Array, Uint8Array>,
  );
  for await (const bytes of packed) yield bytes;
}
