import type { Advance, Answer } from "./messages.js";

/** A failure that a worker put into a sentence. */
export class EngineError extends Error {
  constructor(name: string, message: string) {
    super(message);
    this.name = name;
  }
}

/** Work under way. Cancelling ends its workers at once; `done` is then rejected with `Cancelled`. */
export interface Work<T> {
  done: Promise<T>;
  cancel(): void;
}

export class Cancelled extends Error {
  override name = "Cancelled";
}

type Wanted<K extends Answer["is"]> = Extract<Answer, { is: K }>;

export interface BeginOptions {
  transfer?: Transferable[];
  onProgress?: (progress: Advance) => void;
}

/** Gives a worker its one task, and lets go of it when that is done. */
export function begin<K extends Answer["is"]>(
  worker: Worker,
  task: unknown,
  wanted: K,
  { transfer = [], onProgress }: BeginOptions = {},
): Work<Wanted<K>> {
  let stop!: (error: Error) => void;
  const done = new Promise<Wanted<K>>((resolve, reject) => {
    stop = reject;
    worker.onmessage = ({ data }: MessageEvent<Answer>) => {
      if (data.is === wanted) resolve(data as Wanted<K>);
      else if (data.is === "progress") onProgress?.(data.progress);
      else if (data.is === "failure") reject(new EngineError(data.name, data.message));
    };
    worker.onerror = (event) => {
      event.preventDefault();
      reject(new EngineError("Error", event.message || "the worker could not be started"));
    };
    worker.postMessage(task, transfer);
  }).finally(() => worker.terminate());
  const cancel = () => {
    worker.terminate();
    stop(new Cancelled("cancelled"));
  };
  return { done, cancel };
}
