import type { compare as compareMachines } from "../compare.js";

/** Where a command writes to, so that it can be run in a test as well as in a process. */
export interface Output {
  write(text: string): unknown;
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
}

/** The world of a command. */
export interface Io {
  stdout: Output;
  stderr: Output;
  env: Readonly<Record<string, string | undefined>>;
  /** Aborted when the user interrupts: work stops and leaves nothing half written. */
  signal: AbortSignal;
  /** In place of the core, for tests. */
  compare?: typeof compareMachines;
}

/** A command line that cannot be understood: exit code 2. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** Work that was done and came out wrong: exit code 1. */
export class FailureError extends Error {
  override readonly name = "FailureError";
}

/** The user pressed Ctrl-C, or the process is to end: exit code 130 and its like. */
export class Interrupted extends Error {
  override readonly name = "Interrupted";
}

export function stopIfInterrupted(io: Io): void {
  if (io.signal.aborted) throw new Interrupted("interrupted");
}

/** Whether a stream is a terminal that may be coloured: NO_COLOR (no-color.org) and TERM=dumb forbid it. */
export function mayColour(io: Io, stream: Output): boolean {
  return stream.isTTY === true && !io.env.NO_COLOR && io.env.TERM !== "dumb";
}

/** The same parts, until the user interrupts: even while the source has nothing to give. */
export async function* interruptible(
  parts: AsyncIterable<Uint8Array>,
  io: Io,
): AsyncGenerator<Uint8Array, void> {
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
