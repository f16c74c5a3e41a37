import { type MachineConfig, type Result, techniqueName, withMachines } from "nestwalk";
import type { Advance, Answer, Look, Replay, Task } from "./messages.js";
import { begin, type Work } from "./work.js";

/** How far each technique has come. */
export type Progress = Map<string, Advance>;

function start<K extends "look" | "result">(
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

/** Replays a trace through all machines, in as many workers as there are processors to run them. */
export function replay(task: Replay, onProgress: (progress: Progress) => void): Work<Result> {
  const shares = share(task.configs, navigator.hardwareConcurrency || 1);
  const progress: Progress = new Map();
  const works = shares.map((places) => {
    const configs = places.map((at) => task.configs[at]!);
    return start({ do: "replay", ...task, configs }, "result", (advance) => {
      for (const config of configs) progress.set(techniqueName(config), advance);
      onProgress(progress);
    });
  });
  const cancel = () => {
    for (const work of works) work.cancel();
  };
  const done = Promise.all(works.map((work) => work.done)).then(
    (answers) =>
      inOrder(
        answers.map((answer) => answer.result),
        shares,
      ),
    (error) => {
      cancel();
      throw error;
    },
  );
  return { done, cancel };
}

/** Which machines each worker takes: machines in turn, so that the same trace is read by few of them. */
function share(configs: readonly MachineConfig[], workers: number): number[][] {
  const count = Math.min(workers, configs.length);
  return Array.from({ length: count }, (_, worker) =>
    [...configs.keys()].filter((at) => at % count === worker),
  );
}

function inOrder(results: Result[], shares: readonly number[][]): Result {
  const machines: Result["machines"] = [];
  for (const [worker, places] of shares.entries())
    for (const [i, at] of places.entries()) machines[at] = results[worker]!.machines[i]!;
  return withMachines(results[0]!, machines);
}
