import { parentPort } from "node:worker_threads";
import { runTask } from "../vary/run.js";
import { openTask } from "./open-task.js";
import type { Order, Report } from "./pool.js";

/** A worker of the pool: runs one task after the other. */
const port = parentPort!;
const EVERY_MS = 100;

async function run({ nth, task, open }: Order): Promise<Report> {
  let last = Number.NEGATIVE_INFINITY;
  try {
    const trace = await openTask(task, open);
    const result = await runTask(task, trace, (progress) => {
      const now = performance.now();
      if (now - last < EVERY_MS) return;
      last = now;
      port.postMessage({ nth, progress } satisfies Report);
    });
    return { nth, result };
  } catch (error) {
    const { name, message } = error instanceof Error ? error : { name: "Error", message: String(error) };
    return { nth, error: { name, message } };
  }
}

port.on("message", async (order: Order) => port.postMessage(await run(order)));
