import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { gunzipSync } from "node:zlib";
import { UsageError } from "../cli/io.js";
import { type Difference, differences, type Phase } from "./kvm/compare.js";
import { isMode, type Mode, modes, type Params, type RigOptions } from "./kvm/machine.js";
import { Rig } from "./kvm/rig.js";
import { Tally } from "./kvm/tally.js";

const usage = `npm run conform -- kvm REFERENCE.json TRACES_DIR [--kernel 6.1|6.12] [--mode shadow,nested,nested-legacy] [--workload W3,...] [--all]

Replays the event traces of scripted guests and holds every counter, exit, tracepoint count and gauge against what
Linux KVM counted, phase by phase. --all prints the differences of every phase, not of the first ten.
`;

/** One record of the reference: a measured phase of one run. */
interface Entry extends Phase {
  readonly workload: string;
  readonly id: string;
  readonly params: Params;
  readonly phase: string;
  readonly mode: string;
  readonly kernel: string;
  readonly trace: string;
}

interface Run {
  readonly options: RigOptions;
  readonly trace: string;
  readonly id: string;
  readonly kernel: string;
  readonly phases: Map<string, Entry>;
}

const PRINTED = 10;

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
  if (chosen.length === 0) throw new UsageError("nothing of the reference is chosen");

  const tally = new Tally();
  let printed = 0;
  for (const run of runsOf(chosen)) {
    const text = gunzipSync(await readFile(join(folder, run.trace))).toString("latin1");
    const rig = new Rig(run.options);
    const seen = new Set<string>();
    rig.replay(text, (phase, figures) => {
      const entry = run.phases.get(phase);
      if (entry === undefined) return;
      seen.add(phase);
      const found = differences(entry, figures);
      tally.add(run.options.mode, run.kernel, entry.workload, found);
      if (found.length > 0 && (values.all || printed++ < PRINTED)) write(report(run, phase, found));
    });
    for (const [phase, entry] of run.phases) {
      if (seen.has(phase)) continue;
      tally.add(run.options.mode, run.kernel, entry.workload, [{ figure: "phase", expected: 1, found: 0 }]);
      write(`${run.id} ${phase}: the trace has no such phase\n`);
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

async function readReference(path: string): Promise<Entry[]> {
  const parsed: unknown = JSON.parse(await readFile(path, "utf8"));
  if (!Array.isArray(parsed)) throw new UsageError(`${path} is not a list of phases`);
  return parsed as Entry[];
}

/** "6.12" of "6.12.95+deb12-cloud-amd64". */
function shortKernel(kernel: string): string {
  return kernel.split(".").slice(0, 2).join(".");
}

/** The records of one replay together: same trace, mode, kernel and parameters. */
function runsOf(entries: readonly Entry[]): Run[] {
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
