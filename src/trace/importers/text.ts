import { optionName } from "../../request/option-names.js";
import { RecordEncoder } from "../encode.js";
import { TraceError } from "../error.js";
import type { FetchMode } from "../records.js";
import { EventType } from "../records.js";
import type { Recorded } from "../source.js";
import { decimalEvents, HOSTS, INSNS, singleEvents, TEXT_MAGIC } from "../tools/text.js";
import type { Decoder, Import, Importer, ImportHints } from "./importer.js";
import { LineDecoder, quoted } from "./lines.js";

/** The text of `nestwalk trace cat`, read back to the same records. */
const ACCESS = /^([FRW]) ([0-9a-f]{1,16}) (\d{1,3})( cpu)?( device)?$/;
const HEX = "([0-9a-f]{1,16})";
const EXC = new RegExp(`^EXC (\\d{1,3}) error ${HEX} rip ${HEX} cr2 ${HEX}$`);
const PTP = new RegExp(`^PTP ${HEX} level (\\d)((?: \\[\\d{1,3}\\]=[0-9a-f]{1,16})*)$`);
const PAIR = new RegExp(`^(PTW|MAP) ${HEX} ${HEX}$`);
const INVPCID = new RegExp(`^INVPCID (\\d) pcid ${HEX} gva ${HEX}$`);
const HOST = new RegExp(`^HOST ([a-z-]+) ${HEX} (\\d{1,20})$`);
const WORD = /^([A-Z0-9]+)((?: [0-9a-f]+)*)$/;
const SINGLE = new Map(singleEvents.map(([type, name]) => [name, type]));
const DECIMAL = new Map(decimalEvents.map(([type, name]) => [name, type]));

const hex = (text: string) => BigInt(`0x${text}`);

class TextDecoderOfTraces implements Decoder {
  readonly encoder = new RecordEncoder();
  #lines: LineDecoder;
  #ended = false;

  constructor(
    name: string,
    readonly fetchMode: FetchMode,
  ) {
    this.#lines = new LineDecoder(name, (line, where) => this.#line(line, where));
  }

  push(bytes: Uint8Array): void {
    this.#lines.push(bytes);
  }

  end(): void {
    this.#lines.end();
    if (this.#ended) return;
    const { name, offset } = this.#lines;
    throw new TraceError(
      `${name} is truncated: it ends at byte ${offset} without an END line; print the trace again, or read it as far as it is whole (${optionName("allow-truncated")})`,
      { kind: "truncated", offset },
    );
  }

  #line(line: string, where: LineDecoder): void {
    if (line === "" || line.startsWith("#")) return;
    if (this.#ended) throw where.corrupt("follows END", "END is the last line");
    const { length, events } = this.encoder;
    try {
      if (this.#access(line) || this.#event(line, where)) return;
    } catch (error) {
      this.encoder.rewind(length, events);
      if (error instanceof RangeError) throw where.corrupt(`cannot be: ${error.message}`, "correct the line");
      throw error;
    }
    throw where.corrupt(`is no record: ${quoted(line)}`, "nestwalk trace cat shows how each is written");
  }

  #access(line: string): boolean {
    const found = ACCESS.exec(line);
    if (!found) return false;
    const [, kind, gva, size, cpu, device] = found;
    const flags = { cpu: cpu !== undefined, device: device !== undefined };
    const address = gva!.length <= 13 ? Number.parseInt(gva!, 16) : hex(gva!);
    if (kind === "F") {
      if (flags.cpu || flags.device) return false;
      this.encoder.fetch(address, Number(size));
    } else if (kind === "R") this.encoder.read(address, Number(size), flags);
    else this.encoder.write(address, Number(size), flags);
    return true;
  }

  #event(line: string, where: LineDecoder): boolean {
    const e = this.encoder;
    let m = PAIR.exec(line);
    if (m) {
      if (m[1] === "PTW") e.ptw(hex(m[2]!), hex(m[3]!));
      else e.map(hex(m[2]!), hex(m[3]!));
      return true;
    }
    m = PTP.exec(line);
    if (m) {
      const entries = [...m[3]!.matchAll(/\[(\d+)\]=([0-9a-f]+)/g)].map(
        ([, i, v]) => [Number(i), hex(v!)] as const,
      );
      e.ptp(hex(m[1]!), Number(m[2]), entries);
      return true;
    }
    m = EXC.exec(line);
    if (m) {
      e.exception(Number(m[1]), hex(m[2]!), hex(m[3]!), hex(m[4]!));
      return true;
    }
    m = INVPCID.exec(line);
    if (m) {
      e.invpcid(Number(m[1]), hex(m[2]!), hex(m[3]!));
      return true;
    }
    m = HOST.exec(line);
    if (m) {
      const what = HOSTS.indexOf(m[1]!);
      if (what < 1) return false;
      e.host(m[1] as "unmap", hex(m[2]!), BigInt(m[3]!));
      return true;
    }
    m = /^MODE ([0-3])( ac)?$/.exec(line);
    if (m) {
      e.mode(Number(m[1]), m[2] !== undefined);
      return true;
    }
    m = /^INSN (\w+)$/.exec(line);
    if (m) {
      const named = Object.entries(INSNS).find(([, name]) => name === m![1]);
      if (!named && !/^\d{1,3}$/.test(m[1]!)) return false;
      e.insn(Number(named?.[0] ?? m[1]));
      return true;
    }
    if (line.startsWith("LABEL ")) return this.#label(line);
    m = WORD.exec(line);
    if (!m) return false;
    const words = m[2] === "" ? [] : m[2]!.slice(1).split(" ");
    const single = SINGLE.get(m[1]!);
    if (single !== undefined)
      return words.length === 1 && words[0]!.length <= 16 && this.#single(single, hex(words[0]!));
    const decimal = DECIMAL.get(m[1]!);
    if (decimal === undefined || !words.every((word) => /^\d{1,20}$/.test(word))) return false;
    return this.#decimal(decimal, words, where);
  }

  #label(line: string): boolean {
    let text: unknown;
    try {
      text = JSON.parse(latin1ToUtf8(line.slice(6)));
    } catch {
      return false;
    }
    if (typeof text !== "string") return false;
    this.encoder.label(text);
    return true;
  }

  #single(type: number, value: bigint): boolean {
    const e = this.encoder;
    if (type === EventType.CR0) e.cr0(value);
    else if (type === EventType.CR3) e.cr3(value);
    else if (type === EventType.CR4) e.cr4(value);
    else if (type === EventType.EFER) e.efer(value);
    else if (type === EventType.INVLPG) e.invlpg(value);
    else if (type === EventType.CR2) e.cr2(value);
    else if (type === EventType.PKRU) e.pkru(Number(value));
    else e.ptpDrop(value);
    return true;
  }

  #decimal(type: number, words: string[], where: LineDecoder): boolean {
    const e = this.encoder;
    if (type === EventType.SWITCH) {
      if (words.length !== 2) return false;
      e.switchTo(BigInt(words[0]!), BigInt(words[1]!));
      return true;
    }
    if (type === EventType.END) {
      if (words.length !== 3) return false;
      const [fetches, reads, writes] = words.map(Number) as [number, number, number];
      const same = this.fetchMode === "page" ? fetches >= e.fetches : fetches === e.fetches;
      if (!same || reads !== e.reads || writes !== e.writes)
        throw where.corrupt(
          `counts ${fetches} fetches, ${reads} reads and ${writes} writes, but ${e.fetches}, ${e.reads} and ${e.writes} precede it`,
          "correct the line",
        );
      e.fetches = fetches;
      this.#ended = true;
      return true;
    }
    if (words.length !== 1) return false;
    if (type === EventType.MARK) e.mark(Number(words[0]));
    else e.fetchRun(Number(words[0]));
    return true;
  }
}

function latin1ToUtf8(text: string): string {
  return new TextDecoder().decode(Uint8Array.from(text, (c) => c.charCodeAt(0)));
}

export const text: Importer = {
  format: "text",
  title: "a trace as nestwalk trace cat prints it",
  looks: "a record a line",
  probe: (head) =>
    new TextDecoder("latin1").decode(head.subarray(0, TEXT_MAGIC.length)) === TEXT_MAGIC ? 1 : 0,
  open(head, { name }: ImportHints): Import {
    const lines = new TextDecoder().decode(head).split("\n", 3);
    let header: { fetch?: unknown; recorded?: unknown } | undefined;
    try {
      header = JSON.parse(lines[1]!.replace(/^# /, ""));
    } catch {
      header = undefined;
    }
    if (
      lines[0]!.trim() !== TEXT_MAGIC ||
      (header?.fetch !== "insn" && header?.fetch !== "page") ||
      typeof header.recorded !== "object" ||
      header.recorded === null
    )
      throw new TraceError(
        `${name} is corrupt: its second line, at byte ${TEXT_MAGIC.length + 1}, is not the trace's header as JSON; print the trace again with nestwalk trace cat`,
        { kind: "corrupt", offset: TEXT_MAGIC.length + 1 },
      );
    const fetch = header.fetch as FetchMode;
    return {
      recorded: header.recorded as Recorded,
      fetch,
      start: () => new TextDecoderOfTraces(name, fetch),
    };
  },
};
