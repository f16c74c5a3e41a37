import { counted, grouped } from "../report/numbers.js";
import { printable } from "../report/text.js";
import { shareRead } from "../trace/source.js";
import { type CheckReport, checkTrace } from "../trace/tools/check.js";
import { positional } from "./arguments.js";
import { FailureError, type Io } from "./io.js";
import { jsonText } from "./output.js";
import { startProgress } from "./progress.js";
import { inputOptionsHelp, openInput, traceArguments, warnTruncated } from "./trace-input.js";

export const checkHelp = `nestwalk trace check FILE [options]

Reads a trace to its end and checks it, independently of the machines that replay it:
- checksums, counts and records are good;
- each access is translated by the page tables recorded with it, to the recorded frame,
  with the rights it needs;
- no access meets a stale TLB entry, so no invalidation is missing;
- no event contradicts the ones before.
Says where it first breaks. Exit code 0 good, 1 not.

  --json               the report as JSON
${inputOptionsHelp}

Examples
  nestwalk trace check traces/pipe-pti.nwt
`;

export async function checkCommand(args: readonly string[], io: Io): Promise<number> {
  const parsed = traceArguments("check", args, io, checkHelp, { json: { type: "boolean" } });
  if (!parsed) return 0;
  const { FILE } = positional("trace check", parsed.positionals, "FILE");
  const trace = await openInput(FILE, parsed);
  const progress = startProgress(io, 1, parsed.values.json === true);
  let report: CheckReport;
  try {
    report = await checkTrace(trace, (accesses) =>
      progress.update({ fraction: shareRead(trace, accesses), accesses }),
    );
  } finally {
    progress.end();
  }
  if (parsed.values.json) io.stdout.write(jsonText({ file: trace.name, ...report }));
  if (report.fault !== undefined)
    throw new FailureError(
      `${trace.name} contradicts itself at event ${report.faultEvent ?? report.events}, after ${counted(report.accesses, "access", "accesses")}: ${report.fault}`,
    );
  if (!parsed.values.json) io.stdout.write(`${printable(trace.name)} is good: ${sentence(report)}\n`);
  warnTruncated(trace, io);
  return 0;
}

function sentence(report: CheckReport): string {
  const { events, accesses, translated, withoutTruth, stale, untranslated } = report;
  const whole = `${counted(events, "event")}, ${counted(accesses, "access", "accesses")}`;
  if (accesses === 0) return `${whole}, so nothing to translate`;
  if (untranslated === accesses) return `${whole}; it has no page tables to translate them by`;
  const truth =
    withoutTruth === 0
      ? "each to the recorded frame"
      : `of which ${grouped(withoutTruth)} have no recorded frame to compare with`;
  const before = untranslated === 0 ? "" : `; ${grouped(untranslated)} come before the first CR3`;
  const kept =
    stale === 0
      ? ""
      : `; ${grouped(stale)} by a translation that the tables no longer had, as a TLB may keep it until it is invalidated`;
  return `${whole}; ${counted(translated, "page touch", "page touches")} translated by its own tables, ${truth}${kept}${before}`;
}
