import { entryName } from "./entries.js";
import type { RawState } from "./log.js";
import { secondName, structureLabel } from "./names.js";
import type {
  GridCell,
  GridRow,
  NestedTlbStep,
  PscStep,
  ReferenceStep,
  RegisterStep,
  Step,
  WalkEndStep,
  WalkStep,
  WalkView,
} from "./types.js";

/** The hardware's walks among the steps, each with its grid: what was read in which order, and why the rest was not. */
export function walksOf(steps: readonly Step[], state: RawState): WalkView[] {
  const begins = steps.filter((step): step is WalkStep => step.kind === "walk");
  return begins.map((begin) => {
    const its = steps.filter(({ walk }) => walk === begin.walk);
    const end = its.find((step): step is WalkEndStep => step.kind === "walkEnd")!;
    return {
      attempt: begin.attempt,
      firstStep: begin.step,
      lastStep: end.step,
      references: end.references,
      cycles: end.cycles,
      outcome: end.outcome,
      grid: gridOf(its, state),
    };
  });
}

const descending = (from: number, to: number): number[] =>
  Array.from({ length: Math.max(0, from - to + 1) }, (_, i) => from - i);

function gridOf(steps: readonly Step[], state: RawState): GridRow[] {
  const walk = new WalkSteps(steps, state);
  const shadow = state.technique === 2;
  const levels = descending(shadow ? state.hardwareLevels : state.guestLevels, 1);
  const rows = levels.map((guestLevel): GridRow => {
    const name = entryName(shadow ? "shadow" : "guest", guestLevel, null);
    const cells = [
      ...hostCells(walk, guestLevel, state),
      walk.cell(guestLevel, 0, name, () => walk.whyNotGuest(guestLevel)),
    ];
    return { guestLevel, name, cells };
  });
  if (state.hostLevels === 0) return rows;
  return [...rows, { guestLevel: 0, name: "page", cells: hostCells(walk, 0, state) }];
}

function hostCells(walk: WalkSteps, guestLevel: number, state: RawState): GridCell[] {
  return descending(state.hostLevels, 1).map((hostLevel) =>
    walk.cell(guestLevel, hostLevel, entryName("host", hostLevel, secondName(state)), () =>
      walk.whyNotHost(guestLevel, hostLevel),
    ),
  );
}

/** The steps of one walk, asked for cells. */
class WalkSteps {
  readonly #references: ReferenceStep[];
  readonly #pscHits: PscStep[];
  readonly #nested: NestedTlbStep[];
  readonly #register: boolean;
  readonly #state: RawState;

  constructor(steps: readonly Step[], state: RawState) {
    this.#state = state;
    this.#references = steps.filter((step): step is ReferenceStep => step.kind === "reference");
    this.#pscHits = steps.filter((step): step is PscStep => step.kind === "psc" && step.result === "hit");
    this.#nested = steps.filter((step): step is NestedTlbStep => step.kind === "nestedTlb");
    this.#register = steps.some((step): step is RegisterStep => step.kind === "register");
  }

  #read(guestLevel: number, hostLevel: number): ReferenceStep | undefined {
    return this.#references.findLast((r) => r.guestLevel === guestLevel && r.hostLevel === hostLevel);
  }

  cell(guestLevel: number, hostLevel: number, name: string, why: () => string): GridCell {
    const read = this.#read(guestLevel, hostLevel);
    if (read !== undefined) return { hostLevel, name, step: read.step, order: read.order };
    return { hostLevel, name, skippedBy: why() };
  }

  /** The hit of the guest's paging-structure caches, from whose level on no entry of the guest was read. */
  #guestHit(): PscStep | undefined {
    return this.#pscHits.findLast(({ tables }) => tables !== "host");
  }

  whyNotGuest(level: number): string {
    const hit = this.#guestHit();
    if (hit !== undefined && level >= hit.guestLevel) return structureLabel(hit.structure, this.#state);
    if (level === 3 && this.#register) return "PDPTE register";
    const leaf = this.#references.findLast((r) => r.tables !== "host" && r.decoded.type === "leaf");
    if (leaf !== undefined && level < leaf.guestLevel) return `${leaf.decoded.size} page`;
    if (hit !== undefined && this.#references.every((r) => r.guestLevel === 0))
      return structureLabel(hit.structure, this.#state);
    return "not reached";
  }

  whyNotHost(guestLevel: number, hostLevel: number): string {
    if (guestLevel > 0 && this.#read(guestLevel, 0) === undefined && !this.#inRow(guestLevel)) {
      const nested = this.#nested.some((step) => step.guestLevel === guestLevel && step.result === "hit");
      return nested ? "nested TLB" : this.whyNotGuest(guestLevel);
    }
    if (this.#nested.some((step) => step.guestLevel === guestLevel && step.result === "hit"))
      return "nested TLB";
    const hit = this.#pscHits.findLast((step) => step.tables === "host" && step.guestLevel === guestLevel);
    if (hit !== undefined && hostLevel >= hit.hostLevel) return structureLabel(hit.structure, this.#state);
    const leaf = this.#references.findLast(
      (r) => r.tables === "host" && r.guestLevel === guestLevel && r.decoded.type === "leaf",
    );
    if (leaf !== undefined && hostLevel < leaf.hostLevel) return `${leaf.decoded.size} page`;
    /* A paging-structure cache of combined mappings leads to the next table in host-physical memory. */
    const above = this.#guestHit();
    if (
      above !== undefined &&
      guestLevel > 0 &&
      guestLevel === above.guestLevel - 1 &&
      !this.#inRow(guestLevel)
    )
      return structureLabel(above.structure, this.#state);
    return "not reached";
  }

  /** Whether the second stage was walked for the table of this level. */
  #inRow(guestLevel: number): boolean {
    return this.#references.some((r) => r.tables === "host" && r.guestLevel === guestLevel);
  }
}
