import { join } from "node:path";
import { parseArgs } from "node:util";
import { UsageError } from "../cli/io.js";
import { type Difference, differences } from "./kvm/compare.js";
import type { Figures } from "./kvm/figures.js";
import { isMode, type Mode, modes, type RigOptions } from "./kvm/machine.js";
import { type ReferencePhase, readReference, readText } from "./kvm/reference.js";
import { Rig } from "./kvm/rig.js";
import { Tally } from "./kvm/tally.js";

const usage = `npm run conform -- kvm REFERENCE.json TRACES_DIR [--kernel 6.1|6.12] [--mode shadow,nested,nested-legacy] [--workload W3,...] [--all]

Replays the event traces of scripted guests and holds every counter, exit, tracepoint count and gauge against what
Linux KVM counted, phase by phase. --all prints the differences of every phase, not of the first ten.
`;

interface Run {
  readonly options: RigOptions;
  readonly trace: string;
  readonly id: string;
  readonly kernel: string;
  readonly phases: Map<string, ReferencePhase>;
}

const PRINTED = 10;
const kernels = ["6.1", "6.12"];

/** A sentence about records of modes and kernels that are not modelled. */
function leftOut(entries: readonly ReferencePhase[]): string {
  if (entries.length === 0) return "";
  const what = new Set(entries.map((e) => `${e.mode} ${shortKernel(e.kernel)}`));
  return `not modelled, left out: ${entries.length} phases of ${[...what].join(", ")}`;
}

export async function conformKvm(args: readonly string[], write: (text: string) => void): Promise<number> {
  const { values, positionals } = parse(args);
  if (values.help) {
    write(usage);
    return 0;
  }
  const [reference, folder] = positionals;
  if (reference === undefined || folder === undefined || positionals.length > 2) throw new UsageError(usage);
  const wanted = list(values.mode) ?? [...modes];
  for (const mode of wanted)
    if (!isMode(mode)) throw new UsageError(`no mode "${mode}": ${modes.join(", ")}`);
  const workloads = list(values.workload);
  const entries = await readReference(reference);
  const chosen = entries.filter(
    (e) =>
      wanted.includes(e.mode) &&
      (workloads === undefined || workloads.includes(e.workload)) &&
      (values.kernel === undefined || shortKernel(e.kernel) === values.kernel),
  );
  const replayed = chosen.filter((e) => kernels.includes(shortKernel(e.kernel)));
  const left = leftOut(entries.filter((e) => !isMode(e.mode) || !kernels.includes(shortKernel(e.kernel))));
  if (replayed.length === 0) throw new UsageError(`nothing of ${reference} is chosen${left && `; ${left}`}`);
  if (left) write(`${left}\n`);

  const tally = new Tally();
  let printed = 0;
  for (const run of runsOf(replayed)) {
    const text = await readText(join(folder, run.trace));
    const rig = new Rig(run.options);
    const seen = new Set<string>();
    const measured = (phase: string, figures: Figures) => {
      const entry = run.phases.get(phase);
      if (entry === undefined) return;
      seen.add(phase);
      const found = differences(entry, figures);
      tally.add(run.options.mode, run.kernel, entry.workload, found);
      if (found.length > 0 && (values.all || printed++ < PRINTED)) write(report(run, phase, found));
    };
    let missing = "the trace has no such phase";
    try {
      rig.replay(text, measured);
    } catch (error) {
      missing = `${run.trace}: ${(error as Error).message}`;
    }
    for (const [phase, entry] of run.phases) {
      if (seen.has(phase)) continue;
      tally.add(run.options.mode, run.kernel, entry.workload, [{ figure: "phase", expected: 1, found: 0 }]);
      write(`${run.id} ${phase}: ${missing}\n`);
    }
  }
  write(tally.text());
  return tally.failed === 0 ? 0 : 1;
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        kernel: { type: "string" },
        mode: { type: "string" },
        workload: { type: "string" },
        all: { type: "boolean" },
        help: { type: "boolean" },
      },
    });
  } catch (error) {
    throw new UsageError(`${(error as Error).message}\n${usage}`);
  }
}

function list(text: string | undefined): string[] | undefined {
  return text?.split(",").filter((part) => part !== "");
}

/** "6.12" of "6.12.95+deb12-cloud-amd64". */
function shortKernel(kernel: string): string {
  return kernel.split(".").slice(0, 2).join(".");
}

/** The records of one replay together: same trace, mode, kernel and parameters. */
function runsOf(entries: readonly ReferencePhase[]): Run[] {
  const runs = new Map<string, Run>();
  for (const entry of entries) {
    const key = [entry.mode, entry.kernel, entry.trace, JSON.stringify(entry.params)].join(" ");
    let run = runs.get(key);
    if (run === undefined) {
      const kernel = shortKernel(entry.kernel);
      run = {
        options: { mode: entry.mode as Mode, kernel, params: entry.params },
        trace: entry.trace,
        id: entry.id,
        kernel,
        phases: new Map(),
      };
      runs.set(key, run);
    }
    run.phases.set(entry.phase, entry);
  }
  return [...runs.values()];
}

function report(run: Run, phase: string, found: readonly Difference[]): string {
  const lines = found.map((d) => `  ${d.figure}: expected ${d.expected}, found ${d.found}\n`);
  return `${run.options.mode} ${run.kernel} ${run.id} ${phase}\n${lines.join("")}`;
}
