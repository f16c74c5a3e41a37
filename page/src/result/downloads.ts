import type { Result } from "nestwalk";
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
export function downloads({ result }: Shown): HTMLElement {
  const offers = hasIntervalRows(result) ? [...WHOLE, ...INTERVALS] : WHOLE;
  const said = el("p", { role: "status" });
  return el(
    "section",
    { class: "downloads", "aria-label": "Take it away" },
    el("div", { class: "buttons" }, ...offers.map((offer) => saver(offer, result, said))),
    said,
    el("p", {}, "The same on a command line:"),
    command(commandOf(result.config, result.trace) ?? "", said),
  );
}

function saver([kind, label, what]: Offer, result: Result, said: HTMLElement): HTMLElement {
  const button = el("button", { type: "button", title: what }, `Download ${label}`);
  const name = result.trace.file.replace(/^.*\//, "").replace(/\.[^.]+$/, "");
  button.addEventListener("click", async () => {
    button.disabled = true;
    said.textContent = "";
    try {
      save(`${name}.${kind}`, await contentOf(kind, result));
    } catch (error) {
      said.textContent = error instanceof Error ? error.message : String(error);
    } finally {
      button.disabled = false;
    }
  });
  return button;
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
