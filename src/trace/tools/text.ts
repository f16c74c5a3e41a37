import { EventType } from "../records.js";
import type { TraceHeader, TraceSource } from "../source.js";
import { type AccessKind, BY_CPU, DEVICE, type GuestEvent, recordSlices } from "./decode.js";

/**
 * A trace as text, one record a line, and back. The first line is TEXT_MAGIC, the second "# " and the header as JSON.
 * Numbers are hexadecimal but for sizes, lengths, counts, levels, vectors, indices and process numbers.
 *
 *     F 401000 5                    fetch, length
 *     R 7fff0008 8                  read, size; then "cpu" and "device" where they hold
 *     W 7fff0008 8 cpu
 *     MODE 3 ac                     PTP 1 level 4 [0]=2067 [511]=3063
 *     EXC 14 error 6 rip 401005 cr2 400000
 */
export const TEXT_MAGIC = "# nestwalk trace text, version 1";

/** Events of one hexadecimal operand. */
const SINGLE: Record<number, string> = {
  [EventType.CR0]: "CR0",
  [EventType.CR3]: "CR3",
  [EventType.CR4]: "CR4",
  [EventType.EFER]: "EFER",
  [EventType.INVLPG]: "INVLPG",
  [EventType.CR2]: "CR2",
  [EventType.PKRU]: "PKRU",
  [EventType.PTPDROP]: "PTPDROP",
};
/** Events of decimal operands. */
const DECIMAL: Record<number, string> = {
  [EventType.MARK]: "MARK",
  [EventType.FRUN]: "FRUN",
  [EventType.SWITCH]: "SWITCH",
  [EventType.END]: "END",
};
export const INSNS: Record<number, string> = { 4: "cpuid", 5: "hlt", 6: "wrmsr", 7: "rdmsr", 8: "io" };
export const HOSTS = ["", "unmap", "share", "dirty-log", "memory-slots"];
const LETTERS = ["F", "R", "W"];

export const singleEvents: readonly [type: number, name: string][] = Object.entries(SINGLE).map(
  ([type, name]) => [Number(type), name],
);
export const decimalEvents: readonly [type: number, name: string][] = Object.entries(DECIMAL).map(
  ([type, name]) => [Number(type), name],
);

export function headerLines({ fetch, recorded }: TraceHeader): string[] {
  return [TEXT_MAGIC, `# ${JSON.stringify({ fetch, recorded })}`];
}

export function accessLine(kind: AccessKind, hi: number, lo: number, size: number, flags: number): string {
  const low = (lo >>> 0).toString(16);
  const gva = hi === 0 ? low : (hi >>> 0).toString(16) + low.padStart(8, "0");
  const rest = flags === 0 ? "" : `${flags & BY_CPU ? " cpu" : ""}${flags & DEVICE ? " device" : ""}`;
  return `${LETTERS[kind]} ${gva} ${size}${rest}`;
}

export function eventLine({ type, values, entries, text }: GuestEvent): string {
  const hex = (i: number) => values[i]!.toString(16);
  const single = SINGLE[type];
  if (single) return `${single} ${hex(0)}`;
  const decimal = DECIMAL[type];
  if (decimal) return `${decimal} ${values.join(" ")}`;
  switch (type) {
    case EventType.MODE:
      return `MODE ${values[0]! & 3n}${values[0]! & 4n ? " ac" : ""}`;
    case EventType.EXC:
      return `EXC ${values[0]} error ${hex(1)} rip ${hex(2)} cr2 ${hex(3)}`;
    case EventType.PTP:
      return [
        `PTP ${hex(0)} level ${values[1]}`,
        ...entries!.map(([i, v]) => `[${i}]=${v.toString(16)}`),
      ].join(" ");
    case EventType.PTW:
    case EventType.MAP:
      return `${type === EventType.PTW ? "PTW" : "MAP"} ${hex(0)} ${hex(1)}`;
    case EventType.INSN:
      return `INSN ${INSNS[Number(values[0])] ?? values[0]}`;
    case EventType.INVPCID:
      return `INVPCID ${values[0]} pcid ${hex(1)} gva ${hex(2)}`;
    case EventType.LABEL:
      return `LABEL ${JSON.stringify(text)}`;
    case EventType.HOST:
      return `HOST ${HOSTS[Number(values[0])]} ${hex(1)} ${values[2]}`;
    default:
      throw new RangeError(`event type ${type}`);
  }
}

export interface TextOptions {
  /** Most records; all by default. */
  most?: number;
  /** With TEXT_MAGIC and header, so that it can be read back. */
  header?: boolean;
  /** With the page tables, registers and true mappings; true by default. */
  tables?: boolean;
}

const QUIET_HEAD = new Set<number>([EventType.MAP, EventType.PTP]);

/** The lines of a trace, in pieces that end with a line. */
export async function* traceText(
  trace: TraceSource,
  options: TextOptions = {},
): AsyncGenerator<string, void> {
  const most = options.most ?? Number.POSITIVE_INFINITY;
  let left = most;
  let lines: string[] = options.header === false ? [] : headerLines(trace.header);
  const visitor = {
    done: false,
    access(kind: AccessKind, hi: number, lo: number, size: number, flags: number) {
      if (left <= 0) return;
      lines.push(accessLine(kind, hi, lo, size, flags));
      if (--left <= 0) visitor.done = true;
    },
    event(event: GuestEvent) {
      if (left <= 0 || (options.tables === false && QUIET_HEAD.has(event.type))) return;
      lines.push(eventLine(event));
      if (--left <= 0) visitor.done = true;
    },
  };
  if (most <= 0) visitor.done = true;
  if (!visitor.done) {
    for await (const _ of recordSlices(trace, visitor)) {
      if (lines.length > 0) yield `${lines.join("\n")}\n`;
      lines = [];
    }
  }
  if (lines.length > 0) yield `${lines.join("\n")}\n`;
}
