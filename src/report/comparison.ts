import { techniqueName } from "../config/technique.js";
import type { Law, MachineResult, Result, StructureCounts } from "../result.js";
import { cycleParts } from "./cycle-parts.js";
import { counted, fixed, grouped, overhead, percent } from "./numbers.js";
import type { Tone } from "./style.js";
import { headerText, printable } from "./text.js";

/** What a comparison says, for a terminal, a report and a page alike. */

/** A row of the comparison. One without cells is a heading. */
export interface ComparisonRow {
  label: string;
  /** How deep below the row above that it belongs to. */
  indent: number;
  /** One for each machine. */
  cells?: string[];
  tone?: Tone;
}

/** A sentence of a comparison. */
export interface Sentence {
  tone: Tone;
  text: string;
}

/** What was compared: first the title, then lines on the trace and the machines. */
export function comparisonHeading(result: Result): Sentence[] {
  const { trace, machines } = result;
  const warm = trace.warmup ? `, the first ${counted(trace.warmup, "access", "accesses")} not counted` : "";
  const events = `${counted(trace.accesses, "access", "accesses")}, ${counted(trace.events, "event")}${warm}`;
  const { program, guest, kernel } = trace.recorded;
  const system = [guest, kernel].filter(Boolean).map((value) => headerText(value));
  const what = program ? headerText(program) : undefined;
  const origin = what && system.length > 0 ? `${what} (${system.join(", ")})` : (what ?? system.join(", "));
  const formats = [...new Set(machines.flatMap(({ format }) => format ?? []))].join(" and ");
  const setups = [...new Set(machines.map((machine) => setup(machine, formats)))];
  const cut = trace.truncated
    ? [`truncated at byte ${grouped(trace.truncated.offset)}: only what is whole was replayed`]
    : [];
  const lines = [...(origin ? [origin] : []), ...cut, ...imported(trace), ...setups];
  return [
    { tone: "title", text: `${printable(trace.file)}: ${events}` },
    ...lines.map((text): Sentence => ({ tone: "dim", text })),
  ];
}

/** What the numbers are of, in a line. */
function setup({ config }: MachineResult, formats: string): string {
  const { cpu, host, clock, caches } = config;
  const cached = `page-table lines cached, data accesses ${caches.data ? "too" : "not"}`;
  const memory = caches.enabled ? cached : `no caches, ${caches.referenceCycles} cycles a reference`;
  return `CPU ${cpu}${formats && `, ${formats}`}; host pages of ${host.page}; ${memory}; window ${clock.window}`;
}

/** That a trace has no page tables of its own, where it comes from, and what was played. */
function imported({ recorded, format, played }: Result["trace"]): string[] {
  if (recorded.tables !== false) return [];
  const from = format === "nwt" ? recorded.source?.format : format;
  return [...(from ? [`imported from ${headerText(from)}`] : []), ...(played ? [played.what] : [])];
}

/** A row as it is written below: indented by two spaces a level, shown although it is nothing in every machine. */
interface Row {
  label: string;
  cells?: string[];
  tone?: Tone;
  always?: boolean;
}

function isNothing(cell: string): boolean {
  return cell === "-" || /^0(\.0+)?$/.test(cell);
}

/** The rows of the comparison, a cell for each machine; those that are nothing in every machine are left out. */
export function comparisonRows(result: Result): ComparisonRow[] {
  return allRows(result)
    .filter((row) => row.always || !row.cells?.every(isNothing))
    .map(({ label, cells, tone }) => ({
      label: label.trimStart(),
      indent: /^ */.exec(label)![0].length / 2,
      ...(cells === undefined ? {} : { cells }),
      ...(tone === undefined ? {} : { tone }),
    }));
}

function allRows({ machines }: Result): Row[] {
  const each = (cell: (m: MachineResult) => string): string[] => machines.map(cell);
  const counter = (label: string, name: string): Row => ({
    label,
    cells: each((m) => grouped(m.counters[name] ?? 0)),
  });
  const perAccess = (m: MachineResult, cycles: number) =>
    cycles === 0 ? "-" : fixed(cycles / (m.counters.accesses || 1), 3);
  const native = machines.find((m) => m.technique === "native");
  return [
    { label: "", cells: each(techniqueName), tone: "head" },
    { ...counter("accesses", "accesses"), always: true },
    ...hitRates(machines),
    { ...counter("page walks", "walks"), always: true },
    counter("  faulted or exited", "walksFaulted"),
    {
      label: "  per 1,000 accesses",
      cells: each((m) => fixed((1000 * (m.counters.walks ?? 0)) / (m.counters.accesses || 1), 3)),
    },
    { label: "references per walk, mean", cells: each(meanReferences) },
    counter("references per walk, maximum", "walkReferencesMax"),
    counter("VM exits", "exits"),
    ...exitRows(machines),
    { label: "cycles", cells: each((m) => grouped(m.cycles.total)), tone: "head", always: true },
    { label: "  per access", cells: each((m) => perAccess(m, m.cycles.total)) },
    ...partRows(machines, perAccess),
    ...(native === undefined || machines.length < 2
      ? []
      : [
          {
            label: "overhead against native",
            cells: each((m) => (m === native ? "-" : overhead(m.cycles.total, native.cycles.total))),
            tone: "head" as const,
            always: true,
          },
        ]),
  ];
}

const LEVELS = [
  ["l1d", "L1D"],
  ["l1i", "L1I"],
  ["l1s", "L1D, stores"],
  ["l2", "L2"],
  ["l2i", "L2, instructions"],
] as const;

function hits(s: StructureCounts): number {
  return s.hits4k + s.hits2m + s.hits1g;
}

function hitRates(machines: readonly MachineResult[]): Row[] {
  const used = LEVELS.filter(([name]) => machines.some((m) => (m.structures[name]?.lookups ?? 0) > 0));
  if (used.length === 0) return [];
  const asked = ({ config, structures }: MachineResult, name: (typeof LEVELS)[number][0]) =>
    config.tlb[name].length === 0 ? undefined : structures[name];
  const rows = used.map(([name, label]) => ({
    label: `  ${label}`,
    cells: machines.map((m) => {
      const s = asked(m, name);
      return s === undefined ? "-" : percent(hits(s), s.lookups);
    }),
  }));
  return [{ label: "TLB hits" }, ...rows];
}

function meanReferences(m: MachineResult): string {
  const walks = m.counters.walks ?? 0;
  return walks === 0 ? "-" : fixed((m.counters.tableReferences ?? 0) / walks, 2);
}

/** Exits by reason, the most expensive first. */
function exitRows(machines: readonly MachineResult[]): Row[] {
  const cost = new Map<string, number>();
  for (const { exits } of machines)
    for (const { reason, count, cycles } of exits)
      if (count > 0) cost.set(reason, (cost.get(reason) ?? 0) + cycles);
  return [...cost]
    .sort(([a, x], [b, y]) => y - x || (a < b ? -1 : 1))
    .map(([reason]) => ({
      label: `  ${reason}`,
      cells: machines.map((m) => grouped(m.exits.find((e) => e.reason === reason)?.count ?? 0)),
    }));
}

/** Where the cycles of an access went; parts that are nothing everywhere are left out. */
function partRows(
  machines: readonly MachineResult[],
  perAccess: (m: MachineResult, cycles: number) => string,
): Row[] {
  return cycleParts
    .filter(([part]) => machines.some((m) => (m.cycles[part] ?? 0) > 0))
    .map(([part, label]) => ({
      label: `    ${label}`,
      cells: machines.map((m) => perAccess(m, m.cycles[part] ?? 0)),
    }));
}

/** Whether the laws hold, and what the oracle says. */
export function comparisonVerdicts(result: Result): Sentence[] {
  const groups: [string, readonly Law[]][] = [
    ...result.machines.map((m): [string, Law[]] => [techniqueName(m), m.laws]),
    ["all machines", result.laws],
  ];
  const broken = groups.flatMap(([who, laws]) => laws.filter((l) => !l.holds).map((l) => ({ who, ...l })));
  const all = groups.reduce((n, [, laws]) => n + laws.length, 0);
  const kept: Sentence =
    broken.length === 0
      ? { tone: "good", text: `Conservation laws: all ${all} hold.` }
      : { tone: "bad", text: `Conservation laws: ${broken.length} of ${all} broken.` };
  return [
    kept,
    ...broken.map(
      ({ who, name, detail }): Sentence => ({ tone: "bad", text: `  ${who}: ${name}: ${detail}` }),
    ),
    ...oracleSentences(result),
  ];
}

function oracleSentences({ machines, trace }: Result): Sentence[] {
  const mapping = trace.played ? "played mapping" : "recorded mapping";
  const texts = machines.map(({ oracle }) => {
    const unknown = oracle.unknown > 0 ? `; ${grouped(oracle.unknown)} without a recorded mapping` : "";
    return `${counted(oracle.checked, "access", "accesses")} checked against the ${mapping}, ${counted(oracle.mismatches, "mismatch", "mismatches")}${unknown}`;
  });
  const bad = machines.some(({ oracle }) => oracle.mismatches > 0);
  const same = new Set(texts).size === 1;
  const lines = same
    ? [`Oracle: ${texts[0]}${machines.length > 1 ? " in every machine" : ""}.`]
    : texts.map((text, i) => `Oracle, ${techniqueName(machines[i]!)}: ${text}.`);
  for (const m of machines)
    if (m.oracle.first) lines.push(`  first mismatch of ${techniqueName(m)}: ${m.oracle.first}`);
  return lines.map((text) => ({ tone: bad ? "bad" : "good", text }));
}
