import { restoreClock, saveClock } from "../clock";
import {
  COUNTERS_BYTES,
  countersAddress,
  EXITS_BYTES,
  exitCountsAddress,
  exitCyclesAddress,
  REFERENCES_BYTES,
  referencesAddress,
  STRUCTURES_BYTES,
  structuresAddress,
  WALK_LENGTHS_BYTES,
  walkLengthsAddress,
} from "../counters";
import { restoreArrays, saveArrays } from "../mmu/array";
import { forgetHints } from "../mmu/hints";
import { pmlIndexNow, restorePmlIndex } from "../walk/second";

/**
 * Everything of the machine that an access changes, up to the exit or the fault that it may end in: caches of every
 * kind, clock and figures. Memory is not among it: flags are not set (log.ts).
 */
const figures = memory.data(8192, 16);
let pmlIndex: u32 = 0;

/** Copies the figures out, or back in. */
function copyFigures(back: bool): void {
  let at = figures;
  at = copy(at, countersAddress(), COUNTERS_BYTES, back);
  at = copy(at, referencesAddress(), REFERENCES_BYTES, back);
  at = copy(at, walkLengthsAddress(), WALK_LENGTHS_BYTES, back);
  at = copy(at, exitCountsAddress(), EXITS_BYTES, back);
  at = copy(at, exitCyclesAddress(), EXITS_BYTES, back);
  copy(at, structuresAddress(), STRUCTURES_BYTES, back);
}

function copy(kept: usize, live: usize, bytes: usize, back: bool): usize {
  if (back) memory.copy(live, kept, bytes);
  else memory.copy(kept, live, bytes);
  return kept + bytes;
}

export function saveMachine(): void {
  copyFigures(false);
  saveArrays();
  saveClock();
  pmlIndex = pmlIndexNow();
}

export function restoreMachine(): void {
  copyFigures(true);
  restoreArrays();
  restoreClock();
  restorePmlIndex(pmlIndex);
  forgetHints();
}
