import type { Task } from "nestwalk";

/** What one worker takes in one pass over the trace: some machines of a task. */
export interface Share {
  /** The task, and the places of the machines in its list. */
  nth: number;
  places: number[];
}

/**
 * Shares for each pass: as many as there are workers, of tasks whose trace is the same. Where workers are left over, they take
 * machines of the same task.
 */
export function sharesOf(tasks: readonly Pick<Task, "trace" | "configs">[], workers: number): Share[][] {
  const passes: number[][] = [];
  for (const [nth, { trace }] of tasks.entries()) {
    const last = passes.at(-1);
    if (last !== undefined && last.length < workers && tasks[last[0]!]!.trace === trace) last.push(nth);
    else passes.push([nth]);
  }
  return passes.map((pass) =>
    pass.flatMap((nth) => split(nth, tasks[nth]!.configs.length, Math.floor(workers / pass.length))),
  );
}

/** The machines in turn. */
function split(nth: number, machines: number, workers: number): Share[] {
  const count = Math.max(1, Math.min(workers, machines));
  const all = Array.from({ length: machines }, (_, place) => place);
  return Array.from({ length: count }, (_, worker) => ({
    nth,
    places: all.filter((place) => place % count === worker),
  }));
}
