import { type Import, type Importer, type ImportHints, withoutTables } from "./importer.js";
import { address, allMatch, headLines, LineDecoder, quoted } from "./lines.js";

/**
 * Dinero's traces. Classic "din": a label (0 read, 1 write, 2 fetch, 3 and 4 escapes) and a hexadecimal address; no
 * size, Dinero IV takes 4 bytes. Extended "xdin" (Dinero IV, xdinfmt.c): r, w, i, m, v or c, address and size, both
 * hexadecimal. The rest of a line is comment.
 */
const CLASSIC = /^\s*[0-4][ \t]+(?:0x)?[0-9a-f]{1,16}(?:\s.*)?$/i;
const EXTENDED = /^\s*[rwimvc][ \t]+(?:0x)?[0-9a-f]{1,16}[ \t]+(?:0x)?[0-9a-f]{1,4}(?:\s.*)?$/i;
const CLASSIC_SIZE = 4;

export const dinero: Importer = {
  format: "dinero",
  title: "a Dinero trace",
  looks: "lines such as 2 401000: 0 read, 1 write or 2 fetch, and the address, hexadecimal",
  probe(head, whole) {
    const lines = headLines(head, whole);
    if (!lines || !allMatch(lines, CLASSIC)) return 0;
    const addresses = lines.filter((line) => line.trim() !== "").map((line) => line.trim().split(/\s+/));
    // A process, an address and R or W is somebody's own.
    if (addresses.some(([, , rest]) => /^[rwil]$/i.test(rest ?? ""))) return 0;
    if (addresses.some(([, text]) => /[a-fx]/i.test(text!))) return 0.9;
    // Decimal digits only: it may also be Ramulator's.
    return addresses.every((parts) => parts.length === 2) ? 0.6 : 0.5;
  },
  open(_head, { name, addresses }: ImportHints): Import {
    return {
      recorded: withoutTables("Dinero trace", addresses ?? "virtual", { missing: ["access sizes"] }),
      start: (out) => {
        let told = false;
        return new LineDecoder(name, (line, where) => {
          const text = line.trim();
          if (text === "") return;
          const [label, place] = text.split(/\s+/, 2);
          const found = address(place ?? "", 16);
          if (!found || !/^[0-4]$/.test(label!))
            throw where.corrupt(
              `is not a label from 0 to 4 and a hexadecimal address: ${quoted(text)}`,
              "check how the trace was written",
            );
          if (!told) out.switchTo(1, 1);
          told = true;
          const size = (found.lo & 4095) > 4092 ? 1 : CLASSIC_SIZE;
          if (label === "0") out.read(found.hi, found.lo, size);
          else if (label === "1") out.write(found.hi, found.lo, size);
          else if (label === "2") out.fetch(found.hi, found.lo, size);
        });
      },
    };
  },
};

export const dineroExtended: Importer = {
  format: "xdin",
  title: "a Dinero trace of the extended kind",
  looks: "lines such as r 7ffe10 8: r, w or i, address and size, hexadecimal",
  probe(head, whole) {
    const lines = headLines(head, whole);
    return lines && allMatch(lines, EXTENDED) ? 0.9 : 0;
  },
  open(_head, { name, addresses }: ImportHints): Import {
    return {
      recorded: withoutTables("Dinero trace", addresses ?? "virtual"),
      start: (out) => {
        let told = false;
        return new LineDecoder(name, (line, where) => {
          const text = line.trim();
          if (text === "") return;
          const [label, place, bytes] = text.split(/\s+/, 3);
          const found = address(place ?? "", 16);
          const size = address(bytes ?? "", 16);
          if (!found || !size || size.hi !== 0 || size.lo >>> 0 > 0xffff || !/^[rwimvc]$/i.test(label!))
            throw where.corrupt(
              `is not r, w, i, m, v or c, a hexadecimal address and a hexadecimal size: ${quoted(text)}`,
              "check how the trace was written",
            );
          if (!told) out.switchTo(1, 1);
          told = true;
          const kind = label!.toLowerCase();
          if (kind === "r" || kind === "m") out.read(found.hi, found.lo, size.lo);
          else if (kind === "w") out.write(found.hi, found.lo, size.lo);
          else if (kind === "i") out.fetch(found.hi, found.lo, size.lo);
        });
      },
    };
  },
};
