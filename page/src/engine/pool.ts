import {
  type Explanation,
  type ReplayPlan,
  type ReplayRequest,
  type Result,
  techniqueNames,
  withMachines,
} from "nestwalk";
import type { Advance, Explain, Labels, Look, Opening, Replay, TraceFile } from "./messages.js";
import { type Share, sharesOf } from "./shares.js";
import { Workers } from "./workers.js";

/** Most workers that replay at once, however many processors there are: each has the memory of its machines. */
const MOST_REPLAYING = 8;
const REPLAYING = Math.min(navigator.hardwareConcurrency || 1, MOST_REPLAYING);

const workers = new Workers(
  () => new Worker(new URL("./worker.ts", import.meta.url), { type: "module" }),
  /* And one that reads. */
  REPLAYING + 1,
);

/** Starts the workers before there is work. Sentences of theirs call options as `labels` says. */
export function prepare(labels?: Labels): void {
  workers.labels = labels;
  /* A comparison of all techniques has use for these. */
  workers.prepare(Math.min(REPLAYING, techniqueNames.length) + 1);
}

/** What a trace is, or the sentence that says what is wrong with it. */
export async function look(trace: TraceFile, open: Opening, signal?: AbortSignal): Promise<Look> {
  return (await workers.ask({ do: "look", trace, open }, "look", { signal })).look;
}

/** What has to be replayed for a request, or the sentence that says what is wrong with it. */
export async function plan(request: ReplayRequest, trace: string, signal?: AbortSignal): Promise<ReplayPlan> {
  return (await workers.ask({ do: "plan", request, trace }, "plan", { signal })).plan;
}

/** What the hardware and the hypervisor did for accesses of a trace, step by step. */
export async function explain(task: Explain, signal?: AbortSignal): Promise<Explanation[]> {
  return (await workers.ask({ do: "explain", ...task }, "explanations", { signal })).explanations;
}

/** How far each machine has come, over all comparisons; undefined before the first has begun. */
export type Progress = readonly (Advance | undefined)[];

/**
 * Runs comparisons: one worker reads the trace, and as many as there are processors replay what it reads, each some of the
 * machines of one comparison. The results are in the order of the tasks.
 */
export async function replay(
  { trace, open, tasks }: Replay,
  onProgress: (progress: Progress) => void,
  signal?: AbortSignal,
): Promise<Result[]> {
  const parts: Result[][] = tasks.map(() => []);
  const machines: Result["machines"][] = tasks.map(() => []);
  const advance: (Advance | undefined)[][] = tasks.map(({ configs }) => configs.map(() => undefined));
  for (const shares of sharesOf(tasks, REPLAYING)) {
    const name = tasks[shares[0]!.nth]!.trace;
    const results = await once({ ...trace, name }, open, shares, tasks, signal, ({ nth, places }, at) => {
      for (const place of places) advance[nth]![place] = at;
      onProgress(tasks[0]!.configs.map((_, place) => together(advance.map((of) => of[place]))));
    });
    for (const [i, { nth, places }] of shares.entries()) {
      parts[nth]!.push(results[i]!);
      for (const [at, place] of places.entries()) {
        machines[nth]![place] = results[i]!.machines[at]!;
        advance[nth]![place] = { accesses: results[i]!.trace.accesses, fraction: 1 };
      }
    }
  }
  return tasks.map((_, nth) => withMachines(parts[nth]![0]!, machines[nth]!));
}

/** One pass over the trace. */
async function once(
  trace: TraceFile,
  open: Opening,
  shares: readonly Share[],
  tasks: Replay["tasks"],
  signal: AbortSignal | undefined,
  onProgress: (share: Share, advance: Advance) => void,
): Promise<Result[]> {
  /* Where one of them fails or is cancelled, the others end. */
  const all = new AbortController();
  const stop = () => all.abort();
  signal?.addEventListener("abort", stop, { once: true });
  if (signal?.aborted) stop();
  const channels = shares.map(() => new MessageChannel());
  const ports = channels.map(({ port1 }) => port1);
  try {
    const reader = workers.ask({ do: "read", trace, open, ports }, "read", {
      signal: all.signal,
      transfer: ports,
    });
    const replays = shares.map(async (share, i) => {
      const port = channels[i]!.port2;
      const task = tasks[share.nth]!;
      const comparison = { ...task, configs: share.places.map((at) => task.configs[at]!) };
      const { result } = await workers.ask({ do: "replay", port, comparison }, "result", {
        signal: all.signal,
        transfer: [port],
        onProgress: (advance) => onProgress(share, advance),
      });
      return result;
    });
    const [results] = await Promise.all([Promise.all(replays), reader]);
    return results;
  } finally {
    stop();
    signal?.removeEventListener("abort", stop);
  }
}

function together(all: readonly (Advance | undefined)[]): Advance | undefined {
  const begun = all.filter((at) => at !== undefined);
  if (begun.length === 0) return undefined;
  const known = begun.every(({ fraction }) => fraction !== undefined);
  return {
    accesses: begun.reduce((sum, { accesses }) => sum + accesses, 0),
    fraction: known ? begun.reduce((sum, { fraction }) => sum + fraction!, 0) / all.length : undefined,
  };
}
