import { EventType } from "../records.js";
import type { TraceSource } from "../source.js";
import { type GuestEvent, recordSlices } from "../tools/decode.js";

/**
 * A trace as DynamoRIO's offline drmemtrace, version 3, all threads in one file: what drcachesim's own reader takes
 * (clients/drcachesim/reader). Thread and process records come where SWITCH does.
 */
const HEADER = 25;
const MARKER = 28;
const [READ, WRITE, INSTR, THREAD, THREAD_EXIT, PID, FOOTER] = [0, 1, 10, 22, 23, 24, 26];
const VERSION = 3n;
const ARCH_X86_64 = 0x40n;

class Packed {
  #bytes = new Uint8Array(1 << 16);
  #words = new Int32Array(this.#bytes.buffer);
  #at = 0;

  put(type: number, size: number, hi: number, lo: number): void {
    if ((this.#at + 3) * 4 > this.#bytes.length) {
      const more = new Uint8Array(this.#bytes.length * 2);
      more.set(this.#bytes);
      this.#bytes = more;
      this.#words = new Int32Array(more.buffer);
    }
    this.#words[this.#at++] = type | (size << 16);
    this.#words[this.#at++] = lo;
    this.#words[this.#at++] = hi;
  }

  put64(type: number, size: number, value: bigint): void {
    this.put(type, size, Number(BigInt.asIntN(32, value >> 32n)), Number(BigInt.asIntN(32, value)));
  }

  take(): Uint8Array {
    const bytes = this.#bytes.slice(0, this.#at * 4);
    this.#at = 0;
    return bytes;
  }
}

/** The bytes of an uncompressed drmemtrace file; gzip it for drcachesim. */
export async function* exportDrmemtrace(trace: TraceSource): AsyncGenerator<Uint8Array, void> {
  const out = new Packed();
  let thread = 1n;
  const who = (pid: bigint, tid: bigint) => {
    out.put64(THREAD, 4, tid);
    out.put64(PID, 4, pid);
    thread = tid;
  };
  out.put64(HEADER, 0, VERSION);
  out.put64(MARKER, 12, VERSION);
  out.put64(MARKER, 9, ARCH_X86_64);
  let started = false;
  const start = (pid: bigint, tid: bigint) => {
    started = true;
    who(pid, tid);
    out.put64(MARKER, 10, 64n);
    out.put64(MARKER, 18, 4096n);
    out.put64(MARKER, 2, 1n);
    out.put64(MARKER, 3, 0n);
  };
  const visitor = {
    access(kind: number, hi: number, lo: number, size: number) {
      if (!started) start(1n, 1n);
      out.put(kind === 0 ? INSTR : kind === 1 ? READ : WRITE, size, hi, lo);
    },
    event({ type, values }: GuestEvent) {
      if (type !== EventType.SWITCH) return;
      if (started) who(values[0]!, values[1]!);
      else start(values[0]!, values[1]!);
    },
  };
  for await (const _ of recordSlices(trace, visitor)) yield out.take();
  if (!started) start(1n, 1n);
  out.put64(THREAD_EXIT, 0, thread);
  out.put64(FOOTER, 0, 0n);
  yield out.take();
}
