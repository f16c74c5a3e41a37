import {
  Core,
  type Explanation,
  explainTrace,
  nameOptions,
  replayPlan,
  resolveConfig,
  runTask,
} from "nestwalk";
import { FedTrace, feed } from "./feed.js";
import { byLabel } from "./labels.js";
import type { Advance, Answer, Explain, Labels, Look, Task } from "./messages.js";
import { openInput, openTraceOf } from "./open.js";

/** The worker: everything that reads a trace or replays one happens here, never on the page's own thread. */

const PROGRESS_MS = 100;

addEventListener("message", ({ data }: MessageEvent<Task | { do: "name"; labels: Labels }>) => {
  if (data.do === "name") {
    nameOptions(byLabel(data.labels));
    return;
  }
  answer(data).then(say, (error: unknown) => {
    const { name, message } = error instanceof Error ? error : new Error(String(error));
    say({ is: "failure", name, message });
  });
});

/* Compiled before there is work for them. */
new Core();
resolveConfig();

function say(message: Answer): void {
  postMessage(message);
}

async function answer(task: Task): Promise<Answer> {
  switch (task.do) {
    case "look":
      return { is: "look", look: await look(task) };
    case "plan":
      return { is: "plan", plan: await replayPlan(task.request, task.trace) };
    case "explain":
      return { is: "explanations", explanations: await explain(task) };
    case "read":
      await read(task);
      return { is: "read" };
    case "replay":
      return { is: "result", result: await replay(task) };
  }
}

async function look({ trace, open }: Extract<Task, { do: "look" }>): Promise<Look> {
  const source = await openTraceOf(trace, open);
  return { format: source.format, recorded: source.header.recorded, totals: source.header.totals };
}

async function explain({ trace, open, machine, at, next, count }: Explain): Promise<Explanation[]> {
  return explainTrace(await openTraceOf(trace, open), machine, { at, next, count });
}

async function read({ trace, open, ports }: Extract<Task, { do: "read" }>): Promise<void> {
  const { source, fraction } = await openInput(trace, open);
  await feed(source, ports, fraction);
}

async function replay({ port, comparison }: Extract<Task, { do: "replay" }>) {
  const trace = await FedTrace.open(port);
  let last = 0;
  const onProgress = ({ accesses, fraction }: Advance) => {
    const now = performance.now();
    if (now - last < PROGRESS_MS) return;
    last = now;
    say({ is: "progress", progress: { accesses, fraction: fraction ?? trace.fraction } });
  };
  const result = await runTask(comparison, trace, onProgress);
  port.close();
  return result;
}
