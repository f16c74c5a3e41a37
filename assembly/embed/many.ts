import { fault, Outcome } from "../x86/fault";
import { embedRights } from "./answer";
import { Cell, cell } from "./block";
import { embedCycles, embedTranslate } from "./translate";

/** Many translations in one call. The host fills address and access of each record. */

/** Offsets in a record. */
export enum BatchRecord {
  /** u64. */
  address = 0,
  /** u32: bits of an access. */
  access = 8,
  /** u32: Status. */
  status = 12,
  /** u64: the physical address. */
  physical = 16,
  /** u32: bits of Right, or the error code. */
  rights = 24,
  /** u32: cycles beyond a first-level hit. */
  cycles = 28,
}
const RECORD_BYTES: usize = 32;
const MOST: u32 = 1 << 15;
let records: usize = 0;

/** Where the records are: room for `embedManyMost` of them. */
export function embedManyAddress(): usize {
  if (records === 0) {
    records = heap.alloc(<usize>MOST * RECORD_BYTES);
    memory.fill(records, 0, <usize>MOST * RECORD_BYTES);
  }
  return records;
}
export function embedManyMost(): u32 {
  return MOST;
}

/** Makes the translations of records `first` up to `end`; returns the first that was not answered by ok, or `end`. */
export function embedMany(first: u32, end: u32): u32 {
  embedManyAddress();
  for (let i = first; i < min(end, MOST); ++i) {
    const at = records + <usize>i * RECORD_BYTES;
    const outcome = embedTranslate(
      load<u32>(at, BatchRecord.address),
      load<u32>(at, BatchRecord.address + 4),
      load<u32>(at, BatchRecord.access),
    );
    store<u32>(at, outcome, BatchRecord.status);
    store<u64>(
      at,
      outcome === Outcome.ok || outcome === Outcome.emulated ? cell(Cell.hostPhysical) : 0,
      BatchRecord.physical,
    );
    store<u32>(at, outcome === Outcome.ok ? embedRights() : <u32>fault.errorCode, BatchRecord.rights);
    store<u32>(at, embedCycles(), BatchRecord.cycles);
    if (outcome !== Outcome.ok) return i;
  }
  return min(end, MOST);
}
