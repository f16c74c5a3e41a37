import { comparisonRows, type Result } from "nestwalk";
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
          ...rows.map(({ label, depth, cells, strong }) =>
            el(
              "tr",
              { class: strong ? "strong" : undefined },
              el("th", { scope: "row", style: `--depth:${depth}` }, label),
              ...(cells ?? result.machines.map(() => "")).map((cell) => el("td", {}, cell)),
            ),
          ),
        ),
      ),
    ),
  );
}
