import {
  type ByteSource,
  bytesOfBlob,
  compare,
  type Explanation,
  explainTrace,
  openTrace,
  resolveConfig,
} from "nestwalk";
import { FedTrace, feed } from "./feed.js";
import type { Advance, Answer, Explain, Look, Task, TraceFile } from "./messages.js";

/** The worker: everything that reads a trace or replays one happens here, never on the page's own thread. */

const PROGRESS_MS = 100;

addEventListener("message", ({ data }: MessageEvent<Task>) => {
  answer(data).catch((error: unknown) => {
    const { name, message } = error instanceof Error ? error : new Error(String(error));
    say({ is: "failure", name, message });
  });
});

function say(message: Answer): void {
  postMessage(message);
}

async function answer(task: Task): Promise<void> {
  if (task.do === "look") say({ is: "look", look: await look(task.trace, task.open) });
  else if (task.do === "explain") say({ is: "explanations", explanations: await explain(task) });
  else if (task.do === "read") await read(task);
  else await replay(task);
}

async function look(trace: TraceFile, open: Explain["open"]): Promise<Look> {
  const source = await openTrace(bytesOfBlob(trace.name, trace.bytes), open);
  return { format: source.format, recorded: source.header.recorded, totals: source.header.totals };
}

async function explain({ trace, open, machine, at, next, count }: Explain): Promise<Explanation[]> {
  const source = await openTrace(bytesOfBlob(trace.name, trace.bytes), open);
  return explainTrace(source, resolveConfig(machine), { at, next, count });
}

async function read({ trace, open, ports }: Extract<Task, { do: "read" }>): Promise<void> {
  const bytes = new ReadBytes(trace);
  await feed(await openTrace(bytes, open), ports, () => bytes.fraction);
}

async function replay(task: Extract<Task, { do: "replay" }>): Promise<void> {
  const { port, machines, warmup, intervals, asked } = task;
  const configs = machines.map(resolveConfig);
  const trace = await FedTrace.open(port);
  let last = 0;
  const onProgress = ({ accesses, fraction }: Advance) => {
    const now = performance.now();
    if (now - last < PROGRESS_MS) return;
    last = now;
    say({ is: "progress", progress: { accesses, fraction: fraction ?? trace.fraction } });
  };
  say({ is: "result", result: await compare(trace, configs, { warmup, intervals, asked, onProgress }) });
}

/** A file that knows how much of it the pass under way has read, for formats that do not say how long they are. */
class ReadBytes implements ByteSource {
  readonly #source: ByteSource;
  #read = 0;

  constructor({ name, bytes }: TraceFile) {
    this.#source = bytesOfBlob(name, bytes);
  }

  get name(): string {
    return this.#source.name;
  }

  get size(): number {
    return this.#source.size!;
  }

  get fraction(): number | undefined {
    return this.#read > 0 ? Math.min(1, this.#read / this.size) : undefined;
  }

  read(offset: number, length: number): Promise<Uint8Array> {
    return this.#source.read!(offset, length);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void> {
    this.#read = 0;
    for await (const bytes of this.#source) {
      this.#read += bytes.length;
      yield bytes;
    }
  }
}
