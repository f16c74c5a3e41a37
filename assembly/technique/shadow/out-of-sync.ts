import { hostFrameOf } from "../../hypervisor/backing";
import { Parameter, parameter } from "../../parameters";
import { NONE, ShadowPage } from "./shadow-page";

/** The tables out of sync where there may be few of them, and which of them must be synchronized for one more. */

/** Most of them; 0 is no limit, and then nobody keeps them here. Xen: `SHADOW_OOS_PAGES`. */
export let limit: u32 = 0;
const MOST: u32 = 64;
/** By age, the oldest first and one more than the limit for the length of a fault; or by slot, 0 where there is none. */
const tables = new StaticArray<usize>(<i32>MOST + 1);
let aged: u32 = 0;
/** A table has the slot of its frame number or the one after. Xen: `oos_hash_add`. */
let byFrame = false;
/** The table that lost its slot. */
let evicted: usize = 0;

export function configureOutOfSync(): void {
  limit = min(parameter(Parameter.shadowUnsyncPages), MOST);
  byFrame = parameter(Parameter.shadowUnsyncByFrame) !== 0;
  aged = 0;
  evicted = 0;
  for (let i: u32 = 0; i <= MOST; ++i) unchecked((tables[i] = 0));
}

function homeOf(table: usize): u32 {
  return <u32>(hostFrameOf(changetype<ShadowPage>(table).gfn) % limit);
}

export function enterOutOfSync(page: ShadowPage): void {
  if (limit === 0) return;
  let table = changetype<usize>(page);
  if (!byFrame) {
    unchecked((tables[aged++] = table));
    return;
  }
  let slot = homeOf(table);
  const occupant = unchecked(tables[slot]);
  if (occupant !== 0 && limit > 1 && homeOf(occupant) === slot) {
    /* Whoever is at home moves on. */
    unchecked((tables[slot] = table));
    table = occupant;
    slot = (slot + 1) % limit;
  }
  evicted = unchecked(tables[slot]);
  unchecked((tables[slot] = table));
}

export function leaveOutOfSync(page: ShadowPage): void {
  if (limit === 0) return;
  const table = changetype<usize>(page);
  if (byFrame) {
    if (evicted === table) evicted = 0;
    for (let i: u32 = 0; i < limit; ++i) if (unchecked(tables[i]) === table) unchecked((tables[i] = 0));
    return;
  }
  let at: u32 = 0;
  while (at < aged && unchecked(tables[at]) !== table) ++at;
  if (at === aged) return;
  for (--aged; at < aged; ++at) unchecked((tables[at] = unchecked(tables[at + 1])));
}

/** The table that must be synchronized now: without slots, the one that is out of sync longest when there are too many. */
export function excessOutOfSync(): ShadowPage {
  if (limit === 0) return NONE;
  if (byFrame) return changetype<ShadowPage>(evicted);
  return aged > limit ? changetype<ShadowPage>(unchecked(tables[0])) : NONE;
}

/** Any table out of sync. */
export function someOutOfSync(): ShadowPage {
  if (!byFrame) return aged !== 0 ? changetype<ShadowPage>(unchecked(tables[0])) : NONE;
  for (let i: u32 = 0; i < limit; ++i) {
    const table = unchecked(tables[i]);
    if (table !== 0) return changetype<ShadowPage>(table);
  }
  return NONE;
}
