import { findPreset, isSynthName, presets, valuesOf } from "nestwalk";
import { byId, el } from "../dom.js";
import { grouped } from "../format.js";
import { field, form, linesOf, textOf } from "./fields.js";

/** Keys that have a field of their own, which is out of use while they are varied. */
const FIELDS: Readonly<Record<string, string>> = {
  cpu: '[name="cpu"]',
  "host.page": '[name="hostPage"]',
  "kernel.pages": '[name="guestPages"]',
};

/** What the trace lets vary beside the machine. */
export interface Varies {
  /** No page tables of its own: the guest's pages are open. */
  played: boolean;
  trace: string;
}

let varies: Varies = { played: false, trace: "" };

export function startVary(): void {
  const common = field<HTMLSelectElement>("common");
  common.addEventListener("change", () => {
    if (common.value !== "") add(common.value);
    common.value = "";
  });
  field("vary").addEventListener("input", followVaried);
  field("cpu").addEventListener("change", offer);
  offer();
}

/** Keeps to the trace that is chosen. */
export function varyTrace(trace: Varies): void {
  varies = trace;
  offer();
  followVaried();
}

/** Keys that are varied. */
export function variedKeys(): string[] {
  return linesOf("vary").map((line) => line.split("=")[0]!.trim());
}

/** Puts a line into the field, in place of one for the same key. */
function add(line: string): void {
  const key = line.split("=")[0];
  const others = linesOf("vary").filter((other) => other.split("=")[0] !== key);
  field("vary").value = [...others, line].join("\n");
  followVaried();
}

function followVaried(): void {
  const keys = variedKeys();
  for (const [key, selector] of Object.entries(FIELDS)) {
    const closed = keys.includes(key) || (key === "kernel.pages" && !varies.played);
    for (const input of form.querySelectorAll<HTMLInputElement>(selector)) input.disabled = closed;
  }
  const settings = linesOf("vary").reduce((product, line) => product * valuesIn(line), 1);
  byId("vary-hint").textContent =
    settings > 1 ? `Every combination is replayed: ${grouped(settings)}.` : "Every combination is replayed.";
}

/** How many values a line gives, those within brackets as one. */
function valuesIn(line: string): number {
  return line.replace(/[[{].*?[\]}]/g, "").split(",").length;
}

/** Sizes around those of the CPU that is chosen, and what else changes results most. */
function offer(): void {
  const cpu = findPreset(textOf("cpu"));
  const values = valuesOf(cpu) as unknown as {
    tlb: { l2: { entries: number }[] };
    psc: { pde: { place: string; entries: number } };
  };
  const around = (n: number) => [n / 4, n / 2, n, n * 2].filter(Number.isInteger).join(",");
  const l2 = values.tlb.l2[0]?.entries;
  const { pde } = values.psc;
  const offers: [label: string, line: string | false][] = [
    ["entries of the second-level TLB", l2 !== undefined && `tlb.l2.0.entries=${around(l2)}`],
    [
      "entries of the PDE cache",
      pde.place !== "none" && pde.entries > 0 && `psc.pde.entries=${around(pde.entries)}`,
    ],
    ["host pages", "host.page=4k,2m,1g"],
    ["guest pages", varies.played && "kernel.pages=4k,2m,thp"],
    ["cost of an exit", "exits.hardwareCycles=500,1000,2000,4000"],
    ["accesses in flight", "clock.window=1,16,64,256"],
    ["CPU", `cpu=${presets.map(({ name }) => name).join(",")}`],
    ["rate of table updates", isSynthName(varies.trace) && "trace.rate=0,1000,5000,20000"],
  ];
  const [none] = field<HTMLSelectElement>("common").options;
  field<HTMLSelectElement>("common").replaceChildren(
    none!,
    ...offers.flatMap(([label, line]) => (line === false ? [] : [el("option", { value: line }, label)])),
  );
}
