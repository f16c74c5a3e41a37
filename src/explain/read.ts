import { accessesOf } from "./accesses.js";
import { hex } from "./entries.js";
import { type ExplainExports, type RawState, readLog, readState } from "./log.js";
import { stepsOf } from "./steps.js";
import { EXPLANATION_SCHEMA, type Explanation, type State, type Step, type Totals } from "./types.js";
import { walksOf } from "./walks.js";

/** What the core has kept since `explainBegin` or of the last `explainProbe`. */
export function readExplanation(
  core: ExplainExports,
  what: Explanation["what"],
  at: Explanation["at"] = null,
  cold = false,
): Explanation {
  const raw = readState(core);
  const log = readLog(core);
  const steps = stepsOf(log, raw);
  return {
    schema: EXPLANATION_SCHEMA,
    what,
    ...(cold ? { cold } : {}),
    at,
    state: stateOf(raw),
    accesses: accessesOf(log, steps, raw),
    steps,
    walks: walksOf(steps, raw),
    totals: totalsOf(steps),
  };
}

/** Bits of an access (assembly/x86/access.ts). */
export interface ProbedAccess {
  kind?: "read" | "write" | "fetch";
  user?: boolean;
  implicit?: boolean;
  shadowStack?: boolean;
}

export function accessBitsOf({ kind = "read", user, implicit, shadowStack }: ProbedAccess): number {
  return (
    ["read", "write", "fetch"].indexOf(kind) | (user ? 4 : 0) | (implicit ? 8 : 0) | (shadowStack ? 16 : 0)
  );
}

/** What an access to `va` would do now, up to the fault or exit that it may end in; the machine stays as it is. */
export function probe(
  core: ExplainExports,
  va: bigint,
  access: ProbedAccess = {},
  { cold = false, at = null as Explanation["at"] } = {},
): Explanation {
  const low = Number(va & 0xffff_ffffn);
  const high = Number((va >> 32n) & 0xffff_ffffn);
  core.explainProbe(low, high, accessBitsOf(access), cold);
  return readExplanation(core, "probe", at, cold);
}

const TECHNIQUES = ["native", "nested", "shadow"] as const;
const PAGING = ["off", "off", "32-bit", "PAE", "4-level", "5-level"] as const;

function stateOf(raw: RawState): State {
  return {
    technique: TECHNIQUES[raw.technique]!,
    format: raw.second === 1 ? "ept" : raw.second === 2 ? "npt" : null,
    paging: PAGING[raw.guestLevels]!,
    guestLevels: raw.guestLevels,
    hostLevels: raw.hostLevels,
    cr0: hex(raw.cr0),
    cr3: hex(raw.cr3),
    cr4: hex(raw.cr4),
    efer: hex(raw.efer),
    pkru: hex(raw.pkru),
    pkrs: hex(raw.pkrs),
    ac: raw.ac,
    cpl: raw.cpl,
    vpid: raw.vpid,
    pcid: raw.pcid,
    secondRoot: raw.second === 0 ? null : hex(raw.hostRoot),
    shadowRoot: raw.technique === 2 ? hex(raw.hardwareRoot) : null,
  };
}

function totalsOf(steps: readonly Step[]): Totals {
  const of = (kind: Step["kind"]) => steps.filter((step) => step.kind === kind);
  const cycles = (kind: Step["kind"]) => of(kind).reduce((sum, step) => sum + step.cycles, 0);
  return {
    references: of("reference").length,
    walks: of("walk").length,
    exits: of("exit").length,
    cycles: { tlb: cycles("tlb"), walk: cycles("walkEnd"), exit: cycles("exit"), data: cycles("done") },
  };
}
