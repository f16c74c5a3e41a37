import { type Explanation, type Result, type TechniqueName, techniqueName } from "nestwalk";
import { el } from "../dom.js";
import type { Explain, Opening, TraceFile } from "../engine/messages.js";
import { explain } from "../engine/pool.js";
import { Cancelled } from "../engine/workers.js";
import { techniqueText } from "../terms.js";
import { Stepper } from "./stepper.js";
import { accessText } from "./text.js";

/** Accesses found at once. */
const BATCH = 12;

/** A result, and how its trace was read. */
export interface Replayed {
  result: Result;
  trace: TraceFile;
  open: Opening;
}

/** The part of the results in which one goes through walks of the trace. */
export function walks(replayed: Replayed): HTMLElement {
  const { result } = replayed;
  const names = result.machines.map((machine) => techniqueName(machine) as TechniqueName);
  const first = names.find((name) => name === "ept" || name === "npt") ?? names[0];
  const option = (value: string, text: string, selected = false) => el("option", { value, selected }, text);
  const technique = el(
    "select",
    { name: "walk-technique" },
    ...names.map((name) => option(name, techniqueText[name].label, name === first)),
  );
  const next = el(
    "select",
    { name: "walk-next" },
    option("walk", "page walk"),
    option("fault", "page fault"),
    option("exit", "VM exit"),
  );
  const middle = Math.max(1, Math.floor(result.trace.accesses / 2));
  const from = el("input", { name: "walk-from", inputmode: "numeric", value: middle, autocomplete: "off" });
  const said = el("p", { role: "status" });
  const found = el("div");
  const form = el(
    "form",
    { class: "walk-form", "aria-label": "Which accesses" },
    el("label", { class: "field" }, "Technique", technique),
    el("label", { class: "field" }, "Show the next", next),
    el("label", { class: "field" }, "from access", from),
    el("button", { type: "submit" }, "Show"),
  );
  let finding = new AbortController();
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    finding.abort();
    finding = new AbortController();
    said.textContent = "Replaying up to there …";
    try {
      const wanted = { technique: technique.value, next: next.value as Explain["next"], from: from.value };
      const explanations = await find(replayed, wanted, finding.signal);
      said.textContent = explanations.length === 0 ? `There is none from access ${from.value} on.` : "";
      found.replaceChildren(...(explanations.length === 0 ? [] : [pager(explanations, technique.value)]));
    } catch (error) {
      if (error instanceof Cancelled) return;
      said.textContent = error instanceof Error ? error.message : String(error);
    }
  });
  return el(
    "section",
    { class: "walks", "aria-labelledby": "walks-title" },
    el("h2", { id: "walks-title" }, "Step by step"),
    el(
      "p",
      { class: "origin" },
      "What the hardware and the hypervisor did for one access: every lookup, every page-table entry that was read, where it was found and what it cost.",
    ),
    form,
    said,
    found,
  );
}

/** Looks for accesses in the trace. Throws an error with a sentence for one that is not there. */
async function find(
  { trace, open, result }: Replayed,
  { technique, next, from }: { technique: string; next: Explain["next"]; from: string },
  signal: AbortSignal,
): Promise<Explanation[]> {
  const at = Number(from.replace(/[,\s]/g, ""));
  const { accesses } = result.trace;
  if (!Number.isSafeInteger(at) || at < 1 || at > accesses)
    throw new Error(`There is no access ${from}; the trace has those from 1 to ${accesses}.`);
  const machine = result.machines.find((one) => techniqueName(one) === technique)!.config;
  return explain({ trace, open, machine, at, next, count: BATCH }, signal);
}

/** The accesses that were found, one shown at a time. */
function pager(explanations: readonly Explanation[], technique: string): HTMLElement {
  const place = el("div");
  const list = el(
    "select",
    {},
    ...explanations.map((explanation, i) => el("option", { value: i }, accessText(explanation))),
  );
  const show = () => place.replaceChildren(new Stepper(explanations[Number(list.value)]!).element);
  list.addEventListener("change", show);
  show();
  return el(
    "div",
    { class: `pager technique ${technique}` },
    el("label", { class: "field" }, "Access", list),
    place,
  );
}
