import { techniqueName } from "../config/technique.js";
import type { MachineResult, Result } from "../result.js";
import type { VaryResult } from "../vary/result.js";
import { columns } from "./columns.js";
import { counted, fixed, grouped, overhead, percent } from "./numbers.js";
import { type Paint, plain } from "./style.js";
import { headerText, wrapped } from "./text.js";

/** The results of a sweep as rows of a table: a line for each setting and technique, the names of the columns first. */
export function varyRows({ axes, points }: VaryResult): string[][] {
  const head = [
    ...axes.map(({ key }) => key),
    "technique",
    "walks",
    "TLB hits",
    "refs/walk",
    "exits",
    "cycles/access",
    "overhead",
  ];
  const rows = points.flatMap(({ at, result }) => {
    const native = result.machines.find(({ technique }) => technique === "native");
    return result.machines.map((machine, i) => [
      ...axes.map(({ key }) => (i === 0 ? String(at[key]) : "")),
      techniqueName(machine),
      ...figuresOf(machine, native),
    ]);
  });
  return [head, ...rows];
}

/** What was replayed, and whether the results can be believed. */
export function varyHeading({ points }: VaryResult): { title: string; verdict: string; good: boolean } {
  const results = points.map(({ result }) => result);
  return { title: titleOf(results), ...verdictOf(results) };
}

/** The results of a sweep as the command line prints them. */
export function varyTableLines(sweep: VaryResult, paint: Paint = plain, terminal?: number): string[] {
  const width = Math.max(40, Math.min(terminal || 100, 100));
  const { axes, points } = sweep;
  if (points.length === 0) return [];
  const right = [...axes.map(() => true), false, true, true, true, true, true, true];
  const [top, ...lines] = columns(varyRows(sweep), right);
  const { title, verdict, good } = varyHeading(sweep);
  return [
    ...wrapped(title, width).map((line) => paint("title", line)),
    "",
    paint("head", top!),
    ...lines,
    "",
    ...wrapped(verdict, width).map((line) => paint(good ? "good" : "bad", line)),
  ];
}

/** A computed trace that varies goes by what its settings have in common. */
function titleOf(results: readonly Result[]): string {
  const { file, accesses } = results[0]!.trace;
  const same = results.every(({ trace }) => trace.file === file);
  const settings = counted(results.length, "setting");
  if (!same) return `${headerText(file.split(",")[0])}: ${settings}`;
  return `${headerText(file)}: ${counted(accesses, "access", "accesses")}, ${settings}`;
}

function figuresOf(
  { counters, structures, cycles }: MachineResult,
  native: MachineResult | undefined,
): string[] {
  const accesses = counters.accesses || 1;
  const walks = counters.walks ?? 0;
  const of = (name: string, cell: "lookups" | "misses") => structures[name]?.[cell] ?? 0;
  const lookups = of("l1d", "lookups") + of("l1i", "lookups");
  const second = of("l2", "lookups") + of("l2i", "lookups") > 0;
  const missed = second
    ? of("l2", "misses") + of("l2i", "misses")
    : of("l1d", "misses") + of("l1i", "misses");
  return [
    grouped(walks),
    percent(lookups - missed, lookups, 3),
    walks === 0 ? "-" : fixed((counters.tableReferences ?? 0) / walks, 2),
    grouped(counters.exits ?? 0),
    fixed(cycles.total / accesses, 3),
    native === undefined || native.cycles === cycles ? "-" : overhead(cycles.total, native.cycles.total),
  ];
}

function verdictOf(results: readonly Result[]): { verdict: string; good: boolean } {
  const laws = results.flatMap(({ machines, laws }) => [...machines.flatMap((m) => m.laws), ...laws]);
  const broken = laws.filter(({ holds }) => !holds).length;
  const mismatches = results
    .flatMap(({ machines }) => machines)
    .reduce((sum, { oracle }) => sum + oracle.mismatches, 0);
  const lawText =
    broken === 0
      ? `Conservation laws: all ${grouped(laws.length)} hold.`
      : `Conservation laws: ${broken} of ${grouped(laws.length)} broken.`;
  return {
    verdict: `${lawText} Oracle: ${counted(mismatches, "mismatch", "mismatches")}.`,
    good: broken + mismatches === 0,
  };
}
