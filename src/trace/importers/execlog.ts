import { optionName } from "../../request/option-names.js";
import { type Import, type Importer, type ImportHints, withoutTables } from "./importer.js";
import { address, headLines, LineDecoder, quoted } from "./lines.js";
import type { RecordOut } from "./out.js";

/**
 * QEMU's execlog plugin (contrib/plugins/execlog.c): `cpu, 0xPC, 0xOPCODE, "disassembly"[, load|store, 0xADDRESS[,
 * device]]...`. In user mode the data addresses are virtual; in system mode they are guest-physical, with the name of
 * the device, while those of instructions stay virtual: then only data is taken.
 */
const LINE = /^\s*(\d{1,4}), 0x([0-9a-f]{1,16}), 0x[0-9a-f]+, "([^"]*)"(.*)$/;
const ACCESS = /, (load|store), (0x[0-9a-f]{1,16})((?:, (?!load,|store,)[^,]+)?)/g;
const DEVICE = /, (?:load|store), 0x[0-9a-f]{1,16}, (?!load,|store,)[^,]+/;

class Execlog {
  #waits: { cpu: number; hi: number; lo: number; rest: string } | undefined;

  constructor(
    readonly out: RecordOut,
    readonly system: boolean,
  ) {}

  line(text: string, where: LineDecoder): void {
    if (text.trim() === "" || text.startsWith("plugin: ")) return;
    const found = LINE.exec(text);
    if (!found)
      throw where.corrupt(
        `is no line of execlog: ${quoted(text)}`,
        "record with -d plugin -D FILE, so that nothing else is written to the file",
      );
    const { hi, lo } = address(found[2]!, 16)!;
    const cpu = Number(found[1]);
    this.give(cpu, hi, lo);
    const rest = found[4]!;
    if (rest.replace(ACCESS, "").trim() !== "")
      throw where.corrupt(`has ${quoted(rest)} after its instruction`, "check that the line is whole");
    if (!this.system && DEVICE.test(rest))
      throw where.corrupt(
        `names a device, ${quoted(rest)}, and those before it did not`,
        `state that addresses are physical with ${optionName("addresses", "physical")}`,
      );
    this.#waits = { cpu, hi, lo, rest };
  }

  /** Writes the instruction that waited to know how long it is. */
  give(cpu = -1, nextHi = 0, nextLo = 0): void {
    const waiting = this.#waits;
    this.#waits = undefined;
    if (!waiting) return;
    const { out } = this;
    out.switchTo(1, waiting.cpu + 1);
    if (!this.system) {
      const step = (nextLo - waiting.lo) | 0;
      const follows = cpu === waiting.cpu && nextHi === waiting.hi && step > 0 && step <= 15;
      out.fetch(waiting.hi, waiting.lo, follows ? step : 1);
    }
    for (const [, kind, place, device] of waiting.rest.matchAll(ACCESS)) {
      const { hi, lo } = address(place!, 16)!;
      const size = (lo & 4095) > 4088 ? 1 : 8;
      if (this.system && device !== "" && device!.trim() !== ", RAM")
        out.device(kind === "store", hi, lo, size);
      else if (kind === "load") out.read(hi, lo, size);
      else out.write(hi, lo, size);
    }
  }
}

export const execlog: Importer = {
  format: "execlog",
  title: "a log of QEMU's execlog plugin",
  looks: 'lines such as 0, 0x401000, 0x55, "push rbp", store, 0x7ffe10',
  probe(head, whole) {
    const lines = headLines(head, whole)?.filter(
      (line) => line.trim() !== "" && !line.startsWith("plugin: "),
    );
    if (!lines || lines.length === 0) return 0;
    const good = lines.filter((line) => LINE.test(line)).length;
    return good === lines.length ? 1 : good > lines.length * 0.5 ? 0.6 : 0;
  },
  open(head, { name, addresses }: ImportHints): Import {
    const lines = headLines(head, false) ?? [];
    const system =
      addresses === undefined ? lines.some((line) => DEVICE.test(line)) : addresses !== "virtual";
    return {
      recorded: withoutTables("QEMU execlog plugin", system ? "guest-physical" : "virtual", {
        missing: system
          ? ["instruction fetches", "access sizes", "virtual addresses"]
          : ["instruction lengths", "access sizes"],
        notes: [
          system
            ? "recorded in system mode: data addresses are guest-physical; instruction addresses are virtual and were left out"
            : "recorded in user mode; instruction lengths are taken from the next instruction",
        ],
      }),
      start: (out) => {
        const log = new Execlog(out, system);
        return new LineDecoder(
          name,
          (text, where) => log.line(text, where),
          () => log.give(),
        );
      },
    };
  },
};
