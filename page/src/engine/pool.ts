import { type Explanation, type Result, withMachines } from "nestwalk";
import type { Advance, Answer, Explain, Look, Replay, Task } from "./messages.js";
import { type BeginOptions, begin, type Work } from "./work.js";

/** How far each machine has come. */
export type Progress = readonly (Advance | undefined)[];

function start<K extends "look" | "result" | "explanations">(
  task: Task,
  wanted: K,
  options?: BeginOptions,
): Work<Extract<Answer, { is: K }>> {
  const worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
  return begin(worker, task, wanted, options);
}

/** What a trace is, or the sentence that says what is wrong with it. */
export function look(trace: Replay["trace"], open: Replay["open"]): Work<Look> {
  const { done, cancel } = start({ do: "look", trace, open }, "look");
  return { done: done.then((answer) => answer.look), cancel };
}

/** What the hardware and the hypervisor did for accesses of a trace, step by step. */
export function explain(task: Explain): Work<Explanation[]> {
  const { done, cancel } = start({ do: "explain", ...task }, "explanations");
  return { done: done.then((answer) => answer.explanations), cancel };
}

/**
 * Replays a trace through all machines: one worker reads it, and as many as there are processors replay what it reads,
 * each through some of the machines.
 */
export function replay(
  { trace, open, ...task }: Replay,
  onProgress: (progress: Progress) => void,
): Work<Result> {
  const shares = share(task.machines.length, navigator.hardwareConcurrency || 1);
  const progress: (Advance | undefined)[] = task.machines.map(() => undefined);
  const channels = shares.map(() => new MessageChannel());
  const works = shares.map((places, i) => {
    const port = channels[i]!.port2;
    const machines = places.map((at) => task.machines[at]!);
    return start({ do: "replay", ...task, machines, port }, "result", {
      transfer: [port],
      onProgress(advance) {
        for (const at of places) progress[at] = advance;
        onProgress(progress);
      },
    });
  });
  const ports = channels.map(({ port1 }) => port1);
  /* It has no answer: what it reads goes to the others. Only a trace that cannot be opened makes it speak. */
  const reader = start({ do: "read", trace, open, ports }, "result", { transfer: ports });
  const cancel = () => {
    for (const work of [reader, ...works]) work.cancel();
  };
  const results = Promise.all(works.map((work) => work.done.then(({ result }) => result)));
  const done = Promise.race([
    results,
    reader.done.then((): never => {
      throw new Error("the reader has no result");
    }),
  ])
    .then((all) => inOrder(all, shares))
    .finally(cancel);
  return { done, cancel };
}

/** Which machines each worker takes: machines in turn, so that the same trace is read by few of them. */
function share(machines: number, workers: number): number[][] {
  const count = Math.min(workers, machines);
  const all = Array.from({ length: machines }, (_, at) => at);
  return Array.from({ length: count }, (_, worker) => all.filter((at) => at % count === worker));
}

function inOrder(results: Result[], shares: readonly number[][]): Result {
  const machines: Result["machines"] = [];
  for (const [worker, places] of shares.entries())
    for (const [i, at] of places.entries()) machines[at] = results[worker]!.machines[i]!;
  return withMachines(results[0]!, machines);
}
