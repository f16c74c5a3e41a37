import type { TechniqueName } from "nestwalk";
import { el } from "./dom.js";
import type { Advance } from "./engine/messages.js";
import type { Progress } from "./engine/pool.js";
import type { Request } from "./request.js";
import { techniqueText } from "./terms.js";

interface Row {
  bar: HTMLProgressElement;
  figures: HTMLElement;
}

/** A bar for each technique, with its speed. */
export class ProgressView {
  readonly #box: HTMLElement;
  #rows: Row[] = [];
  #began = 0;

  constructor(box: HTMLElement) {
    this.#box = box;
  }

  start({ trace, replay: { techniques = [] } }: Request): void {
    this.#began = performance.now();
    this.#rows = techniques.map(row);
    this.#box.replaceChildren(
      el("h2", {}, `Replaying ${trace}`),
      el(
        "ul",
        { class: "bars" },
        ...techniques.map((name, i) => {
          const { bar, figures } = this.#rows[i]!;
          return el(
            "li",
            { class: `technique ${name}` },
            el("span", {}, techniqueText[name].label),
            bar,
            figures,
          );
        }),
      ),
    );
  }

  update(progress: Progress): void {
    const seconds = (performance.now() - this.#began) / 1000;
    for (const [i, { bar, figures }] of this.#rows.entries()) {
      const at = progress[i];
      if (at === undefined) continue;
      if (at.fraction !== undefined) bar.value = at.fraction;
      figures.textContent = said(at, seconds);
    }
  }
}

function row(name: TechniqueName): Row {
  const bar = el("progress", { max: 1, "aria-label": techniqueText[name].label });
  return { bar, figures: el("span", { class: "figures" }, "starting") };
}

function said({ accesses, fraction }: Advance, seconds: number): string {
  const share = fraction === undefined ? `${millions(accesses)} accesses` : `${Math.floor(100 * fraction)} %`;
  return `${share}, ${millions(accesses / seconds)} accesses/s`;
}

function millions(n: number): string {
  return n < 1e5 ? `${(n / 1e3).toFixed(0)} k` : `${(n / 1e6).toFixed(1)} M`;
}
