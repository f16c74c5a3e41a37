import { fault, Outcome } from "../x86/fault";
import { embedRights } from "./answer";
import { Cell, cell } from "./block";
import { embedCycles, embedTranslate } from "./translate";

/**
 * Many translations in one call. The host fills the first two fields of each record:
 *
 *   0 address u64 │ 8 access u32 │ 12 Outcome u32 │ 16 physical address u64 │ 24 Right bits, or error code u32 │ 28 cycles u32
 */
const RECORD_BYTES: usize = 32;
const MOST: u32 = 1 << 15;
let records: usize = 0;

/** Where the records are: room for `embedManyMost` of them. */
export function embedManyAddress(): usize {
  if (records === 0) records = heap.alloc(<usize>MOST * RECORD_BYTES);
  return records;
}
export function embedManyMost(): u32 {
  return MOST;
}

/** Makes the translations of records `first` up to `end`; returns the first that was not answered by ok, or `end`. */
export function embedMany(first: u32, end: u32): u32 {
  for (let i = first; i < min(end, MOST); ++i) {
    const at = records + <usize>i * RECORD_BYTES;
    const outcome = embedTranslate(load<u32>(at), load<u32>(at, 4), load<u32>(at, 8));
    store<u32>(at, outcome, 12);
    store<u64>(at, outcome === Outcome.ok || outcome === Outcome.emulated ? cell(Cell.hostPhysical) : 0, 16);
    store<u32>(at, outcome === Outcome.ok ? embedRights() : <u32>fault.errorCode, 24);
    store<u32>(at, embedCycles(), 28);
    if (outcome !== Outcome.ok) return i;
  }
  return min(end, MOST);
}
