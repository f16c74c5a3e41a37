#!/usr/bin/env node
import { removeUnfinished } from "../node/files.js";
import { main } from "./dispatch.js";
import { whyNot } from "./output.js";

/** The process around `main`: streams that may close early, signals, the exit code. */

const SIGNALS = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

const interrupt = new AbortController();
let interrupted = 130;
let finished = false;

process.on("exit", removeUnfinished);
for (const [signal, code] of Object.entries(SIGNALS)) {
  process.on(signal, () => {
    if (interrupt.signal.aborted) process.exit(interrupted);
    interrupted = code;
    interrupt.abort();
    /* Work that does not look at the signal in time is left where it is. */
    setTimeout(() => process.exit(interrupted), 1000).unref();
  });
}

/* Nobody reads any more: work whose output is all there is ends, and what is done keeps its exit code. */
process.stdout.on("error", ({ code = "" }: NodeJS.ErrnoException) => {
  if (code !== "EPIPE") {
    process.stderr.write(`nestwalk: standard output cannot be written (${whyNot(code)})\n`);
    process.exitCode = 1;
  }
  setImmediate(() => {
    if (!finished || code !== "EPIPE") process.exit(code === "EPIPE" ? 0 : 1);
  });
});
process.stderr.on("error", () => {});

const code = await main(process.argv.slice(2), {
  stdout: process.stdout,
  stderr: process.stderr,
  env: process.env,
  signal: interrupt.signal,
});
finished = true;
/* What was interrupted may still wait for its input; everything else ends by itself, once its output is written. */
if (code === 130) process.exit(interrupted);
process.exitCode = code || process.exitCode || 0;
