import { type MachineResult, type Result, type TechniqueName, techniqueName } from "nestwalk";
import { comparisonHeading, comparisonVerdicts } from "nestwalk/plot";
import { el } from "../dom.js";
import { fixed, grouped, overhead } from "../format.js";
import { techniqueText } from "../terms.js";

/** What came out, in a card for each technique, and whether it can be believed. */
export function summary(result: Result, id: string): HTMLElement {
  const { machines } = result;
  const native = machines.find(({ technique }) => technique === "native");
  const [title, ...lines] = comparisonHeading(result);
  return el(
    "section",
    { class: "summary", "aria-labelledby": id },
    el("h2", { id }, title!.text),
    ...lines.map(({ text }) => el("p", { class: "origin" }, text)),
    el("ul", { class: "cards" }, ...machines.map((machine) => card(machine, native))),
    verdicts(result),
  );
}

function card(machine: MachineResult, native: MachineResult | undefined): HTMLElement {
  const name = techniqueName(machine) as TechniqueName;
  const { counters, cycles } = machine;
  const of = (counter: string): number => counters[counter] ?? 0;
  const accesses = of("accesses") || 1;
  const more =
    native && native !== machine
      ? `${overhead(cycles.total, native.cycles.total)} against native`
      : undefined;
  const rows: [string, string][] = [
    ["walks per 1,000 accesses", fixed((1000 * of("walks")) / accesses, 3)],
    ["references per walk", of("walks") === 0 ? "–" : fixed(of("tableReferences") / of("walks"), 2)],
    ["VM exits", grouped(of("exits"))],
  ];
  return el(
    "li",
    { class: `card technique ${name}` },
    el("h3", {}, techniqueText[name].label),
    el("p", { class: "big" }, el("strong", {}, fixed(cycles.total / accesses, 3)), " cycles per access"),
    el("p", { class: "more" }, more ?? (native === machine ? "the measure of the others" : "")),
    el("dl", {}, ...rows.flatMap(([term, value]) => [el("dt", {}, term), el("dd", {}, value)])),
  );
}

function verdicts(result: Result): HTMLElement {
  return el(
    "ul",
    { class: "verdicts" },
    ...comparisonVerdicts(result).map(({ tone, text }) => el("li", { class: tone }, text.trim())),
  );
}
