import type { Explanation, ReferenceStep, Step } from "nestwalk";
import { grouped } from "../format.js";

/** A step of an explained access in a line. */
export function stepText(step: Step): string {
  switch (step.kind) {
    case "tlb": {
      const name = TLBS[step.structure] ?? step.structure;
      if (step.result === "hit") return `${name}: hit, a page of ${size(step.size)} at ${step.address}`;
      return `${name}: ${step.result === "miss" ? "miss" : "an entry that does not allow this access"}`;
    }
    case "walk":
      return step.attempt === 1
        ? "The hardware walks the tables"
        : `The hardware walks again (${step.attempt})`;
    case "psc":
      return `${step.name}: ${step.result === "hit" ? `hit, on to ${step.address}` : step.result}`;
    case "nestedTlb":
      return `Nested TLB for ${step.gpa}: ${step.result === "hit" ? `hit, at ${step.address}` : step.result}`;
    case "reference":
      return `Reads the ${step.name} at ${step.address}: ${foundIn(step)}`;
    case "softwareReference":
      return `The hypervisor reads the ${step.name} at ${step.address}`;
    case "register":
      return `${step.name} from a register of the CPU: ${step.value}`;
    case "flags":
      return `Sets ${step.set.join(" and ")} in the ${step.name} at ${step.address}`;
    case "refusal":
    case "resolution":
      return sentence(step.text);
    case "walkEnd":
      return `The walk ends after ${counted(step.references, "reference")}: ${outcomeText(step.outcome)}`;
    case "fill":
      return `${step.name} takes the entry for ${step.address}`;
    case "exit":
      return `VM exit, ${step.reason}: ${counted(step.cycles, "cycle")}`;
    case "done":
      return step.hpa === null ? "The hypervisor carries the access out" : `The access goes to ${step.hpa}`;
  }
}

const TLBS: Readonly<Record<string, string>> = {
  l1d: "First-level data TLB",
  l1i: "First-level instruction TLB",
  l2: "Second-level TLB",
  l2i: "Second-level instruction TLB",
};

const OUTCOMES: Readonly<Record<string, string>> = {
  pageFault: "page fault",
  generalProtection: "general-protection fault",
  eptViolation: "EPT violation",
  eptMisconfig: "EPT misconfiguration",
  nestedPageFault: "nested page fault",
  pmlFull: "page-modification log full",
};

export function outcomeText(outcome: string): string {
  return OUTCOMES[outcome] ?? outcome;
}

const SOURCES: Readonly<Record<string, string>> = {
  L1D: "in the L1 cache",
  L2: "in the L2 cache",
  L3: "in the L3 cache",
  memory: "in memory",
  entryCache: "in the page-walk cache",
  flat: "at the flat cost",
};

function foundIn({ source, cycles }: ReferenceStep): string {
  return `${SOURCES[source] ?? source}, ${counted(cycles, "cycle")}`;
}

const SIZES: Readonly<Record<string, string>> = {
  "4k": "4 KiB",
  "16k": "16 KiB",
  "2m": "2 MiB",
  "4m": "4 MiB",
  "1g": "1 GiB",
};

function size(name: string | undefined): string {
  return (name && SIZES[name]) ?? "unknown size";
}

function counted(n: number, what: string): string {
  return `${grouped(n)} ${what}${n === 1 ? "" : "s"}`;
}

/** What came of an explained access, and what it cost beyond a hit in the first TLB. */
export function outcomeLine({ accesses, totals }: Explanation): string {
  const { references, walks, exits, cycles } = totals;
  const parts: [number, string][] = [
    [walks, "walk"],
    [references, "reference"],
    [exits, "VM exit"],
  ];
  const counts = parts.filter(([n]) => n > 0).map(([n, what]) => counted(n, what));
  const spent = cycles.tlb + cycles.walk + cycles.exit;
  return `${sentence(accesses[0]!.outcome.text)}: ${[...counts, counted(spent, "cycle")].join(", ")}.`;
}

function sentence(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** What an explained access was: "Access 1,234: write of 0x7f… by the program". */
export function accessText({ accesses, at }: Explanation): string {
  const { kind, va, user, implicit } = accesses[0]!;
  const by = implicit ? "by the CPU itself" : user ? "by the program" : "by the guest's kernel";
  return `${at === null ? "" : `Access ${grouped(at.access)}: `}${kind} of ${va} ${by}`;
}
