import { availableParallelism } from "node:os";
import type { MachineConfig } from "../config/index.js";
import { parseAssignment } from "../config/index.js";
import { runTasks } from "../node/pool.js";
import { varyTableLines } from "../report/vary-table.js";
import { openSynth, withSynthOption } from "../trace/index.js";
import { type AskedAxis, combinations, parseAxes, traceOption } from "../vary/axes.js";
import { type VaryResult, varyResult } from "../vary/result.js";
import type { Task } from "../vary/run.js";
import type { Parsed } from "./arguments.js";
import { type Io, UsageError } from "./io.js";
import { coreBuild, machinesOf } from "./machines.js";
import { startProgress } from "./progress.js";
import { count, openOptions } from "./trace-input.js";

/** `--vary`: comparisons with keys varied, in workers. */

export { varyTableLines as varyTable };

export interface Sweep {
  name: string;
  machines: "one" | "several";
  trace: string;
  vary: readonly string[];
  parsed: Parsed;
  quiet: boolean;
  io: Io;
}

/** What a replay is asked beside its machines, given option values in place of those of the command line. */
export type Asked = (
  values: Parsed["values"],
  configs: readonly MachineConfig[],
) => Pick<Task, "asked"> & { warmup: number; intervals: number | "markers" | undefined };

/** Runs every combination. Whatever is wrong with any of them is said before the first begins; so is what `check` throws. */
export async function varySweep(sweep: Sweep, asked: Asked, check: () => Promise<void>): Promise<VaryResult> {
  const { name, trace, vary, parsed, quiet, io } = sweep;
  if (trace === "-")
    throw new UsageError(
      "--vary replays the trace several times, and standard input is read once; name a file",
    );
  const jobs = count(parsed, "jobs", 1) ?? availableParallelism();
  const core = coreBuild(parsed);
  const axes = parseAxes(vary, trace);
  if (parsed.values.cpu !== undefined && axes.some(({ key }) => key === "cpu"))
    throw new UsageError("--cpu and --vary cpu both choose the CPU; leave one out");
  const tasks: Task[] = [];
  let first: readonly MachineConfig[] = [];
  for (const chosen of combinations(axes)) {
    const configs = await machinesOf(name, sweep.machines, parsed, directOf(axes, chosen));
    if (first.length === 0) first = configs;
    const set = settingsOf(axes, chosen);
    const more = asked({ set: [...((parsed.values.set as string[]) ?? []), ...set] }, configs);
    const { warmup, intervals } = more;
    tasks.push({
      trace: traceOf(trace, axes, chosen),
      configs,
      core,
      warmup,
      ...(intervals === undefined ? {} : { intervals }),
      asked: set.length > 0 ? more.asked : asked({}, configs).asked,
    });
  }
  for (const computed of new Set(tasks.map((task) => task.trace)))
    if (axes.some(({ key }) => traceOption(key) !== undefined)) await openSynth(computed);
  await check();
  const open = await openOptions(parsed);
  const progress = startProgress(io, first.length, quiet);
  const shares = tasks.map(() => ({ fraction: 0, accesses: 0 }));
  const onProgress = (nth: number, at: { fraction: number | undefined; accesses: number }) => {
    shares[nth] = { fraction: at.fraction ?? 0, accesses: at.accesses };
    const sum = (of: (share: { fraction: number; accesses: number }) => number) =>
      shares.reduce((total, share) => total + of(share), 0);
    progress.update({ fraction: sum((s) => s.fraction) / tasks.length, accesses: sum((s) => s.accesses) });
  };
  try {
    const results = await runTasks(tasks, { jobs, open, onProgress, signal: io.signal });
    return varyResult(axes, results, { ...asked({}, first).asked, vary: [...vary] });
  } finally {
    progress.end();
  }
}

function chosenOf(axes: readonly AskedAxis[], chosen: readonly number[]) {
  return axes.map(({ key, texts }, i) => ({ key, text: texts[chosen[i]!]! }));
}

/** Keys of the configuration, as options of their own: messages name them. */
function directOf(axes: readonly AskedAxis[], chosen: readonly number[]) {
  return chosenOf(axes, chosen)
    .filter(({ key }) => traceOption(key) === undefined)
    .map(({ key, text }) => {
      const { value } = parseAssignment(`${key}=${text}`, "--vary");
      return { option: `--vary ${key}=${text}`, path: key, value };
    });
}

/** The same as `--set` takes them. */
function settingsOf(axes: readonly AskedAxis[], chosen: readonly number[]): string[] {
  return chosenOf(axes, chosen)
    .filter(({ key }) => traceOption(key) === undefined)
    .map(({ key, text }) => `${key}=${text}`);
}

function traceOf(trace: string, axes: readonly AskedAxis[], chosen: readonly number[]): string {
  return chosenOf(axes, chosen).reduce((name, { key, text }) => {
    const option = traceOption(key);
    return option === undefined ? name : withSynthOption(name, option, text);
  }, trace);
}
