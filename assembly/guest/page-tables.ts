import { Counter, count } from "../counters";
import { Parameter, parameter } from "../parameters";
import { noteTablePage } from "../replay/digest";
import { ACCESSED, DIRTY, FRAME, LARGE, NO_EXECUTE, PRESENT, USER_PAGE, WRITABLE } from "../x86/entries";
import { NO_FRAME, release } from "./buddy";
import { clearPage, readEntry, storeEntry } from "./direct-map";
import { allocateFrame } from "./frames";
import { Process } from "./process";

/** The page tables of the played processes. */

/** Linux's `_PAGE_TABLE`. */
export const TABLE: u64 = PRESENT | WRITABLE | USER_PAGE | ACCESSED | DIRTY;

/** Levels of the guest's tables. */
export let levels: u32 = 4;
/** Page-table isolation: a program runs on a root of its own, with little of the kernel in it. */
export let isolated: bool = false;

export function configureTables(): void {
  levels = parameter(Parameter.kernelLevels);
  isolated = parameter(Parameter.kernelPti) !== 0;
}

/** Guest-physical address of the entry of `level` for `va` in a table. */
export function entryIn(table: u64, va: u64, level: u32): u64 {
  return (table & FRAME) + (((va >> (12 + 9 * (level - 1))) & 0x1ff) << 3);
}

/** Frame of a new table, cleared, or NO_FRAME. */
export function newTable(): u64 {
  const gfn = allocateFrame();
  if (gfn === NO_FRAME) return gfn;
  clearPage(gfn);
  announce(gfn);
  return gfn;
}

export function announce(gfn: u64): void {
  count(Counter.tablePages);
  noteTablePage(gfn);
}

export function freeTable(gfn: u64): void {
  count(Counter.tablePagesDropped);
  release(gfn, 0);
}

/** Stores an upper entry that leads to a table. Linux: `p4d_populate` and its kin; with isolation `__pti_set_user_pgtbl`. */
export function linkTable(p: Process, at: u64, level: u32, gfn: u64): void {
  const value = (gfn << 12) | TABLE;
  if (isolated && level === levels) {
    storeEntry((p.userRoot << 12) | (at & 0xfff), value);
    storeEntry(at, value | NO_EXECUTE);
  } else {
    storeEntry(at, value);
  }
}

/** Address of the entry of `level` for `va`, with the tables above it made; 0 when there is no memory for one. */
export function makeEntry(p: Process, va: u64, level: u32): u64 {
  let table = p.root << 12;
  for (let l = levels; l > level; --l) {
    const at = entryIn(table, va, l);
    let entry = readEntry(at);
    if ((entry & PRESENT) === 0) {
      const gfn = newTable();
      if (gfn === NO_FRAME) return 0;
      linkTable(p, at, l, gfn);
      entry = gfn << 12;
    }
    table = entry & FRAME;
  }
  return entryIn(table, va, level);
}

/** Address of the entry of `level` for `va`, or 0 where there is no table for it. */
export function findEntry(p: Process, va: u64, level: u32): u64 {
  let table = p.root << 12;
  for (let l = levels; l > level; --l) {
    const entry = readEntry(entryIn(table, va, l));
    if ((entry & PRESENT) === 0 || (l <= 3 && (entry & LARGE) !== 0)) return 0;
    table = entry & FRAME;
  }
  return entryIn(table, va, level);
}
