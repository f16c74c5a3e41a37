import type { TraceHeader, TraceSource, Truncation } from "nestwalk";

/**
 * A trace read by one worker and replayed by others: slices of its record stream go through a port to each of them, a few
 * ahead of what it has replayed.
 */

/** From whoever reads the trace. */
type Fed =
  | { head: { name: string; format: string; header: TraceHeader; hashes: boolean } }
  | { slice: Uint8Array; fraction: number | undefined }
  | { end: { sha256: string; stream: string | undefined; truncated: Truncation | undefined } }
  | { failure: { name: string; message: string } };

/** To it: a place for one more slice. */
const MORE = "more";
/** Slices on their way to a worker at most. */
const AHEAD = 4;

/** Reads a trace for the workers at the other ends of the ports. `fraction` is the share of it that has been read. */
export async function feed(
  source: TraceSource,
  ports: readonly MessagePort[],
  fraction: () => number | undefined,
): Promise<void> {
  const lines = ports.map((port) => new Line(port));
  const all = (message: Fed) => {
    for (const line of lines) line.port.postMessage(message);
  };
  const { name, format, header } = source;
  all({ head: { name, format, header, hashes: source.hashedStream !== undefined } });
  try {
    for await (const slice of source.records()) {
      for (const line of lines) await line.free();
      for (const line of lines) line.send(slice.slice(), fraction());
    }
    const stream = source.hashedStream?.();
    all({ end: { sha256: await source.sha256(), stream, truncated: source.truncated } });
  } catch (error) {
    const { name, message } = error instanceof Error ? error : new Error(String(error));
    all({ failure: { name, message } });
  }
}

/** The way to one worker, with what it has room for. */
class Line {
  #room = AHEAD;
  #freed: (() => void) | undefined;

  constructor(readonly port: MessagePort) {
    port.onmessage = () => {
      this.#room += 1;
      this.#freed?.();
    };
  }

  async free(): Promise<void> {
    while (this.#room === 0)
      await new Promise<void>((resolve) => {
        this.#freed = resolve;
      });
  }

  send(slice: Uint8Array<ArrayBuffer>, fraction: number | undefined): void {
    this.#room -= 1;
    const message: Fed = { slice, fraction };
    this.port.postMessage(message, [slice.buffer]);
  }
}

/** A trace that another worker reads. */
export class FedTrace implements TraceSource {
  /** Share of the trace that had been read when the last slice was sent. */
  fraction: number | undefined;
  truncated: Truncation | undefined;
  readonly hashedStream?: () => string;
  #sha256 = "";
  #stream = "";

  private constructor(
    readonly name: string,
    readonly format: string,
    readonly header: TraceHeader,
    hashes: boolean,
    readonly messages: Messages,
  ) {
    if (hashes) this.hashedStream = () => this.#stream;
  }

  static async open(port: MessagePort): Promise<FedTrace> {
    const messages = new Messages(port);
    const first = await messages.next();
    if (!("head" in first)) throw new Error("the trace's head comes first");
    const { name, format, header, hashes } = first.head;
    return new FedTrace(name, format, header, hashes, messages);
  }

  async *records(): AsyncGenerator<Uint8Array, void> {
    for (;;) {
      const message = await this.messages.next();
      if ("slice" in message) {
        this.fraction = message.fraction;
        yield message.slice;
        this.messages.port.postMessage(MORE);
      } else if ("failure" in message) {
        throw Object.assign(new Error(message.failure.message), { name: message.failure.name });
      } else if ("end" in message) {
        const { sha256, stream, truncated } = message.end;
        this.#sha256 = sha256;
        this.#stream = stream ?? "";
        this.truncated = truncated;
        return;
      }
    }
  }

  async sha256(): Promise<string> {
    return this.#sha256;
  }
}

/** Messages of a port, to be taken one after the other. */
class Messages {
  #held: Fed[] = [];
  #come: (() => void) | undefined;

  constructor(readonly port: MessagePort) {
    port.onmessage = ({ data }: MessageEvent<Fed>) => {
      this.#held.push(data);
      this.#come?.();
    };
  }

  async next(): Promise<Fed> {
    while (this.#held.length === 0)
      await new Promise<void>((resolve) => {
        this.#come = resolve;
      });
    return this.#held.shift()!;
  }
}
