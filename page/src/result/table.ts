import type { Result } from "nestwalk";
import { comparisonRows } from "nestwalk/plot";
import { el } from "../dom.js";

interface Row {
  label: string;
  indent?: number;
  cells: readonly string[];
  strong?: boolean;
}

/** The table that the command line prints. */
export function comparison(result: Result): HTMLElement {
  const [head, ...rows] = comparisonRows(result);
  const none = result.machines.map(() => "");
  return table(
    "Side by side",
    head?.cells ?? [],
    rows.map(({ label, indent, cells, tone }) => ({
      label,
      indent,
      cells: cells ?? none,
      strong: tone === "head",
    })),
  );
}

let tables = 0;

/** A table under a heading; its first column has the labels. */
export function table(
  title: string,
  columns: readonly string[],
  rows: readonly Row[],
  first = "",
): HTMLElement {
  const id = `table-${++tables}`;
  const corner = first === "" ? el("td") : el("th", { scope: "col", class: "first" }, first);
  return el(
    "section",
    { "aria-labelledby": id },
    el("h2", { id }, title),
    el(
      "div",
      { class: "scroll", tabindex: 0, role: "region", "aria-labelledby": id },
      el(
        "table",
        { class: "comparison" },
        el("thead", {}, el("tr", {}, corner, ...columns.map((name) => el("th", { scope: "col" }, name)))),
        el(
          "tbody",
          {},
          ...rows.map(({ label, indent = 0, cells, strong }) =>
            el(
              "tr",
              { class: strong && "strong" },
              label === "" ? el("td") : el("th", { scope: "row", style: `--depth:${indent}` }, label),
              ...cells.map((cell) => el("td", {}, cell)),
            ),
          ),
        ),
      ),
    ),
  );
}
