#!/usr/bin/env node
import { main } from "./dispatch.js";

/** The process around `main`: streams that may close early, Ctrl-C, the exit code. */

const interrupt = new AbortController();
process.on("SIGINT", () => {
  if (interrupt.signal.aborted) process.exit(130);
  interrupt.abort();
  /* Work that does not look at the signal in time is left where it is; it has written nothing. */
  setTimeout(() => process.exit(130), 1000).unref();
});

for (const stream of [process.stdout, process.stderr]) {
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") process.exit(0);
    process.exit(1);
  });
}

const code = await main(process.argv.slice(2), {
  stdout: process.stdout,
  stderr: process.stderr,
  env: process.env,
  signal: interrupt.signal,
});
/* What was interrupted may still wait for its input; everything else ends by itself, once its output is written. */
if (code === 130) process.exit(code);
process.exitCode = code;
