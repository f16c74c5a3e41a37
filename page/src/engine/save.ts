import type { Kind, Save } from "./messages.js";
import { Workers } from "./workers.js";

const workers = new Workers(
  () => new Worker(new URL("./save-worker.ts", import.meta.url), { type: "module" }),
  1,
);

/** Loads what writes before there is something to be written. */
export function prepareToSave(): void {
  workers.prepare(1);
}

/** A result as the content of a file. */
export async function contentOf(kind: Kind, result: Save["result"]): Promise<Blob> {
  const task: Save = { kind, result };
  return (await workers.ask(task, "content")).content;
}
