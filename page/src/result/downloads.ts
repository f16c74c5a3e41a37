import type { Result, VaryResult } from "nestwalk";
import { hasIntervalRows } from "nestwalk/data";
import { commandOf } from "nestwalk/plot";
import { el } from "../dom.js";
import type { Kind } from "../engine/messages.js";
import { contentOf } from "../engine/save.js";
import type { Shown } from "./index.js";

type Offer = [kind: Kind, label: string, what: string];

const WHOLE: readonly Offer[] = [
  ["html", "Report", "one page with figures and tables that opens offline"],
  ["json", "JSON", "the whole result"],
  ["csv", "CSV", "every number in a row of its own"],
  ["parquet", "Parquet", "the rows of the CSV, for pandas, Polars and DuckDB"],
];

const INTERVALS: readonly Offer[] = [
  ["intervals.csv", "intervals as CSV", "every number of every interval in a row of its own"],
  ["intervals.parquet", "intervals as Parquet", "the rows of that CSV"],
];

/** What can be taken away, and how to get the same on a command line. */
export function downloads({ outcome, trace: { name: file } }: Shown): HTMLElement {
  const points = "points" in outcome ? outcome.points : undefined;
  const { trace } = points ? points[0]!.result : (outcome as Result);
  const offers = hasIntervalRows(points ?? (outcome as Result)) ? [...WHOLE, ...INTERVALS] : WHOLE;
  const name = fileName(file);
  const said = el("p", { role: "status" });
  return el(
    "section",
    { class: "downloads", "aria-label": "Take it away" },
    el("div", { class: "buttons" }, ...offers.map((offer) => saver(offer, name, outcome, said))),
    said,
    el("p", {}, "The same on a command line:"),
    command(commandOf(outcome.config, { ...trace, file }) ?? "", said),
  );
}

function saver(
  [kind, label, what]: Offer,
  name: string,
  outcome: Result | VaryResult,
  said: HTMLElement,
): HTMLElement {
  const button = el("button", { type: "button", title: what }, `Download ${label}`);
  button.addEventListener("click", async () => {
    button.disabled = true;
    said.textContent = "";
    try {
      save(`${name}.${kind}`, await contentOf(kind, outcome));
    } catch (error) {
      said.textContent = error instanceof Error ? error.message : String(error);
    } finally {
      button.disabled = false;
    }
  });
  return button;
}

/** Without folders and ending; of a computed trace what any system takes as a file name. */
function fileName(trace: string): string {
  return trace
    .replace(/^.*\//, "")
    .replace(/\.[^.]+$/, "")
    .replace(/[^\w. -]+/g, "-");
}

function save(name: string, content: Blob): void {
  const url = URL.createObjectURL(content);
  el("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

function command(text: string, said: HTMLElement): HTMLElement {
  const copy = el("button", { type: "button", class: "quiet" }, "Copy");
  copy.addEventListener("click", async () => {
    await navigator.clipboard.writeText(text);
    said.textContent = "The command is copied.";
  });
  /* Pages that did not come by https have no clipboard. */
  return el("div", { class: "command" }, el("code", {}, text), "clipboard" in navigator && copy);
}
