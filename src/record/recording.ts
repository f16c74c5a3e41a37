import { bytesOfStream } from "../trace/bytes.js";
import { TraceError } from "../trace/error.js";
import { openTrace, type Recorded, type TraceSource } from "../trace/index.js";
import type { Child, Ending } from "./child.js";
import { RecordError } from "./error.js";
import type { Env } from "./tools.js";

export interface RecordContext {
  env: Env;
  signal: AbortSignal;
  /** A folder that is there until the recording ends. */
  work: string;
  /** Told what begins, when it may take a while. */
  say: (text: string) => void;
}

/** A recording under way. */
export interface Recording {
  /** What is recorded, while it is recorded; to be read once. */
  trace: TraceSource;
  /** To be called when the trace has been read: gives what the user should know. */
  done: () => Promise<string[]>;
  /** Ends it at once. */
  kill: () => void;
}

export interface RecordingOptions {
  recorded: Recorded;
  /** Seconds until it is given up; undefined for as long as it takes. */
  timeout: number | undefined;
  /** What to say when nothing came, and when it broke off. */
  nothing: () => string;
  broke: () => string;
  remarks: (ending: Ending, broke: boolean) => string[];
  /** A recording that breaks off is closed where it is whole. */
  allowTruncated?: boolean;
  /** The format, where the first bytes leave it open. */
  from?: string;
}

/** The trace that a process writes to its descriptor 3, from its first byte on. Throws RecordError when there is none. */
export async function recordedBy(child: Child, options: RecordingOptions): Promise<Recording> {
  try {
    const parts = bytesOf(child);
    const first = await firstOf(parts, child, options);
    async function* all(): AsyncGenerator<Uint8Array, void> {
      yield first;
      yield* parts;
    }
    const { allowTruncated = false, from } = options;
    const source = await openTrace(bytesOfStream("the recording", all()), {
      allowTruncated,
      ...(from === undefined ? {} : { from }),
    });
    return {
      trace: described(source, child, options),
      done: async () => options.remarks(await child.ended, source.truncated !== undefined),
      kill: () => child.kill(),
    };
  } catch (error) {
    child.kill();
    throw error;
  }
}

async function firstOf(
  parts: AsyncGenerator<Uint8Array, void>,
  child: Child,
  { timeout, nothing }: RecordingOptions,
): Promise<Uint8Array> {
  let late = false;
  const giveUp = () => {
    late = true;
    child.kill();
  };
  const clock = timeout === undefined ? undefined : setTimeout(giveUp, timeout * 1000);
  const first = await parts.next().finally(() => clearTimeout(clock));
  if (!first.done) return first.value;
  await child.ended;
  throw new RecordError(
    late ? `nothing was recorded within ${timeout} s; --timeout gives it longer` : nothing(),
  );
}

/** The same trace, with what the recorder knows of it. */
function described(source: TraceSource, child: Child, { recorded, broke }: RecordingOptions): TraceSource {
  const { header } = source;
  const { registers } = header.recorded;
  return {
    format: source.format,
    name: source.name,
    header: { ...header, recorded: { ...recorded, ...(registers === undefined ? {} : { registers }) } },
    get truncated() {
      return source.truncated;
    },
    sha256: () => source.sha256(),
    async *records() {
      try {
        yield* source.records();
      } catch (error) {
        if (!(error instanceof TraceError) || error.kind !== "truncated") throw error;
        await child.ended;
        throw new RecordError(broke());
      }
    },
  };
}

/** What a process writes to its descriptor 3. Whoever reads no further ends the process. */
async function* bytesOf(child: Child): AsyncGenerator<Uint8Array, void> {
  try {
    for await (const bytes of child.trace) yield bytes as Uint8Array;
  } catch (error) {
    // Its end is seen first when the process has been killed.
    if ((error as NodeJS.ErrnoException).code !== "ERR_STREAM_PREMATURE_CLOSE") throw error;
  } finally {
    if (!child.trace.readableEnded) child.kill();
  }
}
