import type { ReferenceStep, RegisterStep, Step } from "nestwalk";
import { el } from "../dom.js";
import { stepText } from "./text.js";

/** What is to be said of the step that is shown; of an entry that is read, what it holds. */
export function details(step: Step): HTMLElement[] {
  const said = el("p", { class: "said" }, stepText(step));
  const read = step.kind === "reference" || step.kind === "softwareReference" || step.kind === "register";
  return read ? [said, entry(step)] : [said];
}

function entry(step: ReferenceStep | RegisterStep): HTMLElement {
  const { decoded, value } = step;
  const flags = decoded.bits.filter(({ set }) => set).map(({ name, meaning }) => `${name} (${meaning})`);
  const rows: [string, string | undefined][] = [
    ["value", value],
    ...(step.kind === "register" ? [] : place(step)),
    [decoded.type === "table" ? "next table" : "page", decoded.frame],
    ["flags", flags.join(", ")],
    ["memory type", decoded.memoryType],
    ["reserved bits set", decoded.reserved],
  ];
  const shown = rows.flatMap(([term, text]) => (text ? [el("dt", {}, term), el("dd", {}, text)] : []));
  return el("dl", {}, ...shown);
}

function place({ index, address, hostAddress }: ReferenceStep): [string, string | undefined][] {
  return [
    ["entry", `${index} of its table`],
    ["in the host at", hostAddress === address ? undefined : hostAddress],
  ];
}
