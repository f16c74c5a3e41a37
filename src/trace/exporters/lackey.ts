import type { TraceSource } from "../source.js";
import { recordSlices } from "../tools/decode.js";

const LETTERS = ["I  ", " L ", " S "];

/**
 * A trace as valgrind's lackey writes it with --trace-mem=yes. Modifies stay a load and a store; who runs, and everything
 * else that lackey does not know, is lost.
 */
export async function* exportLackey(trace: TraceSource): AsyncGenerator<Uint8Array, void> {
  const encoder = new TextEncoder();
  let lines = "==1== Lackey, written by nestwalk\n==1== \n";
  const visitor = {
    access(kind: number, hi: number, lo: number, size: number) {
      const low = (lo >>> 0).toString(16).padStart(8, "0");
      lines += `${LETTERS[kind]}${hi === 0 ? "" : (hi >>> 0).toString(16)}${low},${size}\n`;
    },
    event() {},
  };
  for await (const _ of recordSlices(trace, visitor)) {
    yield encoder.encode(lines);
    lines = "";
  }
  yield encoder.encode(`${lines}==1== \n`);
}
