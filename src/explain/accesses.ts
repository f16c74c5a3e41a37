import { decodeEntry, entryName, hex, tlbEntry } from "./entries.js";
import { type RawState, type RawStep, StepCode } from "./log.js";
import { CHECKS, KINDS, layoutOf, OUTCOMES, structureOf, TABLES } from "./names.js";
import { nestedFaultInfo, pageFaultCode, violationQualification, withBits } from "./refusals.js";
import type {
  AccessView,
  Check,
  FillStep,
  NestedTlbStep,
  Outcome,
  PageSizeName,
  ReferenceStep,
  RefusalStep,
  ShadowEntry,
  ShadowRow,
  Step,
  Translation,
} from "./types.js";

const EVERYWHERE = 0xffff_ffff_ffff_ffffn;

/** A part of the log: one access to one page, what was read beside it, and its steps. */
interface Part {
  raw: RawStep[];
  steps: Step[];
  tables: RawStep[];
}

/** The accesses of a log. Each begins with a look into a first-level TLB, or with a refusal of its address. */
export function accessesOf(log: readonly RawStep[], steps: readonly Step[], state: RawState): AccessView[] {
  return partsOf(log, steps).map((part) => viewOf(part, state));
}

const FIRST_LEVEL: readonly (string | undefined)[] = ["l1d", "l1i", "l1s"];

function beginsAccess({ code, detail, came }: RawStep): boolean {
  if (code === StepCode.tlb) return FIRST_LEVEL.includes(structureOf(detail));
  return code === StepCode.refusal && CHECKS[came] === "canonical";
}

function partsOf(log: readonly RawStep[], steps: readonly Step[]): Part[] {
  const parts: Part[] = [];
  let beside: RawStep[] = [];
  let number = 0;
  for (const raw of log) {
    if (!raw.ofAccess) {
      beside.push(raw);
      continue;
    }
    if (raw.code === StepCode.shadowPage) continue;
    if (beginsAccess(raw)) {
      parts.push({ raw: [], steps: [], tables: beside });
      beside = [];
    }
    const step = steps[number++]!;
    parts.at(-1)?.raw.push(raw);
    parts.at(-1)?.steps.push(step);
  }
  return parts;
}

const [READ_MODE, IMPLICIT, SHADOW_STACK, SHADOW_STACK_USER] = [2, 3, 4, 5];

function viewOf(part: Part, state: RawState): AccessView {
  const first = part.raw[0]!;
  const mode = Number(first.further >> 2n);
  const outcome = outcomeOf(part, state);
  const translation = translationOf(part, state);
  return {
    va: hex(first.address),
    kind: KINDS[Number(first.further & 3n)]!,
    user: mode === 0 || mode === SHADOW_STACK_USER,
    ac: mode === READ_MODE,
    implicit: mode === IMPLICIT,
    shadowStack: mode >= SHADOW_STACK!,
    firstStep: part.steps[0]!.step,
    lastStep: part.steps.at(-1)!.step,
    outcome,
    ...(translation === undefined ? {} : { translation }),
    ...(state.technique === 2 ? { shadow: shadowRows(part.tables, state) } : {}),
  };
}

function outcomeOf({ raw, steps, tables }: Part, state: RawState): Outcome {
  const done = raw.findLast(({ code }) => code === StepCode.done);
  if (done !== undefined) {
    if (done.came === 1) return { kind: "emulated", text: "carried out by the hypervisor" };
    return { kind: "translated", text: "translated" };
  }
  const end = raw.findLast(({ code }) => code === StepCode.walkEnd) ?? raw[0]!;
  const kind = end.code === StepCode.walkEnd ? OUTCOMES[end.came]! : "generalProtection";
  const resolution = raw.findLast(({ code }) => code === StepCode.resolution);
  const refusal = steps.findLast((step): step is RefusalStep => step.kind === "refusal");
  const why = refusal === undefined ? "" : `: ${refusal.text}`;
  const checked = refusal === undefined ? {} : { check: refusal.check, entry: refusal.entry };
  const address = hex(end.address);
  switch (kind) {
    case "pageFault": {
      const taken = resolution?.came === 1 ? resolution : end;
      const errorCode = pageFaultCode(taken.value);
      const exits = state.technique === 2 && resolution?.came !== 1;
      const whose = exits ? `, which exits: ${guestSays(tables)}` : "";
      return {
        kind,
        text: `page fault, error code ${withBits(errorCode.value, errorCode)}${why}${whose}`,
        ...checked,
        errorCode,
        gva: hex(taken.address),
      };
    }
    case "generalProtection":
      return { kind, text: `general-protection fault${why}`, ...checked };
    case "eptViolation": {
      const qualification = violationQualification(end.value);
      const text = `EPT violation, qualification ${withBits(qualification.value, qualification)}${why}`;
      return { kind, text, ...checked, qualification, gva: address, gpa: hex(end.further) };
    }
    case "nestedPageFault": {
      const qualification = nestedFaultInfo(end.value);
      const text = `nested page fault, EXITINFO1 ${withBits(qualification.value, qualification)}${why}`;
      return { kind, text, ...checked, qualification, gva: address, gpa: hex(end.further) };
    }
    case "eptMisconfig":
      return { kind, text: `EPT misconfiguration${why}`, ...checked, gpa: hex(end.further) };
    case "pmlFull":
      return { kind, text: "the page-modification log is full", ...checked };
    default:
      return { kind, text: "the host changed an entry again and again while it was walked" };
  }
}

/** What the guest's own tables say of an access that the shadow tables refuse. */
function guestSays(tables: readonly RawStep[]): string {
  const refusal = tables.find((raw) => raw.code === StepCode.refusal && TABLES[raw.tables] === "guest");
  if (refusal === undefined) return "the guest's own tables allow it";
  return `the guest's own tables refuse it too (${WORDS[CHECKS[refusal.came]!]})`;
}

const WORDS: Record<Check, string> = {
  canonical: "not canonical",
  notPresent: "not present",
  reserved: "a reserved bit",
  rights: "misconfigured",
  memoryType: "memory type",
  user: "supervisor page",
  write: "read-only",
  execute: "not executable",
  read: "not readable",
  smep: "SMEP",
  smap: "SMAP",
  key: "protection key",
  shadowStack: "shadow stack",
  flags: "read-only table",
  log: "log full",
};

function translationOf({ raw, steps }: Part, state: RawState): Translation | undefined {
  const done = raw.findLast(({ code }) => code === StepCode.done);
  if (done === undefined) return undefined;
  const entry = tlbEntry(done.value);
  const filled = steps.findLast(
    (step): step is FillStep => step.kind === "fill" && ["l1d", "l1i", "l1s"].includes(step.structure),
  );
  const emulated = done.came === 1;
  const effectiveSize = emulated ? "4k" : (filled?.size ?? entry.size);
  return {
    gva: hex(done.address),
    gpa: done.further === EVERYWHERE ? null : hex(done.further),
    hpa: emulated ? null : hex(done.hostAddress),
    guestSize: emulated ? "4k" : entry.stage1Size,
    hostSize: state.hostLevels === 0 || emulated ? null : hostSizeOf(steps, entry),
    effectiveSize,
    rights: { write: entry.write, user: entry.user, execute: entry.execute },
    dirty: entry.dirty,
    global: entry.global,
    key: entry.key,
  };
}

/** Page of the second stage: its leaf as read, the nested TLB's, or what a smaller TLB entry shows. */
function hostSizeOf(
  steps: readonly Step[],
  entry: { size: PageSizeName; stage1Size: PageSizeName },
): PageSizeName | null {
  const leaf = steps.findLast(
    (step): step is ReferenceStep =>
      step.kind === "reference" &&
      step.tables === "host" &&
      step.guestLevel === 0 &&
      step.decoded.type === "leaf",
  );
  if (leaf?.decoded.size !== undefined) return leaf.decoded.size;
  const nested = steps.findLast(
    (step): step is NestedTlbStep =>
      step.kind === "nestedTlb" && step.guestLevel === 0 && step.result === "hit",
  );
  if (nested?.size !== undefined) return nested.size;
  return entry.size === entry.stage1Size ? null : entry.size;
}

function shadowRows(tables: readonly RawStep[], state: RawState): ShadowRow[] {
  const read = (whose: "guest" | "shadow", level: number): ShadowEntry | null => {
    const raw = tables.findLast(
      (r) => r.code === StepCode.software && TABLES[r.tables] === whose && r.guestLevel === level,
    );
    if (raw === undefined) return null;
    const decoded = decodeEntry(raw.value, level, layoutOf(whose, state), raw.further);
    return {
      address: hex(whose === "guest" ? raw.address : raw.hostAddress),
      value: hex(raw.value),
      decoded,
    };
  };
  const levels = Math.max(state.guestLevels, state.hardwareLevels);
  return Array.from({ length: levels }, (_, i): ShadowRow => {
    const level = levels - i;
    const page = tables.findLast((r) => r.code === StepCode.shadowPage && r.guestLevel === level);
    const its =
      page === undefined ? null : page.came & 2 ? "direct" : page.came & 1 ? "out of sync" : "in sync";
    return {
      level,
      name: entryName("guest", level, null),
      guest: read("guest", level),
      shadow: read("shadow", level),
      page: its,
      childrenOutOfSync: ((page?.came ?? 0) & 4) !== 0,
    };
  }).filter(({ guest, shadow }) => guest !== null || shadow !== null);
}
