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
  const { timeout, allowTruncated = false } = options;
  let timedOut = false;
  const clock =
    timeout === undefined
      ? undefined
      : setTimeout(() => {
          timedOut = true;
          child.kill();
        }, timeout * 1000);
  const end = () => clearTimeout(clock);
  const tooLong = () =>
    new RecordError(`the recording was not done after ${timeout} s; --timeout gives it longer`);
  try {
    const parts = bytesOf(child);
    const first = await parts.next();
    if (first.done) {
      await child.ended;
      throw timedOut ? tooLong() : new RecordError(options.nothing());
    }
    async function* all(): AsyncGenerator<Uint8Array, void> {
      yield first.value as Uint8Array;
      yield* parts;
    }
    const source = await openTrace(bytesOfStream("the recording", all()), {
      allowTruncated,
      ...(options.from === undefined ? {} : { from: options.from }),
    });
    const { header } = source;
    const registers = header.recorded.registers;
    const trace: TraceSource = {
      format: source.format,
      name: source.name,
      header: {
        ...header,
        recorded: { ...options.recorded, ...(registers === undefined ? {} : { registers }) },
      },
      get truncated() {
        return source.truncated;
      },
      sha256: () => source.sha256(),
      async *records() {
        try {
          yield* source.records();
        } catch (error) {
          if (timedOut) throw tooLong();
          if (error instanceof TraceError && error.kind === "truncated") {
            await child.ended;
            throw new RecordError(options.broke());
          }
          throw error;
        }
      },
    };
    return {
      trace,
      async done() {
        const ending = await child.ended;
        end();
        return options.remarks(ending, source.truncated !== undefined);
      },
      kill() {
        end();
        child.kill();
      },
    };
  } catch (error) {
    end();
    child.kill();
    throw error;
  }
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
