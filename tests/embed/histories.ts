import fc from "fast-check";
import { expect } from "vitest";

/** Histories of each kind; FUZZ_FEED sets how many. */
export const runs = Number(process.env.FUZZ_FEED ?? 60);
/** Time that they may take, in milliseconds. */
export const TIMEOUT = 120_000 + runs * 1000;
const STEPS = 150;

export interface History {
  /** Throws when a translation is used that the architecture does not allow. */
  step(): void;
  /** Translations used that were kept, and those of them that tables had come to disagree with. */
  readonly used: number;
  readonly stale: number;
}

/** Runs random histories; returns how many uses of kept translations disagreed with the tables. */
export function staleUses(begin: (seed: number) => History, seed: number): number {
  let used = 0;
  let stale = 0;
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 0x7fff_ffff }), (its) => {
      const history = begin(its);
      for (let i = 0; i < STEPS; ++i) history.step();
      used += history.used;
      stale += history.stale;
    }),
    { numRuns: runs, seed, endOnFailure: true },
  );
  /* Worth something only if kept translations are used. */
  expect(used).toBeGreaterThan(runs * 5);
  return stale;
}
