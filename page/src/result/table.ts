import type { Result } from "nestwalk";
import { comparisonRows } from "nestwalk/plot";
import { el } from "../dom.js";

/** The table that the command line prints. */
export function comparison(result: Result): HTMLElement {
  const [head, ...rows] = comparisonRows(result);
  return el(
    "section",
    { "aria-labelledby": "table-title" },
    el("h2", { id: "table-title" }, "Side by side"),
    el(
      "div",
      { class: "scroll", tabindex: 0, role: "region", "aria-labelledby": "table-title" },
      el(
        "table",
        { class: "comparison" },
        el(
          "thead",
          {},
          el("tr", {}, el("td"), ...(head?.cells ?? []).map((cell) => el("th", { scope: "col" }, cell))),
        ),
        el(
          "tbody",
          {},
          ...rows.map(({ label, indent, cells, tone }) =>
            el(
              "tr",
              { class: tone === "head" ? "strong" : undefined },
              el("th", { scope: "row", style: `--depth:${indent}` }, label),
              ...(cells ?? result.machines.map(() => "")).map((cell) => el("td", {}, cell)),
            ),
          ),
        ),
      ),
    ),
  );
}
