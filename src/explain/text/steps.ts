import { columns } from "../../report/columns.js";
import { counted, grouped } from "../../report/numbers.js";
import type { Paint } from "../../report/style.js";
import { wrapped } from "../../report/text.js";
import { structureLabelOf } from "../names.js";
import type { PscStep, ReferenceStep, Source, Step, TlbStep, WalkEndStep, WalkView } from "../types.js";

/** The steps of one access: lookups, then each walk with its references, then what came of it. */
export function stepLines(
  steps: readonly Step[],
  paint: Paint,
  width: number,
  grid: (walk: WalkView) => string[],
  walks: readonly WalkView[],
): string[] {
  const lines: string[] = [];
  const say = (text: string, tone?: "dim" | "bad") => {
    for (const line of wrapped(text, width, 4)) lines.push(tone ? paint(tone, line) : line);
  };
  const lookups = steps.filter((step): step is TlbStep => step.kind === "tlb");
  for (const step of lookups) say(tlbText(step));
  for (let at = 0; at < steps.length; ++at) {
    const step = steps[at]!;
    if (step.kind === "walk") {
      const end = steps.findIndex((other, i) => i > at && other.kind === "walkEnd");
      const its = steps.slice(at + 1, end);
      const walk = walks[step.walk!]!;
      lines.push(paint("head", walkTitle(walk, its, steps[end] as WalkEndStep)));
      lines.push(...grid(walk), ...referenceLines(its, paint, width));
      at = end;
    } else if (step.kind === "softwareReference") {
      const run = steps.slice(at).findIndex(({ kind }) => kind !== "softwareReference");
      const its = steps.slice(at, run < 0 ? steps.length : at + run) as ReferenceStep[];
      say(
        `the hypervisor reads ${its.map(({ name, value, decoded }) => `${name} ${value} (${decoded.text})`).join(", ")}`,
        "dim",
      );
      at += its.length - 1;
    } else if (step.kind === "exit") {
      say(stepText(step), "bad");
    } else if (step.kind === "resolution") {
      say(stepText(step));
    } else if (step.kind === "refusal") {
      say(stepText(step), "bad");
    } else if (step.kind === "flags") {
      say(stepText(step), "dim");
    }
  }
  const fills = steps.filter(
    (step) => step.kind === "fill" && ["l1d", "l1i", "l1s", "l2", "l2i"].includes(step.structure),
  );
  if (fills.length > 0)
    say(
      `filled: ${fills.map((fill) => (fill.kind === "fill" ? `${fill.name} (${fill.size})` : "")).join(", ")}`,
      "dim",
    );
  return lines;
}

function tlbText({ structure, result, size, rights, cycles }: TlbStep): string {
  const name = structureLabelOf(structure);
  const cost = cycles > 0 ? `, ${counted(cycles, "cycle")}` : "";
  const entry = size === undefined ? "" : ` (${size} page, ${rights})`;
  if (result === "refused") return `${name}: an entry${entry} that does not allow the access${cost}`;
  return `${name}: ${result}${entry}${cost}`;
}

function walkTitle({ attempt }: WalkView, steps: readonly Step[], end: WalkEndStep): string {
  const own =
    end.cycles - steps.reduce((sum, step) => sum + (step.kind === "reference" ? step.cycles : 0), 0);
  const walker = own > 0 ? `, ${grouped(own)} of them the walker's own` : "";
  return `walk${attempt > 1 ? ` ${attempt}` : ""}: ${counted(end.references, "reference")}, ${counted(end.cycles, "cycle")}${walker}`;
}

const FOUND: Record<Source, string> = {
  L1D: "L1D",
  L2: "L2",
  L3: "L3",
  memory: "memory",
  entryCache: "page-walk cache",
  flat: "",
};

/** References in columns, and what happened between them in between. */
function referenceLines(steps: readonly Step[], paint: Paint, width: number): string[] {
  const references = steps.filter((step): step is ReferenceStep => step.kind === "reference");
  const rows = columns(
    references.map((r) => [
      String(r.order),
      referenceName(r),
      `[${r.index}]`,
      `at ${r.hostAddress}`,
      r.value,
      r.decoded.text,
      FOUND[r.source],
      String(r.cycles),
    ]),
    [true, false, true, false, false, false, false, true],
  );
  const lines: string[] = [];
  let row = 0;
  for (const [i, step] of steps.entries()) {
    if (step.kind === "reference") lines.push(`  ${rows[row++]}`);
    else if (missed(step) && missed(steps[i + 1])) continue;
    else if (missed(step)) lines.push(paint("dim", `     ${missesBefore(steps, i)}: miss`));
    else {
      const said = between(step);
      if (said === undefined) continue;
      const tone = step.kind === "refusal" ? "bad" : "dim";
      lines.push(...wrapped(`     ${said}`, width, 7).map((line) => paint(tone, line)));
    }
  }
  return lines;
}

function missed(step: Step | undefined): step is PscStep {
  return step?.kind === "psc" && step.result === "miss";
}

/** The paging-structure caches that have missed one after the other, up to step `at`. */
function missesBefore(steps: readonly Step[], at: number): string {
  const first = steps.findLastIndex((step, i) => i <= at && !missed(step)) + 1;
  return steps
    .slice(first, at + 1)
    .filter(missed)
    .map(({ name }) => name)
    .join(", ");
}

const GUEST = ["", "PTE", "PDE", "PDPTE", "PML4E", "PML5E"];

/** What stands between the references of a walk; undefined for what is told elsewhere. */
function between(step: Step): string | undefined {
  return ["psc", "nestedTlb", "register", "flags", "refusal"].includes(step.kind)
    ? stepText(step)
    : undefined;
}

/** A step in a line. */
export function stepText(step: Step): string {
  switch (step.kind) {
    case "tlb":
      return tlbText(step);
    case "walk":
      return step.attempt > 1 ? `walk ${step.attempt} begins` : "a walk begins";
    case "psc":
      return `${step.name}: ${step.result}${step.result === "hit" ? `, goes on at ${step.address}` : ""}`;
    case "nestedTlb":
      return `nested TLB for ${step.gpa}: ${step.result === "hit" ? `hit, ${step.size} page at ${step.address}` : step.result}`;
    case "reference":
      return `${step.order}: ${referenceName(step)} [${step.index}] at ${step.hostAddress}: ${step.value} (${step.decoded.text})${FOUND[step.source] && `, found in ${FOUND[step.source]}`}, ${counted(step.cycles, "cycle")}`;
    case "softwareReference":
      return `the hypervisor reads ${step.name} ${step.value} (${step.decoded.text})`;
    case "register":
      return `${step.name} is a register: ${step.value}`;
    case "flags":
      return `sets ${step.set.join(" and ")} in ${step.name}`;
    case "refusal":
      return `refused: ${step.text}`;
    case "walkEnd":
      return `the walk ends: ${counted(step.references, "reference")}, ${counted(step.cycles, "cycle")}`;
    case "fill":
      return `${step.name} takes ${step.size === undefined ? "the table" : `the ${step.size} page`} of ${step.address}`;
    case "exit":
      return `exit ${step.reason}: ${counted(step.cycles, "cycle")}`;
    case "resolution":
      return step.text;
    case "done":
      return step.hpa === null ? "the hypervisor made the access" : `translated to ${step.hpa}`;
  }
}

function referenceName({ tables, name, guestLevel }: ReferenceStep): string {
  return tables === "host" ? `${name} of ${guestLevel === 0 ? "the page" : GUEST[guestLevel]}` : name;
}
