import { TraceError } from "../error.js";
import { type Import, type Importer, type ImportHints, withoutTables } from "./importer.js";
import { address, allMatch, headLines, LineDecoder, quoted } from "./lines.js";

/**
 * Ramulator's text traces. "CPU" (version 1 and SimpleO3 of version 2): instructions that touch no memory, the address
 * of a load and perhaps of a store, all decimal. "Load-store" (version 2): LD or ST and an address, hexadecimal with 0x
 * or else decimal. Its "memory" trace, 0x12345680 R, is what the plain importer reads; a DRAM vector is no address.
 */
const CPU = /^\s*\d{1,9}[ \t]+\d{1,20}(?:[ \t]+\d{1,20})?\s*$/;
const LOAD_STORE = /^\s*(?:LD|ST)[ \t]+(?:0x[0-9a-f]{1,16}|\d{1,20})\s*$/i;
const VECTOR = /^\s*[RW][ \t]+\d+(?:,\d+){2,}\s*$/;
const SURE_LINES = 40;
/** The traces hold cache lines: no access of theirs is smaller. */
const LINE_BYTES = 64;

function place(text: string, where: LineDecoder, line: string): { hi: number; lo: number } {
  const found = /^0x/i.test(text) ? address(text, 16) : address(text, 10);
  if (found) return found;
  throw where.corrupt(`has no address that fits 64 bits: ${quoted(line)}`, "check how the trace was written");
}

/** An access to the part of a line that lies in the page of its address. */
function size(lo: number): number {
  return (lo & (LINE_BYTES - 1)) === 0 ? LINE_BYTES : (lo & 4095) > 4088 ? 1 : 8;
}

export const ramulatorCpu: Importer = {
  format: "ramulator",
  title: "a Ramulator CPU trace",
  looks: "lines such as 3 20734016 20841280: instructions, load, store, decimal",
  probe(head, whole) {
    const lines = headLines(head, whole);
    if (!lines || !allMatch(lines, CPU)) return 0;
    const rows = lines.filter((line) => line.trim() !== "").map((line) => line.trim().split(/\s+/));
    if (rows.some(([bubbles]) => Number(bubbles) > 4)) return 0.8;
    if (rows.some((row) => row.length === 3) || rows.length >= SURE_LINES) return 0.75;
    return 0.55;
  },
  open(_head, { name, addresses }: ImportHints): Import {
    return {
      recorded: withoutTables("Ramulator CPU trace", addresses ?? "virtual", {
        missing: ["instruction fetches", "access sizes"],
      }),
      start: (out) => {
        let told = false;
        return new LineDecoder(name, (line, where) => {
          const text = line.trim();
          if (text === "") return;
          const [bubbles, load, store, more] = text.split(/\s+/);
          if (!/^\d{1,9}$/.test(bubbles!) || load === undefined || more !== undefined)
            throw where.corrupt(
              `is not a number of instructions and one or two addresses: ${quoted(text)}`,
              "check how the trace was written",
            );
          if (!told) out.switchTo(1, 1);
          told = true;
          const read = place(load, where, text);
          out.read(read.hi, read.lo, size(read.lo));
          if (store === undefined) return;
          const write = place(store, where, text);
          out.write(write.hi, write.lo, size(write.lo));
        });
      },
    };
  },
};

export const ramulatorLoadStore: Importer = {
  format: "ramulator-ls",
  title: "a Ramulator load-store trace",
  looks: "lines such as LD 0x12345680",
  probe(head, whole) {
    const lines = headLines(head, whole);
    return lines && (allMatch(lines, LOAD_STORE) || allMatch(lines, VECTOR)) ? 0.8 : 0;
  },
  open(head, { name, addresses }: ImportHints): Import {
    const lines = headLines(head, true) ?? [];
    if (VECTOR.test(lines[0] ?? ""))
      throw new TraceError(
        `${name} is a Ramulator trace of DRAM coordinates (${quoted(lines[0]!)}), which are no addresses; use the trace it was made from`,
        { kind: "unsupported", offset: 0 },
      );
    return {
      recorded: withoutTables("Ramulator load-store trace", addresses ?? "virtual", {
        missing: ["instruction fetches", "access sizes"],
      }),
      start: (out) => {
        let told = false;
        return new LineDecoder(name, (line, where) => {
          const text = line.trim();
          if (text === "") return;
          const [kind, where64] = text.split(/\s+/);
          if (!/^(LD|ST)$/i.test(kind!) || where64 === undefined)
            throw where.corrupt(
              `is not LD or ST and an address: ${quoted(text)}`,
              "check how the trace was written",
            );
          if (!told) out.switchTo(1, 1);
          told = true;
          const { hi, lo } = place(where64, where, text);
          if (kind!.toUpperCase() === "LD") out.read(hi, lo, size(lo));
          else out.write(hi, lo, size(lo));
        });
      },
    };
  },
};
