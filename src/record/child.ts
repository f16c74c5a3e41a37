import { type ChildProcess, spawn } from "node:child_process";
import { PassThrough, pipeline, type Readable } from "node:stream";
import { RecordError } from "./error.js";
import type { Env } from "./tools.js";

const TAIL_CHARACTERS = 1 << 16;

/** How a process ended. */
export interface Ending {
  code: number | null;
  signal: string | null;
}

export interface ChildOptions {
  env: Env;
  /** Ends the process when it is aborted. */
  signal: AbortSignal;
  cwd?: string;
  /** Standard input: nothing, or the caller's own. */
  input?: "none" | "own";
  /** Standard output and error are the caller's own rather than kept. */
  outputs?: "own" | "kept";
  /** A further descriptor, 3, to be read as `Child.trace`. */
  trace?: boolean;
}

/** A process that is part of a recording, and never outlives it. */
export class Child {
  /** The last of what it wrote to standard output and to standard error. */
  stdout = "";
  stderr = "";
  readonly ended: Promise<Ending>;
  /** What it writes to descriptor 3. */
  readonly trace = new PassThrough({ highWaterMark: 1 << 20 });
  readonly #process: ChildProcess;

  constructor(file: string, args: readonly string[], options: ChildOptions) {
    const { env, signal, cwd, input = "none", outputs = "kept", trace = false } = options;
    const out = outputs === "own" ? "inherit" : "pipe";
    this.#process = spawn(file, args, {
      env: env as NodeJS.ProcessEnv,
      ...(cwd === undefined ? {} : { cwd }),
      stdio: [input === "none" ? "ignore" : "inherit", out, out, ...(trace ? ["pipe" as const] : [])],
    });
    const child = this.#process;
    this.ended = new Promise((resolve, reject) => {
      child.once("error", (error) =>
        reject(new RecordError(`${file} cannot be started (${error.message}); check its installation`)),
      );
      child.once("close", (code, signal) => resolve({ code, signal }));
    });
    const stop = () => this.kill();
    if (signal.aborted) stop();
    signal.addEventListener("abort", stop, { once: true });
    this.ended.catch(() => {}).then(() => signal.removeEventListener("abort", stop));
    child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      this.stdout = (this.stdout + text).slice(-TAIL_CHARACTERS);
    });
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.stderr = (this.stderr + text).slice(-TAIL_CHARACTERS);
    });
    // At once: what nobody reads by the end of a process is lost.
    const source = child.stdio[3] as Readable | undefined;
    if (source) pipeline(source, this.trace, () => this.trace.end());
  }

  /** Ends it at once. */
  kill(): void {
    if (this.#process.exitCode === null && this.#process.signalCode === null) this.#process.kill("SIGKILL");
  }
}

/** Runs a program to its end. Throws RecordError with its last words when it fails, and when the signal comes. */
export async function run(
  file: string,
  args: readonly string[],
  options: { env: Env; cwd?: string; signal: AbortSignal; failed: string },
): Promise<string> {
  const { failed, ...rest } = options;
  const child = new Child(file, args, rest);
  const { code } = await child.ended;
  if (code !== 0) throw new RecordError(`${failed}${lastWords(file, child.stderr || child.stdout)}`);
  return child.stdout;
}

/** The last line or lines that a program left, for a message. */
export function lastWords(who: string, text: string, lines = 1): string {
  const said = text
    .split(/[\r\n]+/)
    .map((line) => line.trim())
    .filter((line) => line !== "");
  if (said.length === 0) return "";
  return `; ${who} said: ${said.slice(-lines).join(" / ")}`;
}
