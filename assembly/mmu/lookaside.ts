import { accessMasksOf } from "./permission";

/**
 * Translations that a host's access finds without a search: an accelerator as the hints are (hints.ts), with the answer in
 * it and laid out for hosts that inline the lookup. An entry is valid while its key has the current generation and the
 * TLB still holds its tag in its slot. A hit is aged and counted as any other.
 *
 *   head   0 generation u64, in bits 63-52 │ 8 time without hits u64 │ 16 hits since they were last taken u64
 *          24 32 while EFLAGS.AC is set, else 0 u32
 *
 *   entry  0 page number and generation u64 │ 8 tag u64 │ 16 slot of the tag u32 │ 20 its age u32
 *          24 bit n: access n is allowed u64, from bit 32 on with EFLAGS.AC │ 32 physical page u64 │ 40 TLB entry u64
 *          48 counters of hits u32: a u64 for each access by its bits
 *          × 512 for data, × 512 for instructions, 64 bytes each
 */
const ENTRIES: usize = 512;
const SHIFT: usize = 6;
const GENERATION: u64 = 1 << 52;

const entries = memory.data(2 * 512 * 64, 64);
const head = memory.data(32, 16);
/** Where the ages of arrays are put that do not age by hits. */
const nowhere = memory.data(8, 8);

store<u64>(head, GENERATION);

export function lookasideAddress(): usize {
  return entries;
}
export function lookasideHeadAddress(): usize {
  return head;
}

/** What was answered before may have changed. */
export function forgetLookaside(): void {
  const next = load<u64>(head) + GENERATION;
  store<u64>(head, next === 0 ? GENERATION : next);
  if (next === 0) memory.fill(entries, 0, (2 * ENTRIES) << SHIFT);
}

/** Address of the entry that the page of `va` would have. */
export function lookasideOf(va: u64, fetch: bool): usize {
  const index = ((<usize>va >> 12) & (ENTRIES - 1)) | (fetch ? ENTRIES : 0);
  return entries + (index << SHIFT);
}

export function keyOf(va: u64): u64 {
  return (va >> 12) | load<u64>(head);
}

/** Whether the entry at `entry` translates `va` for the five bits of `access`. */
export function lookasideServes(entry: usize, va: u64, access: u32): bool {
  return (
    load<u64>(entry) === keyOf(va) &&
    load<u64>(<usize>load<u32>(entry, 16)) === load<u64>(entry, 8) &&
    ((load<u64>(entry, 24) >> (access + load<u32>(head, 24))) & 1) !== 0
  );
}

/** EFLAGS.AC changed. */
export function lookWithAc(ac: bool): void {
  store<u32>(head, ac ? 32 : 0, 24);
}

/**
 * The page of `va` is translated by the TLB entry `data` in `slot`, whose age is at `age` (0: it does not age), for accesses
 * whose bits are in `kinds`.
 */
export function lookNext(
  va: u64,
  fetch: bool,
  slot: usize,
  age: usize,
  physical: u64,
  data: u64,
  counters: usize,
  kinds: u64,
): void {
  const entry = lookasideOf(va, fetch);
  store<u64>(entry, keyOf(va));
  store<u64>(entry, load<u64>(slot), 8);
  store<u32>(entry, <u32>slot, 16);
  store<u32>(entry, <u32>(age === 0 ? nowhere : age), 20);
  store<u64>(entry, accessMasksOf(data) & kinds, 24);
  store<u64>(entry, physical & ~0xfff, 32);
  store<u64>(entry, data, 40);
  store<u32>(entry, <u32>counters, 48);
}

/** Time as far as hits of the lookaside have no part in it. */
export function timeOfFills(): u64 {
  return load<u64>(head, 8);
}
export function setTimeOfFills(time: u64): void {
  store<u64>(head, time, 8);
}
/** The next moment of the time that ages are: of hits and fills. */
export function nextTick(): u64 {
  const time = load<u64>(head, 8) + 1;
  store<u64>(head, time, 8);
  return time + load<u64>(head, 16);
}
/** The entry serves `access`. */
export function hitLookaside(entry: usize, access: u32): void {
  const hits = load<u64>(head, 16) + 1;
  store<u64>(head, hits, 16);
  store<u64>(<usize>load<u32>(entry, 20), load<u64>(head, 8) + hits);
  const counter = <usize>load<u32>(entry, 48) + ((<usize>access) << 3);
  store<u64>(counter, load<u64>(counter) + 1);
}
/** Whether the last access was a hit. */
export function hitsPending(): bool {
  return load<u64>(head, 16) !== 0;
}
/** Hits since this was last asked. */
export function takeHits(): u64 {
  const hits = load<u64>(head, 16);
  store<u64>(head, load<u64>(head, 8) + hits, 8);
  store<u64>(head, 0, 16);
  return hits;
}
