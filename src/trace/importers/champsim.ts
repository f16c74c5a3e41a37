import { optionName } from "../../request/option-names.js";
import { TraceError } from "../error.js";
import { FixedDecoder, headWords } from "./fixed.js";
import { type Import, type Importer, type ImportHints, withoutTables } from "./importer.js";
import type { RecordOut } from "./out.js";

/**
 * ChampSim's `input_instr` and `cloudsuite_instr` (inc/trace_instruction.h): one instruction a record, no header. An
 * empty memory slot holds 0. Neither instruction lengths nor access sizes are recorded: a length is taken from the next
 * instruction where that follows within 15 bytes, and an access is of 8 bytes, or of 1 at the end of its page.
 */
interface Layout {
  format: string;
  title: string;
  looks: string;
  words: number;
  /** First word and number of the stores and loads; each is two words. */
  stores: number;
  storeSlots: number;
  loads: number;
  loadSlots: number;
  /** Word of the address-space numbers, for CloudSuite. */
  space: number | undefined;
}

const advice = () =>
  `it was cut short, or is no ChampSim trace: get it again, or state the format with ${optionName("from")}`;
const TAKEN = 0x0101;

function decode(layout: Layout, name: string, out: RecordOut) {
  const { words, stores, storeSlots, loads, loadSlots, space } = layout;
  // The instruction that waits for the next one to tell its length.
  const waiting = new Int32Array(words);
  let waits = false;
  const give = (length: number) => {
    const w = waiting;
    out.fetch(w[1]!, w[0]!, length);
    for (let i = loads; i < loads + 2 * loadSlots; i += 2) {
      const lo = w[i]!;
      const hi = w[i + 1]!;
      if ((lo | hi) !== 0) out.read(hi, lo, (lo & 4095) > 4088 ? 1 : 8);
    }
    for (let i = stores; i < stores + 2 * storeSlots; i += 2) {
      const lo = w[i]!;
      const hi = w[i + 1]!;
      if ((lo | hi) !== 0) out.write(hi, lo, (lo & 4095) > 4088 ? 1 : 8);
    }
  };
  return new FixedDecoder(
    name,
    words,
    (all, count, where) => {
      for (let n = 0, at = 0; n < count; n++, at += words) {
        const flags = all[at + 2]! & 0xffff;
        const lo = all[at]!;
        const hi = all[at + 1]!;
        if ((lo | hi) === 0 || (flags & ~TAKEN) !== 0) {
          const offset = where.offset + n * words * 4;
          const what = (lo | hi) === 0 ? "has ip 0" : "has a branch flag that is neither 0 nor 1";
          throw new TraceError(
            `${name} is corrupt: the instruction at byte ${offset} ${what}; write the trace again, each record ${words * 4} bytes long`,
            { kind: "corrupt", offset },
          );
        }
        if (waits) {
          const step = (lo - waiting[0]!) | 0;
          const follows = step > 0 && step <= 15 && hi === waiting[1] && (waiting[2]! & TAKEN) !== TAKEN;
          give(follows ? step : 1);
        }
        if (space !== undefined) {
          const number = (all[at + space]! & 0xffff) >>> 0;
          out.switchTo(number, number);
        } else if (!waits) out.switchTo(1, 1);
        for (let i = 0; i < words; i++) waiting[i] = all[at + i]!;
        waits = true;
      }
    },
    advice(),
    () => {
      if (waits) give(1);
    },
  );
}

function importer(layout: Layout): Importer {
  const { words, stores, storeSlots, loads, loadSlots, space } = layout;
  return {
    format: layout.format,
    title: layout.title,
    looks: layout.looks,
    probe(head, whole) {
      const all = headWords(head, words);
      const count = all.length / words;
      if (count === 0) return 0;
      let memory = 0;
      let near = 0;
      for (let at = 0; at < all.length; at += words) {
        if ((all[at]! | all[at + 1]!) === 0 || (all[at + 2]! & 0xffff & ~TAKEN) !== 0) return 0;
        if (!canonical(all[at + 1]!)) return 0;
        // Instructions follow each other, or jump not far.
        if (
          at > 0 &&
          all[at + 1] === all[at + 1 - words] &&
          Math.abs((all[at]! - all[at - words]!) | 0) < 1 << 16
        )
          near++;
        for (const [first, slots] of [
          [stores, storeSlots],
          [loads, loadSlots],
        ] as const) {
          for (let i = at + first; i < at + first + 2 * slots; i += 2) {
            if (!canonical(all[i + 1]!)) return 0;
            if ((all[i]! | all[i + 1]!) !== 0) memory++;
          }
        }
        // Padding.
        if (
          space !== undefined &&
          (all[at + 4]! >>> 16) | all[at + 5]! | (all[at + 22]! >>> 16) | all[at + 23]!
        )
          return 0;
      }
      if (memory === 0 && count < 4) return 0;
      const likely = near * 2 >= count - 1 ? 0.9 : 0.7;
      return whole && head.length % (words * 4) !== 0 ? likely - 0.3 : likely;
    },
    open(_head, { name }: ImportHints): Import {
      return {
        recorded: withoutTables("ChampSim tracer", "virtual", {
          missing: ["instruction lengths", "access sizes"],
          notes: [
            "instruction lengths are taken from the next instruction; accesses are of 8 bytes, or of 1 at the end of a page",
          ],
        }),
        start: (out) => decode(layout, name, out),
      };
    },
  };
}

function canonical(hi: number): boolean {
  const top = hi >> 24;
  return top === 0 || top === -1;
}

export const champsim = importer({
  format: "champsim",
  title: "a ChampSim trace",
  looks: "records of 64 bytes, one an instruction; virtual addresses",
  words: 16,
  stores: 4,
  storeSlots: 2,
  loads: 8,
  loadSlots: 4,
  space: undefined,
});

export const cloudsuite = importer({
  format: "cloudsuite",
  title: "a ChampSim trace of the CloudSuite kind",
  looks: "records of 96 bytes, with address spaces; virtual addresses",
  words: 24,
  stores: 6,
  storeSlots: 4,
  loads: 14,
  loadSlots: 4,
  space: 22,
});
