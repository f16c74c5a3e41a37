import type { GridCell, GridRow, ReferenceStep, Step, WalkView } from "nestwalk";
import { el } from "../dom.js";

/** A walk as a grid: a row for each level of the guest's tables, a column for each of the second stage's. */
export class WalkGrid {
  readonly element: HTMLTableElement;
  readonly #cells = new Map<number, HTMLElement>();

  constructor(walk: WalkView, steps: readonly Step[], caption: string) {
    const columns = walk.grid[0]?.cells ?? [];
    const nested = columns.length > 1;
    const heads = columns.map(({ hostLevel }) => (hostLevel === 0 ? "guest entry" : `host L${hostLevel}`));
    this.element = el(
      "table",
      { class: nested ? "walk-grid nested" : "walk-grid" },
      el("caption", {}, caption),
      nested &&
        el("thead", {}, el("tr", {}, el("td"), ...heads.map((head) => el("th", { scope: "col" }, head)))),
      el(
        "tbody",
        {},
        ...walk.grid.map((row) =>
          el(
            "tr",
            {},
            rowHead(row, nested),
            ...row.cells.map((cell) => this.#cell(cell, row.guestLevel, steps)),
          ),
        ),
      ),
    );
  }

  /** Lights up what has been read up to a step. */
  show(step: number): void {
    for (const [at, cell] of this.#cells) {
      cell.classList.toggle("lit", at <= step);
      if (at === step) cell.setAttribute("aria-current", "step");
      else cell.removeAttribute("aria-current");
    }
  }

  #cell(cell: GridCell, guestLevel: number, steps: readonly Step[]): HTMLElement {
    if (cell.step === undefined) {
      const nothing = guestLevel === 0 && cell.hostLevel === 0;
      return el("td", { class: nothing ? "none" : "skipped" }, nothing ? "" : cell.skippedBy);
    }
    const { source, cycles } = steps[cell.step] as ReferenceStep;
    const place = source === "entryCache" ? "walk cache" : source;
    const td = el(
      "td",
      { class: `reference ${source}` },
      el("strong", {}, String(cell.order)),
      el("small", {}, `${place}, ${cycles} cycles`),
    );
    this.#cells.set(cell.step, td);
    return td;
  }
}

function rowHead({ guestLevel, name }: GridRow, nested: boolean): HTMLElement {
  if (guestLevel === 0) return el("th", { scope: "row" }, "final address");
  return el("th", { scope: "row" }, `${nested ? "guest " : ""}L${guestLevel}`, el("small", {}, name));
}
