import { techniqueNames } from "nestwalk";
import { el } from "./dom.js";
import { techniqueText, terms } from "./terms.js";

/** What stands where the results will be. */
export function showIntro(box: HTMLElement, tryIt: (guest: string) => void): void {
  const button = el("button", { type: "button", class: "primary" }, "Replay two shell pipelines");
  button.addEventListener("click", () => tryIt("pipe-pti"));
  box.replaceChildren(
    el("h2", {}, "Four ways to translate an address"),
    el(
      "p",
      {},
      "An operating system in a virtual machine has page tables, and so has the hypervisor below it. How the two are brought together decides what each memory access costs.",
    ),
    el(
      "ul",
      { class: "cards" },
      ...techniqueNames.map((name) =>
        el(
          "li",
          { class: `card technique ${name}` },
          el("h3", {}, techniqueText[name].label),
          el("p", {}, techniqueText[name].text),
        ),
      ),
    ),
    el(
      "p",
      { class: "try" },
      "Choose a trace on the form, or begin with a recorded Linux guest that runs cat, tr, sort, gzip and a program that uses its address space hard: ",
      button,
    ),
    termList(),
  );
}

export function termList(): HTMLElement {
  return el(
    "details",
    { class: "terms" },
    el("summary", {}, "The words used here"),
    el("dl", {}, ...terms.flatMap(([term, meaning]) => [el("dt", {}, term), el("dd", {}, meaning)])),
  );
}
