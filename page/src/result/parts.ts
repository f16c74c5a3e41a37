import type { Result } from "nestwalk";
import { type Figure, type FigureOptions, resultFigures } from "nestwalk/plot";
import { el } from "../dom.js";
import { breath } from "../plotly.js";
import { type Replayed, walks } from "../walks/index.js";
import { FigureList } from "./figures.js";
import { summary } from "./summary.js";
import { comparison } from "./table.js";

/** What is shown of results in a box of the page, put there a part in each task. */
export class Parts {
  readonly #figures: FigureList[] = [];
  readonly #inner: Parts[] = [];
  #closed = false;

  constructor(
    readonly box: HTMLElement,
    readonly read: Omit<Replayed, "result">,
    /** Id of the heading. */
    readonly title = "result-title",
  ) {}

  /** Nothing more comes, and figures are drawn no more. */
  close(): void {
    this.#closed = true;
    for (const part of [...this.#figures, ...this.#inner]) part.close();
  }

  /** Parts in a box of their own, closed with these. */
  within(box: HTMLElement): Parts {
    const inner = new Parts(box, this.read, "setting-title");
    this.#inner.push(inner);
    return inner;
  }

  /** Adds what each function gives, in a task of its own; false once they are closed. */
  async add(...parts: (() => HTMLElement)[]): Promise<boolean> {
    for (const part of parts) {
      if (this.#closed) return false;
      this.box.append(part());
      await breath();
    }
    return !this.#closed;
  }

  /** A place for figures, and what draws them. */
  figures(
    make: (options: FigureOptions) => readonly Figure[],
  ): [place: () => HTMLElement, draw: () => Promise<boolean>] {
    const place = el("section", { class: "figures", "aria-label": "Figures" });
    let list: FigureList | undefined;
    return [
      () => {
        list = new FigureList(place, make);
        this.#figures.push(list);
        return place;
      },
      () => list!.draw(),
    ];
  }

  /** A result: what came out, figures, table, walks; `below` stands under the summary. */
  async result(result: Result, below?: () => HTMLElement): Promise<boolean> {
    const [place, draw] = this.figures((options) => resultFigures(result, options));
    /* Of a computed trace the options may be varied. */
    const trace = { ...this.read.trace, name: result.trace.file };
    const parts = [place, () => comparison(result), () => walks({ ...this.read, trace, result })];
    const first = [() => summary(result, this.title), ...(below ? [below] : [])];
    return (await this.add(...first, ...parts)) && draw();
  }
}
