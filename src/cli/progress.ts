import { type Io, stopIfInterrupted } from "./io.js";

/** Runs shorter than this show nothing. */
const QUIET_MS = 500;
const EVERY_MS = 100;

export interface Progress {
  update(at: { fraction: number | undefined; accesses: number }): void;
  /** Takes the line away. */
  end(): void;
}

/** "1:05" or "12 s". */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")} min`;
}

/** What the line says after `ms` of work by `machines` machines. */
export function progressLine(
  { fraction, accesses }: { fraction: number | undefined; accesses: number },
  machines: number,
  ms: number,
): string {
  const done = accesses * machines;
  const rate = `${(done / 1e3 / ms).toFixed(1)} M accesses/s`;
  if (fraction === undefined || fraction <= 0) return `${(accesses / 1e6).toFixed(1)} M accesses  ${rate}`;
  const part = Math.min(1, fraction);
  const left = (ms / 1000) * (1 / part - 1);
  return `${Math.floor(100 * part)
    .toString()
    .padStart(3)} %  ${rate}  ${duration(left)} left`;
}

/** A line on stderr that is rewritten in place; nothing when stderr is no terminal, or for a short run. */
export function startProgress(
  io: Io,
  machines: number,
  quiet: boolean,
  now = () => performance.now(),
): Progress {
  const shown = io.stderr.isTTY === true && !quiet;
  const start = now();
  let last = Number.NEGATIVE_INFINITY;
  let drawn = false;
  return {
    update(at) {
      stopIfInterrupted(io);
      const time = now();
      if (!shown || time - start < QUIET_MS || time - last < EVERY_MS) return;
      last = time;
      drawn = true;
      const width = (io.stderr.columns || 80) - 1;
      io.stderr.write(`\r\x1b[K${progressLine(at, machines, time - start).slice(0, width)}`);
    },
    end() {
      if (drawn) io.stderr.write("\r\x1b[K");
      drawn = false;
    },
  };
}
