import { availableParallelism } from "node:os";
import { runTasks } from "../node/pool.js";
import { varyTableLines } from "../report/vary-table.js";
import { type ReplayRequest, replayOutcome, replayPlan } from "../request/index.js";
import type { VaryResult } from "../vary/result.js";
import type { Parsed } from "./arguments.js";
import { type Io, UsageError } from "./io.js";
import { coreBuild } from "./machines.js";
import { startProgress } from "./progress.js";
import { count, openOptions } from "./trace-input.js";

/** `--vary`: comparisons with keys varied, in workers. */

export { varyTableLines as varyTable };

export interface Sweep {
  trace: string;
  request: ReplayRequest;
  parsed: Parsed;
  quiet: boolean;
  io: Io;
}

/** Runs every combination. Whatever is wrong with any of them is said before the first begins; so is what `check` throws. */
export async function varySweep(
  { trace, request, parsed, quiet, io }: Sweep,
  check: () => Promise<void>,
): Promise<VaryResult> {
  if (trace === "-")
    throw new UsageError(
      "--vary replays the trace several times, and standard input is read once; name a file",
    );
  const jobs = count(parsed, "jobs", 1) ?? availableParallelism();
  const core = coreBuild(parsed);
  const plan = await replayPlan(request, trace);
  const tasks = plan.tasks.map((task) => ({ ...task, core }));
  await check();
  const open = await openOptions(parsed);
  const progress = startProgress(io, tasks[0]!.configs.length, quiet);
  const shares = tasks.map(() => ({ fraction: 0, accesses: 0 }));
  const onProgress = (nth: number, at: { fraction: number | undefined; accesses: number }) => {
    shares[nth] = { fraction: at.fraction ?? 0, accesses: at.accesses };
    const sum = (of: (share: { fraction: number; accesses: number }) => number) =>
      shares.reduce((total, share) => total + of(share), 0);
    progress.update({ fraction: sum((s) => s.fraction) / tasks.length, accesses: sum((s) => s.accesses) });
  };
  try {
    const results = await runTasks(tasks, { jobs, open, onProgress, signal: io.signal });
    return replayOutcome(plan, results) as VaryResult;
  } finally {
    progress.end();
  }
}
