import type { Explanation } from "nestwalk";
import { el } from "../dom.js";
import { details } from "./details.js";
import { WalkGrid } from "./grid.js";
import { outcomeLine, stepText } from "./text.js";

const LEGEND =
  "In a square: which reference of the walk it is, where its entry was found, and its cycles; darker is farther away. Dashed squares were not read, and say why.";

/** One explained access to be gone through step by step, by buttons or by the arrow keys. */
export class Stepper {
  readonly element = el("div", { class: "stepper" });
  readonly #explanation: Explanation;
  readonly #grids: WalkGrid[];
  readonly #place = el("div", { class: "grid-place" });
  readonly #now = el("div", { class: "now", role: "status" });
  readonly #count = el("span", { class: "count" });
  readonly #items: HTMLElement[];
  readonly #list: HTMLElement;
  readonly #back: HTMLButtonElement[];
  readonly #on: HTMLButtonElement[];
  #at = 0;

  constructor(explanation: Explanation) {
    this.#explanation = explanation;
    const { steps, walks } = explanation;
    const caption = (i: number) => (walks.length > 1 ? `Walk ${i + 1} of ${walks.length}` : "The walk");
    this.#grids = walks.map((walk, i) => new WalkGrid(walk, steps, caption(i)));
    this.#back = [
      this.#button("⇤", "First step", () => 0),
      this.#button("←", "Previous step", () => this.#at - 1),
    ];
    this.#on = [
      this.#button("→", "Next step", () => this.#at + 1),
      this.#button("⇥", "Last step", () => steps.length - 1),
    ];
    this.#items = steps.map((step, i) => {
      const button = el("button", { type: "button", class: "step", tabindex: -1 }, stepText(step));
      button.addEventListener("click", () => this.show(i));
      return el("li", {}, button);
    });
    this.#list = el("ol", { class: "steps", tabindex: 0, "aria-label": "All steps" }, ...this.#items);
    this.element.append(
      el("p", { class: "outcome" }, outcomeLine(explanation)),
      el(
        "div",
        { class: "step-buttons", role: "group", "aria-label": "Steps" },
        ...this.#back,
        this.#count,
        ...this.#on,
        el("small", {}, "or the arrow keys"),
      ),
      el("div", { class: "step-view" }, this.#place, this.#now),
      el(
        "p",
        { class: "hint" },
        walks.length > 0 ? LEGEND : "The translation was in a TLB: nothing is walked.",
      ),
      this.#list,
    );
    this.element.addEventListener("keydown", (event) => this.#key(event));
    this.show(0);
  }

  /** Goes to a step, from 0. */
  show(step: number): void {
    const { steps } = this.#explanation;
    const at = Math.min(Math.max(0, step), steps.length - 1);
    const current = steps[at];
    if (current === undefined) return;
    this.#at = at;
    this.#count.textContent = `${at + 1} of ${steps.length}`;
    /* Not `disabled`: that would take the focus, and the arrow keys with it, from who has come to the end. */
    const off = (button: HTMLElement, yes: boolean) => button.setAttribute("aria-disabled", String(yes));
    for (const button of this.#back) off(button, at === 0);
    for (const button of this.#on) off(button, at === steps.length - 1);
    const grid = this.#grids[this.#walkAt(at)];
    grid?.show(at);
    if (grid && this.#place.firstChild !== grid.element) this.#place.replaceChildren(grid.element);
    this.#now.replaceChildren(...details(current));
    for (const [i, item] of this.#items.entries()) {
      item.classList.toggle("past", i < at);
      if (i === at) item.setAttribute("aria-current", "step");
      else item.removeAttribute("aria-current");
    }
    this.#list.scrollTop = this.#items[at]!.offsetTop - this.#list.clientHeight / 2;
  }

  /** The walk to show at a step: its own, or the one before it, or the first. */
  #walkAt(at: number): number {
    return this.#explanation.steps.slice(0, at + 1).findLast(({ walk }) => walk !== null)?.walk ?? 0;
  }

  #button(sign: string, label: string, to: () => number): HTMLButtonElement {
    const button = el("button", { type: "button", "aria-label": label, title: label }, sign);
    button.addEventListener("click", () => this.show(to()));
    return button;
  }

  #key(event: KeyboardEvent): void {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const end = this.#explanation.steps.length - 1;
    const keys: Record<string, number> = {
      ArrowLeft: this.#at - 1,
      ArrowRight: this.#at + 1,
      Home: 0,
      End: end,
    };
    const to = keys[event.key];
    if (to === undefined) return;
    event.preventDefault();
    this.show(to);
  }
}
