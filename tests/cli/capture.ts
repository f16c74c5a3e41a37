import { main } from "../../src/cli/dispatch.js";
import type { Io } from "../../src/cli/io.js";

export interface Run {
  code: number;
  stdout: string;
  stderr: string;
}

/** Runs a command line in this process and keeps what it wrote. */
export async function nestwalk(
  args: readonly string[],
  world: Partial<Io> & { tty?: boolean } = {},
): Promise<Run> {
  const out: string[] = [];
  const err: string[] = [];
  const { tty, ...rest } = world;
  const io: Io = {
    stdout: { write: (text) => out.push(text), isTTY: tty, columns: tty ? 100 : undefined },
    stderr: { write: (text) => err.push(text), isTTY: tty, columns: tty ? 100 : undefined },
    env: {},
    signal: new AbortController().signal,
    ...rest,
  };
  const code = await main(args, io);
  return { code, stdout: out.join(""), stderr: err.join("") };
}
