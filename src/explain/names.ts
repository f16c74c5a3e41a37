import { structures } from "../generated/declarations.js";
import type { Layout } from "./entries.js";
import type { RawState } from "./log.js";
import type { AccessKind, Check, OutcomeKind, Source, Tables } from "./types.js";

/** Codes of the core's log by name. */

export const TABLES: readonly Tables[] = ["guest", "host", "shadow"];
export const LOOKUPS = ["miss", "hit", "refused"] as const;
export const SOURCES: readonly Source[] = ["flat", "L1D", "L2", "L3", "memory", "entryCache"];
export const KINDS: readonly AccessKind[] = ["read", "write", "fetch"];
export const RESOLUTIONS = ["retry", "guestFault", "emulated", "left"] as const;

/** `Outcome` of assembly/x86/fault.ts. */
export const OUTCOMES: readonly (OutcomeKind | undefined)[] = [
  "translated",
  "pageFault",
  "generalProtection",
  "eptViolation",
  "eptMisconfig",
  "nestedPageFault",
  "pmlFull",
  undefined,
  undefined,
  undefined,
  "contended",
];

/** `Refusal` of assembly/x86/refusal.ts. */
export const CHECKS: readonly (Check | undefined)[] = [
  undefined,
  "canonical",
  "notPresent",
  "reserved",
  "rights",
  "memoryType",
  "user",
  "write",
  "execute",
  "read",
  "smep",
  "smap",
  "key",
  "shadowStack",
  "flags",
  "log",
];

export function structureOf(code: number): string {
  return structures.find(({ value }) => value === code)!.name;
}

const TLBS = ["l1d", "l1i", "l1s", "l2", "l2i", "nested"];

/** Whether its entries are pages, not tables. */
export function holdsPages(structure: string): boolean {
  return TLBS.includes(structure);
}

export function secondName({ second }: RawState): "EPT" | "NPT" | null {
  return second === 1 ? "EPT" : second === 2 ? "NPT" : null;
}

const LABELS: Record<string, string> = {
  l1d: "L1D TLB",
  l1i: "L1I TLB",
  l1s: "L1D TLB for stores",
  l2: "L2 TLB",
  l2i: "L2I TLB",
  pde: "PDE cache",
  pdpte: "PDPTE cache",
  pml4e: "PML4E cache",
  pml5e: "PML5E cache",
  nested: "nested TLB",
};

/** "L1D TLB"; of what serves the first stage. */
export function structureLabelOf(name: string): string {
  return LABELS[name] ?? name;
}

/** "PDE cache", "EPT PDE cache", "L1D TLB". */
export function structureLabel(name: string, state: RawState): string {
  if (LABELS[name] !== undefined) return LABELS[name];
  return `${secondName(state)} ${name.slice("host".length).toUpperCase()} cache`;
}

/** How the entries of each set of tables are laid out. */
export function layoutOf(tables: Tables, state: RawState): Layout {
  if (tables === "host")
    return {
      kind: state.second === 1 ? "EPT" : "NPT",
      levels: state.hostLevels,
      entryBytes: 8,
      noExecute: state.hostNoExecute,
      pse36: false,
      flags: state.hostFlags,
      modeBased: state.modeBased,
    };
  const common = { kind: "page tables", pse36: false, flags: true, modeBased: false } as const;
  if (tables === "shadow") return { ...common, levels: state.hardwareLevels, entryBytes: 8, noExecute: true };
  return {
    ...common,
    levels: state.guestLevels,
    entryBytes: state.entryBytes,
    noExecute: state.noExecute,
    pse36: state.pse36,
  };
}
