import { grouped } from "../report/numbers.js";
import { printable } from "../report/text.js";
import type { MachineResult, Result } from "../result.js";

/** What the numbers of a figure are of, in a line: the trace, the CPU, the host's pages. */
export function contextOf({ trace, machines }: Result, of: readonly MachineResult[] = machines): string {
  const name = printable(trace.file).split(/[/\\]/).at(-1)!;
  const all = (what: (machine: MachineResult) => string) => [...new Set(of.map(what))].join(" and ");
  const counted = of[0]?.counters.accesses ?? trace.accesses;
  return `${name}, ${grouped(counted)} accesses; CPU ${all(({ config }) => config.cpu)}, host pages of ${all(({ config }) => config.host.page)}`;
}

/** "a", "a and b", "a, b and c". */
export function listed(texts: readonly string[]): string {
  return texts.length < 2 ? (texts[0] ?? "") : `${texts.slice(0, -1).join(", ")} and ${texts.at(-1)}`;
}

const MOST_LISTED = 4;

/** The same for a title: the first few. */
export function listedFew(texts: readonly string[]): string {
  const more = texts.length - MOST_LISTED;
  return more > 0 ? `${texts.slice(0, MOST_LISTED).join(", ")} and ${more} more` : listed(texts);
}

/** Three significant digits, or as many as the whole number has. */
export function brief(n: number): string {
  if (n === 0) return "0";
  const size = Math.abs(n);
  if (size >= 100) return grouped(Math.round(n));
  if (size < 0.0005) return n.toExponential(1);
  return n.toFixed(size >= 9.995 ? 1 : size >= 0.0995 ? 2 : 3);
}

/** An axis from zero that leaves room above the largest value. */
export function fromZero(values: readonly number[], room = 1.08): [number, number] {
  const most = Math.max(0, ...values);
  return [0, most === 0 ? 1 : most * room];
}

const UNITS = ["k", "M", "G", "T", "P"];

/** A count in full where it is short, else in three digits and thousands, millions, billions. */
export function short(n: number): string {
  if (n < 100_000) return grouped(n);
  const power = Math.min(UNITS.length, Math.floor((String(Math.round(n)).length - 1) / 3));
  return `${Number((n / 1000 ** power).toPrecision(3))}${UNITS[power - 1]}`;
}

/** Letters, digits and hyphens. */
export function slug(text: string): string {
  return text
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .replace(/^-|-$/g, "");
}
