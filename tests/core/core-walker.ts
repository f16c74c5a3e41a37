import type { Outcome } from "../reference/walker.js";

export { Mmu as CoreWalker, parametersOf } from "../../src/embed/mmu.js";

/** The reference walker's outcome without its list of references: what the core must equal. */
export function comparable(outcome: Outcome): object {
  const { references, ...rest } = outcome;
  const shared = { ...rest, references: references.length };
  if (!shared.ok) return shared;
  const { hpa, gpa } = shared;
  return { ok: true, hpa, gpa, references: references.length };
}
