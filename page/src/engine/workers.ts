import type { Advance, Answer, Labels } from "./messages.js";

/** A failure that a worker put into a sentence. */
export class EngineError extends Error {
  constructor(name: string, message: string) {
    super(message);
    this.name = name;
  }
}

export class Cancelled extends Error {
  override name = "Cancelled";
}

export interface AskOptions {
  /** Ends the work, and the worker, at once; the promise is then rejected with `Cancelled`. */
  signal?: AbortSignal | undefined;
  transfer?: Transferable[];
  onProgress?: (progress: Advance) => void;
}

type Wanted<K extends Answer["is"]> = Extract<Answer, { is: K }>;

/** Workers of one kind: those that are done wait for the next task, loaded and compiled. */
export class Workers {
  /** Told to each worker before its first task. */
  labels: Labels | undefined;
  readonly #idle: Worker[] = [];

  constructor(
    readonly start: () => Worker,
    /** Most that wait. */
    readonly most: number,
  ) {}

  /** Starts workers before there is work, until so many wait. */
  prepare(count: number): void {
    while (this.#idle.length < Math.min(count, this.most)) this.#idle.push(this.#started());
  }

  /** Gives a worker a task, and waits for the answer of the kind that is wanted. */
  ask<K extends Answer["is"]>(
    task: unknown,
    wanted: K,
    { signal, transfer = [], onProgress }: AskOptions = {},
  ): Promise<Wanted<K>> {
    if (signal?.aborted) return Promise.reject(new Cancelled("cancelled"));
    const worker = this.#idle.pop() ?? this.#started();
    let stop!: () => void;
    return new Promise<Wanted<K>>((resolve, reject) => {
      const end = (error: Error) => {
        worker.terminate();
        reject(error);
      };
      stop = () => end(new Cancelled("cancelled"));
      signal?.addEventListener("abort", stop, { once: true });
      worker.onerror = (event) => {
        event.preventDefault();
        end(new EngineError("Error", event.message || "a worker could not be started; load the page again"));
      };
      worker.onmessage = ({ data }: MessageEvent<Answer>) => {
        if (data.is === "progress") {
          onProgress?.(data.progress);
          return;
        }
        this.#rest(worker);
        if (data.is === wanted) resolve(data as Wanted<K>);
        else if (data.is === "failure") reject(new EngineError(data.name, data.message));
      };
      worker.postMessage(task, transfer);
    }).finally(() => signal?.removeEventListener("abort", stop));
  }

  #started(): Worker {
    const worker = this.start();
    this.#watch(worker);
    if (this.labels !== undefined) worker.postMessage({ do: "name", labels: this.labels });
    return worker;
  }

  #rest(worker: Worker): void {
    this.#watch(worker);
    if (this.#idle.length < this.most) this.#idle.push(worker);
    else worker.terminate();
  }

  /** One that fails while it waits is not given any work. */
  #watch(worker: Worker): void {
    worker.onmessage = null;
    worker.onerror = (event) => {
      event.preventDefault();
      const at = this.#idle.indexOf(worker);
      if (at >= 0) this.#idle.splice(at, 1);
      worker.terminate();
    };
  }
}
