import { counted, grouped, percent } from "../report/numbers.js";
import { headerText, printable } from "../report/text.js";
import type { TraceSource } from "../trace/index.js";
import { shareRead } from "../trace/source.js";
import { footprintBytes, type TraceFacts, traceFacts } from "../trace/tools/info.js";
import { positional } from "./arguments.js";
import type { Io } from "./io.js";
import { jsonText } from "./output.js";
import { startProgress } from "./progress.js";
import { inputOptionsHelp, openInput, traceArguments, warnTruncated } from "./trace-input.js";

export const infoHelp = `nestwalk trace info FILE [options]

Reads a trace to its end and says what it is: who recorded what, how much, which pages it
touches, how often it switches and changes page tables, and whether its addresses are
virtual. It fails where the file is damaged.

  --json               as JSON
${inputOptionsHelp}

Examples
  nestwalk trace info traces/sqlite.nwt
  nestwalk trace info 600.perlbench_s.champsimtrace.xz
`;

export async function infoCommand(args: readonly string[], io: Io): Promise<number> {
  const parsed = traceArguments("info", args, io, infoHelp, { json: { type: "boolean" } });
  if (!parsed) return 0;
  const { FILE } = positional("trace info", parsed.positionals, "FILE");
  const trace = await openInput(FILE, parsed);
  const progress = startProgress(io, 1, parsed.values.json === true);
  let facts: TraceFacts;
  try {
    facts = await traceFacts(trace, (accesses) =>
      progress.update({ fraction: shareRead(trace, accesses), accesses }),
    );
  } finally {
    progress.end();
  }
  const sha256 = await trace.sha256();
  const { version, fetch, recorded } = trace.header;
  if (parsed.values.json)
    io.stdout.write(
      jsonText({ file: trace.name, sha256, format: trace.format, version, fetch, ...facts, recorded }),
    );
  else io.stdout.write(`${infoLines(trace, sha256, facts).join("\n")}\n`);
  warnTruncated(trace, io);
  return 0;
}

/** Bytes in the largest unit that leaves a number of at least 1. */
export function size(bytes: number): string {
  const units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  let value = bytes;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}

function infoLines(trace: TraceSource, sha256: string, facts: TraceFacts): string[] {
  const { header } = trace;
  const { recorded } = header;
  const tables = recorded.tables !== false;
  const rows: [string, string][] = [
    ["what", what(trace)],
    ["format", header.version === undefined ? trace.format : `${trace.format}, version ${header.version}`],
    ["sha256", sha256],
    ["events", grouped(facts.events)],
    [
      "accesses",
      `${grouped(facts.accesses)}: ${grouped(facts.fetches)} fetches, ${grouped(facts.reads)} reads, ${grouped(facts.writes)} writes`,
    ],
    ["fetches", header.fetch === "insn" ? "one record an instruction" : "one record a run within a page"],
    ["addresses", addresses(trace)],
    ["touches", touched(facts, tables || recorded.addresses === "guest-physical")],
  ];
  if (tables) {
    rows.push(
      ["user mode", `${percent(facts.user, facts.accesses, 1)} of the accesses`],
      ["paging", facts.modes.join(", then ") || "none seen"],
      ["switches", `${counted(facts.cr3Loads, "CR3 load")} of ${counted(facts.roots, "root table")}`],
      [
        "tables",
        `${counted(facts.tablePages, "table page")}, ${counted(facts.tableWrites, "entry", "entries")} written, ${counted(facts.invalidations, "invalidation")}`,
      ],
      ["exceptions", `${grouped(facts.exceptions)}, ${counted(facts.pageFaults, "page fault")} among them`],
    );
  } else {
    rows.push([
      "switches",
      facts.switches === 0
        ? "none: one process with one thread"
        : `${grouped(facts.switches)} between ${counted(facts.processes, "process", "processes")} and ${counted(facts.threads, "thread")}`,
    ]);
  }
  rows.push(["record stream", counted(facts.streamBytes, "byte")]);
  for (const label of facts.labels) rows.push(["label", label]);
  const shown = new Set(["source", "tables", "addresses", "placement"]);
  for (const [key, value] of Object.entries(recorded)) {
    if (value === undefined || shown.has(key)) continue;
    for (const item of Array.isArray(value) ? value : [value]) rows.push([key, headerText(item, 4000)]);
  }
  if (recorded.placement)
    rows.push([
      "placement",
      `${counted(recorded.placement.runs.length, "run")} of ${recorded.placement.pageSize} pages`,
    ]);
  const width = Math.max(...rows.map(([key]) => key.length)) + 2;
  return [
    printable(trace.name),
    ...rows.map(([key, value]) => `  ${printable(key).padEnd(width)}${printable(value)}`),
  ];
}

function what({ header: { recorded } }: TraceSource): string {
  const by = recorded.recorder ? ` recorded by ${headerText(recorded.recorder)}` : "";
  if (recorded.addresses === "guest-physical") return `accesses to guest-physical addresses${by}`;
  if (recorded.tables === false) {
    const program = recorded.program ? `, ${headerText(recorded.program)},` : "";
    return `memory accesses of programs${program}${by}, without the kernel`;
  }
  return `a whole guest, kernel and programs,${by || " recorded"} with its page tables`;
}

function addresses({ header: { recorded } }: TraceSource): string {
  if (recorded.addresses === "guest-physical") return "guest-physical; there are no virtual addresses";
  if (recorded.tables === false)
    return "virtual, without page tables: a stand-in for the kernel must make them";
  return "virtual, translated by the page tables in the trace";
}

function touched({ pages }: TraceFacts, physical: boolean): string {
  const names: Record<string, string> = { "4K": "4 KiB", "2M": "2 MiB", "4M": "4 MiB", "1G": "1 GiB" };
  const parts = Object.entries(names)
    .filter(([key]) => pages[key])
    .map(([key, name]) => `${counted(pages[key]!, "page")} of ${name}`);
  if (parts.length === 0) return "no page";
  const of = physical ? "guest memory" : "the address spaces";
  return `${parts.join(", ")}: ${size(footprintBytes(pages))} of ${of}`;
}
