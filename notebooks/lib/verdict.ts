import { type MachineResult, type Result, techniqueName } from "nestwalk";

const perAccess = ({ cycles, counters }: MachineResult) => cycles.total / (counters.accesses || 1);

/** Which technique is cheapest beside the bare machine, by how much, in a sentence. */
export function verdict({ machines }: Result): HTMLElement {
  const native = machines.find(({ technique }) => technique === "native");
  const [best, ...others] = machines
    .filter((machine) => machine !== native)
    .sort((a, b) => perAccess(a) - perAccess(b));
  const text = document.createElement("p");
  if (best === undefined) return text;
  const strong = document.createElement("strong");
  strong.append(`${label(best)} wins here`);
  const costs = [best, ...others, ...(native ? [native] : [])].map(
    (machine) => `${label(machine)} ${perAccess(machine).toFixed(3)}`,
  );
  text.append(strong, `. Cycles per access: ${costs.join(", ")}.`);
  return text;
}

const LABELS: Readonly<Record<string, string>> = {
  native: "the bare machine",
  shadow: "Shadow paging",
  ept: "EPT",
  npt: "NPT",
};

function label(machine: MachineResult): string {
  const name = techniqueName(machine);
  return LABELS[name] ?? name;
}
