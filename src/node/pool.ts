import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import type { Progress } from "../compare.js";
import { ReplayError } from "../replay-error.js";
import { optionName } from "../request/option-names.js";
import type { Result } from "../result.js";
import type { OpenOptions } from "../trace/index.js";
import { runTask, type Task } from "../vary/run.js";
import { openTask } from "./open-task.js";

export interface PoolOptions {
  /** Most workers at once; as many as the machine has processors if left out. One runs in this thread. */
  jobs?: number;
  /** How files are read. */
  open?: OpenOptions;
  /** Each task's progress as it is made. */
  onProgress?: (nth: number, progress: Progress) => void;
  signal?: AbortSignal;
}

/** What a worker is told, and tells. */
export interface Order {
  nth: number;
  task: Task;
  open: OpenOptions;
}
export type Report =
  | { nth: number; progress: Progress }
  | { nth: number; result: Result }
  | { nth: number; error: { name: string; message: string } };

/**
 * Runs all tasks, several at a time; the results are in the order of the tasks, the same whatever the number of workers.
 * Where tasks fail, the error of the first of them is thrown.
 */
export async function runTasks(tasks: readonly Task[], options: PoolOptions = {}): Promise<Result[]> {
  const { open = {}, onProgress, signal } = options;
  const jobs = Math.min(options.jobs ?? availableParallelism(), tasks.length);
  if (jobs <= 1) {
    const results: Result[] = [];
    for (const [nth, task] of tasks.entries()) {
      signal?.throwIfAborted();
      results.push(await runTask(task, await openTask(task, open), (at) => onProgress?.(nth, at)));
    }
    return results;
  }
  return new Pool(tasks, jobs, open, onProgress).run(signal);
}

class Pool {
  readonly #tasks: readonly Task[];
  readonly #jobs: number;
  readonly #open: OpenOptions;
  readonly #onProgress: PoolOptions["onProgress"];
  readonly #results: Result[] = [];
  readonly #workers: Worker[] = [];
  /** Tasks given to workers, and those of them that are finished. */
  #given = 0;
  #finished = 0;
  #failed: { nth: number; error: Error } | undefined;

  constructor(
    tasks: readonly Task[],
    jobs: number,
    open: OpenOptions,
    onProgress: PoolOptions["onProgress"],
  ) {
    this.#tasks = tasks;
    this.#jobs = jobs;
    this.#open = open;
    this.#onProgress = onProgress;
  }

  async run(signal: AbortSignal | undefined): Promise<Result[]> {
    try {
      await new Promise<void>((resolve, reject) => {
        signal?.addEventListener("abort", () => reject(signal.reason), { once: true });
        signal?.throwIfAborted();
        for (let i = 0; i < this.#jobs; ++i) this.#start(resolve, reject);
      });
    } finally {
      await Promise.all(this.#workers.map((worker) => worker.terminate()));
    }
    return this.#results;
  }

  #start(resolve: () => void, reject: (error: Error) => void): void {
    const worker = new Worker(new URL("./vary-worker.js", import.meta.url));
    this.#workers.push(worker);
    let at = -1;
    const giveNext = () => {
      /* After a failure those given before still finish: the first of several failures is the one that is told. */
      if (this.#failed !== undefined || this.#given === this.#tasks.length) return;
      at = this.#given++;
      worker.postMessage({ nth: at, task: this.#tasks[at]!, open: this.#open } satisfies Order);
    };
    const done = () => {
      ++this.#finished;
      giveNext();
      if (this.#finished < this.#given) return;
      if (this.#failed === undefined) resolve();
      else reject(this.#failed.error);
    };
    const fail = (error: Error) => {
      if (this.#failed === undefined || at < this.#failed.nth) this.#failed = { nth: at, error };
      done();
    };
    worker.on("message", (report: Report) => {
      if ("progress" in report) {
        try {
          this.#onProgress?.(report.nth, report.progress);
        } catch (error) {
          reject(error as Error);
        }
        return;
      }
      if ("result" in report) {
        this.#results[report.nth] = report.result;
        done();
      } else {
        fail(Object.assign(new Error(report.error.message), { name: report.error.name }));
      }
    });
    worker.on("error", ({ message }) =>
      fail(
        new ReplayError(`a worker ended (${message}); run fewer at once with ${optionName("jobs")}.`, 0, 0),
      ),
    );
    giveNext();
  }
}
