import type { Outcome } from "../reference/walker.js";

export { BareCore as CoreWalker, parametersOf } from "../../src/conform/bare/core.js";

/** The reference walker's outcome without its list of references: what the core must equal. */
export function comparable(outcome: Outcome): object {
  const { references, ...rest } = outcome;
  const shared = { ...rest, references: references.length };
  if (!shared.ok) return shared;
  const { hpa, gpa } = shared;
  return { ok: true, hpa, gpa, references: references.length };
}
