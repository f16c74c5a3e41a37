import type { Kind, Save } from "./messages.js";
import { begin } from "./work.js";

/** A result as the content of a file. */
export async function contentOf(kind: Kind, result: Save["result"]): Promise<Blob> {
  const worker = new Worker(new URL("./save-worker.ts", import.meta.url), { type: "module" });
  const task: Save = { kind, result };
  return (await begin(worker, task, "content").done).content;
}
