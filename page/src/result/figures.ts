import { type Figure, type FigureOptions, type Theme, withoutTitle } from "nestwalk/plot";
import { el } from "../dom.js";
import { grouped } from "../format.js";
import { breath, plotly } from "../plotly.js";

const dark = matchMedia("(prefers-color-scheme: dark)");
const RESIZE_MS = 150;

/** Figures, drawn anew when their width or the colour scheme changes. */
export class FigureList {
  readonly #make: (options: FigureOptions) => readonly Figure[];
  readonly #places = new Map<string, HTMLElement>();
  readonly #resize: ResizeObserver;
  readonly #redraw = () => void this.draw();
  #drawnWidth = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** The last drawing asked for; earlier ones stop where they are. */
  #latest = 0;
  /** Plotly draws in steps, and does not bear to be disturbed between them. */
  #drawing: Promise<unknown> = Promise.resolve();
  #closed = false;

  /** `make` gives them for the space that they have. */
  constructor(box: HTMLElement, make: (options: FigureOptions) => readonly Figure[]) {
    this.#make = make;
    for (const figure of make({})) {
      const place = el("div", { class: "plot", role: "img", "aria-label": figure.alt });
      place.style.minHeight = `${withoutTitle(figure).layout.height}px`;
      this.#places.set(figure.id, place);
      box.append(framed(figure, place));
    }
    dark.addEventListener("change", this.#redraw);
    this.#resize = new ResizeObserver(() => {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#width() !== this.#drawnWidth && this.draw(), RESIZE_MS);
    });
    this.#resize.observe(box);
  }

  /** Draws them all, one in each task, so that the page goes on answering; false where another drawing came between. */
  async draw(): Promise<boolean> {
    const mine = ++this.#latest;
    const { react } = await plotly();
    const width = this.#width();
    this.#drawnWidth = width;
    const theme: Theme = dark.matches ? "dark" : "light";
    for (const figure of this.#make({ theme, width })) {
      await breath();
      const place = this.#places.get(figure.id);
      if (this.#closed || mine !== this.#latest || place === undefined) return false;
      const { data, layout, config } = withoutTitle(figure);
      this.#drawing = this.#drawing.then(() =>
        react(place, data, layout, { ...config, displayModeBar: false }),
      );
      await this.#drawing;
      place.dataset.drawn = figure.id;
    }
    return true;
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    dark.removeEventListener("change", this.#redraw);
    this.#resize.disconnect();
    void Promise.all([plotly(), this.#drawing]).then(([{ purge }]) => {
      for (const place of this.#places.values()) purge(place);
    });
  }

  #width(): number {
    const [first] = this.#places.values();
    return Math.max(280, Math.floor(first?.clientWidth ?? 0));
  }
}

function framed(figure: Figure, place: HTMLElement): HTMLElement {
  return el(
    "figure",
    { id: `figure-${figure.id}` },
    el("figcaption", {}, el("h3", {}, figure.title)),
    place,
    numbers(figure),
  );
}

/** The figure's numbers, put there when they are asked for. */
function numbers(figure: Figure): HTMLElement {
  const details = el("details", { class: "numbers" }, el("summary", {}, "The numbers"));
  details.addEventListener("toggle", () => details.append(table(figure)), { once: true });
  return details;
}

function table({ table, title }: Figure): HTMLElement {
  const shown = (cell: string | number | null) => (typeof cell === "number" ? written(cell) : (cell ?? ""));
  return el(
    "div",
    { class: "scroll", tabindex: 0, role: "region", "aria-label": title },
    el(
      "table",
      {},
      el("thead", {}, el("tr", {}, ...table.columns.map((name) => el("th", { scope: "col" }, name)))),
      el(
        "tbody",
        {},
        ...table.rows.map((row) => el("tr", {}, ...row.map((cell) => el("td", {}, shown(cell))))),
      ),
    ),
  );
}

function written(n: number): string {
  return Number.isInteger(n) ? grouped(n) : n.toLocaleString("en-US", { maximumSignificantDigits: 5 });
}
