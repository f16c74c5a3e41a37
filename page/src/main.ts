import type { Result } from "nestwalk";
import { byId } from "./dom.js";
import type { TraceFile } from "./engine/messages.js";
import { look, replay } from "./engine/pool.js";
import { Cancelled, type Work } from "./engine/work.js";
import { accessesOf, facts } from "./facts.js";
import { fetchGuest, type Guest } from "./gallery.js";
import { showIntro } from "./intro.js";
import { plotly } from "./plotly.js";
import { ProgressView } from "./progress.js";
import { askedOf, machinesOf, openOptionsOf, type Request } from "./request.js";
import { showResult } from "./result/index.js";
import { allowGuestPages, chooseGuest, form, readForm, startSetup, suggestInterval } from "./setup.js";

/** The trace that is chosen; its file comes late for a guest of the gallery. */
let trace: { name: string; file: Promise<TraceFile>; abort: AbortController } | undefined;
let looking: Work<unknown> | undefined;
let running: Work<Result> | undefined;

const run = byId<HTMLButtonElement>("run");
const cancel = byId<HTMLButtonElement>("cancel");
const progress = new ProgressView(byId("progress"));

startSetup({
  file: takeFile,
  guest: takeGuest,
  reading: () => void lookAtTrace(),
  submit: () => void start(),
});
cancel.addEventListener("click", () => running?.cancel());
showIntro(byId("intro"), (name) => {
  chooseGuest(name);
  void start();
});

/* Before there is a result to draw, while nobody waits. */
if ("requestIdleCallback" in globalThis) requestIdleCallback(() => void plotly());

function takeFile(file: File): void {
  choose(file.name, async () => file);
}

function takeGuest(guest: Guest): void {
  choose(`traces/${guest.name}.nwt`, (signal) => fetchGuest(guest, signal));
}

function choose(name: string, load: (signal: AbortSignal) => Promise<Blob>): void {
  trace?.abort.abort();
  const abort = new AbortController();
  const file = load(abort.signal).then((bytes) => ({ name, bytes }));
  file.catch(() => {});
  trace = { name, file, abort };
  void lookAtTrace();
}

/** Says what the chosen trace is, or what is wrong with it. */
async function lookAtTrace(): Promise<void> {
  const chosen = trace;
  if (chosen === undefined) return;
  looking?.cancel();
  run.disabled = true;
  complain(undefined);
  const box = byId("facts");
  box.replaceChildren(`Reading ${chosen.name} …`);
  try {
    const work = look(await chosen.file, openOptionsOf(readForm(chosen.name)));
    looking = work;
    const seen = await work.done;
    if (trace !== chosen) return;
    box.replaceChildren(...facts(chosen.name, seen));
    allowGuestPages(seen.recorded.tables === false);
    suggestInterval(accessesOf(seen));
    run.disabled = running !== undefined;
  } catch (error) {
    if (trace !== chosen || error instanceof Cancelled) return;
    box.replaceChildren();
    byId<HTMLDetailsElement>("reading").open = true;
    complain(error);
  }
}

async function start(): Promise<void> {
  const chosen = trace;
  if (chosen === undefined || running !== undefined) return;
  complain(undefined);
  try {
    const request = readForm(chosen.name);
    const task = {
      open: openOptionsOf(request),
      machines: machinesOf(request),
      warmup: request.warmup,
      intervals: request.interval,
      asked: askedOf(request),
    };
    const file = await chosen.file;
    setRunning(request);
    running = replay({ trace: file, ...task }, (at) => progress.update(at));
    const result = await running.done;
    running = undefined;
    setRunning(undefined);
    await showResult(byId("report"), { result, request, trace: file });
    byId("status").textContent = "The replay is done; the results follow.";
    byId("results").focus({ preventScroll: true });
  } catch (error) {
    running = undefined;
    setRunning(undefined);
    if (error instanceof Cancelled) byId("status").textContent = "The replay was cancelled.";
    else complain(error);
  }
}

function setRunning(request: Request | undefined): void {
  const now = request !== undefined;
  run.disabled = now;
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
  if (top > innerHeight / 2) byId("results").scrollIntoView();
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
