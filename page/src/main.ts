import { replayOutcome } from "nestwalk";
import { byId } from "./dom.js";
import type { TraceFile } from "./engine/messages.js";
import { look, plan, prepare, replay } from "./engine/pool.js";
import { prepareToSave } from "./engine/save.js";
import { Cancelled } from "./engine/workers.js";
import { accessesOf, facts } from "./facts.js";
import { fetchGuest, type Guest } from "./gallery.js";
import { showIntro } from "./intro.js";
import { plotly } from "./plotly.js";
import { ProgressView } from "./progress.js";
import { labels, type Request } from "./request.js";
import { showResult } from "./result/index.js";
import {
  chooseGuest,
  followTrace,
  form,
  readForm,
  readOpening,
  startSetup,
  suggestInterval,
} from "./setup/index.js";

/** The trace that is chosen; its file comes late for a guest of the gallery. */
let trace: { name: string; file: Promise<TraceFile>; abort: AbortController; known: boolean } | undefined;
let looking: AbortController | undefined;
let running: AbortController | undefined;

const run = byId<HTMLButtonElement>("run");
const cancel = byId<HTMLButtonElement>("cancel");
const progress = new ProgressView(byId("progress"));

startSetup({
  file: (file) => choose(file.name, async () => ({ bytes: file })),
  guest: takeGuest,
  computed: (name) => choose(name, async () => ({})),
  reading: () => void lookAtTrace(),
  submit: () => void start(),
  refused: (sentence) => complain(new Error(sentence)),
});
cancel.addEventListener("click", () => running?.abort());
showIntro(byId("intro"), (name) => {
  chooseGuest(name);
  void start();
});

/* Before there is work for them, while nobody waits. */
const idle = globalThis.requestIdleCallback ?? setTimeout;
idle(() => {
  prepare(labels);
  prepareToSave();
  void plotly();
});

function takeGuest(guest: Guest): void {
  choose(`traces/${guest.name}.nwt`, async (signal) => ({ bytes: await fetchGuest(guest, signal) }));
}

function choose(name: string, load: (signal: AbortSignal) => Promise<Pick<TraceFile, "bytes">>): void {
  trace?.abort.abort();
  const abort = new AbortController();
  const file = load(abort.signal).then((bytes) => ({ name, ...bytes }));
  file.catch(() => {});
  trace = { name, file, abort, known: false };
  void lookAtTrace();
}

/** Says what the chosen trace is, or what is wrong with it. */
async function lookAtTrace(): Promise<void> {
  const chosen = trace;
  if (chosen === undefined) return;
  looking?.abort();
  const mine = new AbortController();
  looking = mine;
  chosen.known = false;
  mayRun();
  complain(undefined);
  const box = byId("facts");
  box.replaceChildren(`Reading ${chosen.name} …`);
  try {
    const seen = await look(await chosen.file, readOpening().open, mine.signal);
    if (looking !== mine) return;
    box.replaceChildren(...facts(chosen.name, seen));
    followTrace({ played: seen.recorded.tables === false, trace: chosen.name });
    suggestInterval(accessesOf(seen));
    chosen.known = true;
    mayRun();
  } catch (error) {
    if (looking !== mine || error instanceof Cancelled) return;
    box.replaceChildren();
    byId<HTMLDetailsElement>("reading").open = true;
    complain(error);
  }
}

function mayRun(): void {
  run.disabled = running !== undefined || trace?.known !== true;
}

async function start(): Promise<void> {
  const chosen = trace;
  if (chosen === undefined || running !== undefined) return;
  complain(undefined);
  const mine = new AbortController();
  const { signal } = mine;
  try {
    const request = readForm(chosen.name);
    running = mine;
    setRunning(request);
    const file = await cancellable(chosen.file, signal);
    const planned = await plan(request.replay, chosen.name, signal);
    const task = { trace: file, open: request.open, tasks: planned.tasks };
    const results = await replay(task, (at) => progress.update(at), signal);
    running = undefined;
    setRunning(undefined);
    const outcome = replayOutcome(planned, results);
    const drawn = await showResult(byId("report"), { outcome, request, trace: file });
    if (!drawn) return;
    byId("status").textContent = "The replay is done; the results follow.";
    byId("results").focus({ preventScroll: true });
  } catch (error) {
    if (running === mine) {
      running = undefined;
      setRunning(undefined);
      showLast();
    }
    if (error instanceof Cancelled) byId("status").textContent = "The replay was cancelled.";
    else complain(error);
    /* In place of those that were ended. */
    idle(() => prepare(labels));
  }
}

/** The same, given up at once when it is cancelled. */
function cancellable<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    signal.addEventListener("abort", () => reject(new Cancelled("cancelled")), { once: true });
    work.then(resolve, reject);
  });
}

function setRunning(request: Request | undefined): void {
  const now = request !== undefined;
  mayRun();
  cancel.hidden = !now;
  form.classList.toggle("running", now);
  document.body.dataset.state = now ? "running" : "still";
  byId("progress").hidden = !now;
  if (!now) return;
  byId("intro").hidden = true;
  byId("report").hidden = true;
  byId("status").textContent = `Replaying ${request.trace}.`;
  progress.start(request);
  const { top } = byId("results").getBoundingClientRect();
  if (top < 0 || top > innerHeight / 2) byId("results").scrollIntoView();
}

/** Where a replay came to nothing, the result before it stays. */
function showLast(): void {
  const none = byId("report").childElementCount === 0;
  byId("report").hidden = none;
  byId("intro").hidden = !none;
}

/** Shows a failure as its sentence, or takes the last one away. */
function complain(error: unknown): void {
  const alert = byId("alert");
  alert.replaceChildren();
  if (error === undefined) return;
  const text = document.createElement("p");
  text.textContent = error instanceof Error ? error.message : String(error);
  alert.append(text);
}
