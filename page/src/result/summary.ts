import { type MachineResult, type TechniqueName, techniqueName } from "nestwalk";
import { el } from "../dom.js";
import { fixed, grouped, overhead } from "../format.js";
import { techniqueText } from "../terms.js";
import type { Shown } from "./index.js";

/** What came out, in a card for each technique, and whether it can be believed. */
export function summary({ result, request }: Shown): HTMLElement {
  const { trace, machines } = result;
  const native = machines.find(({ technique }) => technique === "native");
  const { program, guest, kernel } = trace.recorded;
  const origin = [program, [guest, kernel].filter((one) => typeof one === "string").join(", ")];
  return el(
    "section",
    { class: "summary", "aria-labelledby": "result-title" },
    el("h2", { id: "result-title" }, request.trace),
    el("p", { class: "origin" }, origin.filter((one) => typeof one === "string" && one !== "").join("; ")),
    trace.played && el("p", { class: "origin" }, trace.played.what),
    trace.truncated &&
      el(
        "p",
        { class: "warning" },
        `The file ends at byte ${grouped(trace.truncated.offset)}; its ${grouped(trace.truncated.events)} whole events were replayed.`,
      ),
    el("ul", { class: "cards" }, ...machines.map((machine) => card(machine, native))),
    verdict(result),
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

function verdict({ machines, laws, trace }: Shown["result"]): HTMLElement {
  const all = [...machines.flatMap((machine) => machine.laws), ...laws];
  const broken = all.filter((law) => !law.holds);
  const checked = machines[0]?.oracle.checked ?? 0;
  const mismatches = machines.reduce((sum, { oracle }) => sum + oracle.mismatches, 0);
  const good = broken.length === 0 && mismatches === 0;
  const lawText =
    broken.length === 0
      ? `All ${all.length} conservation laws hold.`
      : `${broken.length} of ${all.length} conservation laws are broken: ${broken.map(({ name, detail }) => `${name} (${detail})`).join("; ")}.`;
  const first = machines.find(({ oracle }) => oracle.first)?.oracle.first;
  const mapping = trace.played ? "played" : "recorded";
  const oracle = `Each machine's ${grouped(checked)} accesses were checked against the ${mapping} mapping: ${grouped(mismatches)} mismatches${first ? `, the first: ${first}` : ""}.`;
  return el("p", { class: good ? "verdict good" : "verdict bad" }, `${lawText} ${oracle}`);
}
