import { type Explanation, type Result, withMachines } from "nestwalk";
import type { Advance, Answer, Explain, Look, Replay, Task } from "./messages.js";
import { begin, type Work } from "./work.js";

/** How far each machine has come. */
export type Progress = readonly (Advance | undefined)[];

function start<K extends "look" | "result" | "explanations">(
  task: Task,
  wanted: K,
  onProgress?: (progress: Advance) => void,
): Work<Extract<Answer, { is: K }>> {
  const worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
  return begin(worker, task, wanted, onProgress);
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

/** Replays a trace through all machines, in as many workers as there are processors to run them. */
export function replay(task: Replay, onProgress: (progress: Progress) => void): Work<Result> {
  const shares = share(task.machines.length, navigator.hardwareConcurrency || 1);
  const progress: (Advance | undefined)[] = task.machines.map(() => undefined);
  const works = shares.map((places) => {
    const machines = places.map((at) => task.machines[at]!);
    return start({ do: "replay", ...task, machines }, "result", (advance) => {
      for (const at of places) progress[at] = advance;
      onProgress(progress);
    });
  });
  const cancel = () => {
    for (const work of works) work.cancel();
  };
  const done = Promise.all(works.map((work) => work.done.then(({ result }) => result))).then(
    (results) => inOrder(results, shares),
    (error) => {
      cancel();
      throw error;
    },
  );
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
