import { exitReasons } from "../generated/declarations.js";
import { decodeEntry, entryName, hex, tlbEntry } from "./entries.js";
import { type RawState, type RawStep, StepCode } from "./log.js";
import {
  CHECKS,
  holdsPages,
  LOOKUPS,
  layoutOf,
  OUTCOMES,
  RESOLUTIONS,
  SOURCES,
  secondName,
  structureLabel,
  structureOf,
  TABLES,
} from "./names.js";
import { refusalText } from "./refusals.js";
import type { Check, ReferenceStep, Step } from "./types.js";

const FRAME = 0x000f_ffff_ffff_f000n;
const LARGE = 0x80n;
const EVERYWHERE = 0xffff_ffff_ffff_ffffn;

/** The core's log as steps. What it read beside the access is left out. */
export function stepsOf(log: readonly RawStep[], state: RawState): Step[] {
  const reader = new Reader(state);
  for (const [i, raw] of log.entries()) if (raw.ofAccess) reader.add(raw, log[i + 1]);
  return reader.steps;
}

class Reader {
  readonly steps: Step[] = [];
  readonly #state: RawState;
  /** The walk under way, and those begun. */
  #walk: number | null = null;
  #walks = 0;
  #order = 0;
  /** Outcome of the last walk. */
  #ended = 0;

  constructor(state: RawState) {
    this.#state = state;
  }

  add(raw: RawStep, next: RawStep | undefined): void {
    if (raw.code === StepCode.walk) {
      this.#walk = this.#walks++;
      this.#order = 0;
    }
    const step = this.#read(raw, next);
    if (step !== undefined) this.steps.push(step);
    if (raw.code === StepCode.walkEnd) this.#walk = null;
  }

  #read(raw: RawStep, next: RawStep | undefined): Step | undefined {
    const base = { step: this.steps.length, walk: this.#walk, cycles: raw.cycles };
    const tables = TABLES[raw.tables]!;
    const { guestLevel, hostLevel } = raw;
    const structure = structureOf(raw.detail);
    const name = structureLabel(structure, this.#state);
    switch (raw.code) {
      case StepCode.tlb: {
        const result = LOOKUPS[raw.came]!;
        if (result === "miss") return { ...base, kind: "tlb", structure, result };
        const { address, size, rights } = tlbEntry(raw.value);
        return { ...base, kind: "tlb", structure, result, address: hex(address), size, rights };
      }
      case StepCode.walk:
        return { ...base, kind: "walk", attempt: raw.detail + 1 };
      case StepCode.psc: {
        /* A clean leaf does not serve a write: the lookup goes on above it. */
        const passed = raw.came === 1 && (raw.value & LARGE) !== 0n && next?.code === StepCode.psc;
        const result = passed ? "refused" : LOOKUPS[raw.came]!;
        const found = raw.came === 1 ? { address: hex(raw.value & FRAME) } : {};
        return { ...base, kind: "psc", structure, name, tables, guestLevel, hostLevel, result, ...found };
      }
      case StepCode.nestedTlb: {
        const result = LOOKUPS[raw.came]!;
        const { address, size } = tlbEntry(raw.value);
        const found = result === "miss" ? {} : { address: hex(address), size };
        return { ...base, kind: "nestedTlb", guestLevel, gpa: hex(raw.address), result, ...found };
      }
      case StepCode.pdpte:
        return {
          ...base,
          kind: "register",
          tables,
          name: entryName(tables, 3, null),
          value: hex(raw.value),
          decoded: decodeEntry(raw.value, 3, layoutOf(tables, this.#state), 0n),
        };
      case StepCode.reference:
        return { ...base, kind: "reference", order: ++this.#order, ...this.#entry(raw) };
      case StepCode.software:
        return { ...base, kind: "softwareReference", order: ++this.#order, ...this.#entry(raw) };
      case StepCode.flags:
        return {
          ...base,
          kind: "flags",
          tables,
          guestLevel,
          hostLevel,
          name: this.#name(raw),
          address: hex(raw.hostAddress),
          set: this.#flags(raw),
          value: hex(raw.value),
        };
      case StepCode.refusal:
        return { ...base, kind: "refusal", ...this.#refusal(raw) };
      case StepCode.walkEnd: {
        const references = this.#order;
        this.#ended = raw.came;
        this.#order = 0;
        return { ...base, kind: "walkEnd", outcome: OUTCOMES[raw.came]!, references };
      }
      case StepCode.fill: {
        const size = holdsPages(structure) ? { size: tlbEntry(raw.value).size } : {};
        return { ...base, kind: "fill", structure, name, address: hex(raw.address), ...size };
      }
      case StepCode.exit:
        return { ...base, kind: "exit", reason: exitReasons.find(({ value }) => value === raw.detail)!.name };
      case StepCode.resolution: {
        const own = this.#state.technique !== 2 && GUEST_FAULTS.includes(this.#ended);
        const result = own ? "guestFault" : RESOLUTIONS[raw.came]!;
        return { ...base, kind: "resolution", result, text: RESOLVED[result] };
      }
      case StepCode.done:
        return {
          ...base,
          kind: "done",
          hpa: raw.hostAddress === EVERYWHERE ? null : hex(raw.hostAddress),
        };
      default:
        return undefined;
    }
  }

  #level({ guestLevel, hostLevel, tables }: RawStep): number {
    return TABLES[tables] === "host" ? hostLevel : guestLevel;
  }

  #name(raw: RawStep): string {
    return entryName(TABLES[raw.tables]!, this.#level(raw), secondName(this.#state));
  }

  #entry(raw: RawStep) {
    const tables = TABLES[raw.tables]!;
    const level = this.#level(raw);
    const layout = layoutOf(tables, this.#state);
    return {
      stage: tables === "host" ? (2 as const) : (1 as const),
      tables,
      guestLevel: raw.guestLevel,
      hostLevel: raw.hostLevel,
      name: this.#name(raw),
      index: Number(raw.address & 0xfffn) / layout.entryBytes,
      address: hex(raw.address),
      hostAddress: hex(raw.hostAddress),
      value: hex(raw.value),
      decoded: decodeEntry(raw.value, level, layout, raw.further),
      source: SOURCES[raw.came]!,
    };
  }

  #flags({ tables, further }: RawStep): ("A" | "D")[] {
    const ept = TABLES[tables] === "host" && this.#state.second === 1;
    const [accessed, dirty] = ept ? [0x100n, 0x200n] : [0x20n, 0x40n];
    return [...(further & accessed ? ["A" as const] : []), ...(further & dirty ? ["D" as const] : [])];
  }

  #refusal(raw: RawStep) {
    const tables = TABLES[raw.tables]!;
    const { guestLevel, hostLevel } = raw;
    const check = CHECKS[raw.came] as Check;
    const entries = this.steps.filter(
      (step): step is ReferenceStep =>
        (step.kind === "reference" || step.kind === "softwareReference") && step.tables === tables,
    );
    const entry = entries.findLast((s) => s.guestLevel === guestLevel && s.hostLevel === hostLevel);
    if (entry && (check === "rights" || check === "memoryType")) entry.decoded.type = "misconfigured";
    const inRow = entries.filter(
      (s) => s.walk === entry?.walk && (tables !== "host" || s.guestLevel === guestLevel),
    );
    const found = check === "canonical" ? undefined : entry;
    return {
      check,
      tables,
      guestLevel,
      hostLevel,
      entry: found?.step ?? null,
      text: refusalText(check, found, inRow, this.#state, this.#name(raw)),
    };
  }
}

/** A page fault or a general-protection fault: without shadow paging no hypervisor has a part in it. */
const GUEST_FAULTS = [1, 2];

const RESOLVED = {
  retry: "the hypervisor repaired it: the access is made again",
  guestFault: "the guest takes the fault",
  emulated: "the hypervisor carried the access out",
  left: "it is left to the hypervisor",
} as const;
