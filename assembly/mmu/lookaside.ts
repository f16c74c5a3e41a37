import { accessMasksOf } from "./permission";

/**
 * Translations that a host's access finds without a search: an accelerator as the hints are (hints.ts), with the answer in
 * it and laid out for hosts that inline the lookup. An entry is valid while its key has the current generation and the
 * TLB still holds its tag and its data in its slot. A hit is aged and counted as any other.
 */
/** Offsets in the head. */
export enum LookasideHead {
  /** u64: the generation, in bits 63 to 52. */
  generation = 0,
  /** u64: time as far as hits have no part in it. */
  time = 8,
  /** u64: hits since they were last taken. */
  hits = 16,
  /** u32: 32 while EFLAGS.AC is set, else 0. */
  ac = 24,
}

/** Offsets in an entry. */
export enum LookasideEntry {
  /** u64: page number of the linear address, and the generation. */
  key = 0,
  /** u64: the tag in the TLB. */
  tag = 8,
  /** u32: address of the tag's slot in the TLB. */
  slot = 16,
  /** u32: address where a hit leaves the time (head.time + head.hits, after counting the hit). */
  age = 20,
  /** u64: bit n is set if an access with the bits n may use it; from bit 32 on, with EFLAGS.AC. */
  allowed = 24,
  /** u64: address of the physical page. */
  physical = 32,
  /** u64: the TLB entry. */
  data = 40,
  /** u32: address of the counters of hits, a u64 for each access by its bits. */
  counters = 48,
  /** u32: address of the slot's data in the TLB. */
  place = 52,
}

/** Entries for one kind of access: reads, then writes, then fetches. Each has 64 bytes. */
export const LOOKASIDE_ENTRIES: usize = 512;
const SHIFT: usize = 6;
const GENERATION: u64 = 1 << 52;

/** With a fourth part, never filled, for the kind 3, which no access has. */
const entries = memory.data(4 * 512 * 64, 16);
const head = memory.data(32, 16);
/** Where the ages of arrays are put that do not age by hits. */
const nowhere = memory.data(8, 8);

store<u64>(head, GENERATION, LookasideHead.generation);

export function lookasideAddress(): usize {
  return entries;
}
export function lookasideHeadAddress(): usize {
  return head;
}

/** What was answered before may have changed. */
export function forgetLookaside(): void {
  const next = load<u64>(head, LookasideHead.generation) + GENERATION;
  store<u64>(head, next === 0 ? GENERATION : next, LookasideHead.generation);
  if (next === 0) memory.fill(entries, 0, (4 * LOOKASIDE_ENTRIES) << SHIFT);
}

/** Address of the entry that the page of `va` would have. */
export function lookasideOf(va: u64, kind: u32): usize {
  const index = ((<usize>va >> 12) & (LOOKASIDE_ENTRIES - 1)) | (<usize>kind * LOOKASIDE_ENTRIES);
  return entries + (index << SHIFT);
}

export function keyOf(va: u64): u64 {
  return (va >> 12) | load<u64>(head, LookasideHead.generation);
}

/** Whether the entry at `entry` translates `va` for the five bits of `access`. */
export function lookasideServes(entry: usize, va: u64, access: u32): bool {
  return (
    load<u64>(entry, LookasideEntry.key) === keyOf(va) &&
    load<u64>(<usize>load<u32>(entry, LookasideEntry.slot)) === load<u64>(entry, LookasideEntry.tag) &&
    load<u64>(<usize>load<u32>(entry, LookasideEntry.place)) === load<u64>(entry, LookasideEntry.data) &&
    ((load<u64>(entry, LookasideEntry.allowed) >> (access + load<u32>(head, LookasideHead.ac))) & 1) !== 0
  );
}

/** EFLAGS.AC changed. */
export function lookWithAc(ac: bool): void {
  store<u32>(head, ac ? 32 : 0, LookasideHead.ac);
}

/** The page of `va` is translated by the TLB entry `data` at `place`, whose tag is in `slot` and whose age is at `age` (0: it does not age). */
export function lookNext(
  va: u64,
  kind: u32,
  slot: usize,
  place: usize,
  age: usize,
  physical: u64,
  data: u64,
  counters: usize,
): void {
  const entry = lookasideOf(va, kind);
  store<u64>(entry, keyOf(va), LookasideEntry.key);
  store<u64>(entry, load<u64>(slot), LookasideEntry.tag);
  store<u32>(entry, <u32>slot, LookasideEntry.slot);
  store<u32>(entry, <u32>(age === 0 ? nowhere : age), LookasideEntry.age);
  store<u64>(entry, accessMasksOf(data), LookasideEntry.allowed);
  store<u64>(entry, physical & ~0xfff, LookasideEntry.physical);
  store<u64>(entry, data, LookasideEntry.data);
  store<u32>(entry, <u32>place, LookasideEntry.place);
  store<u32>(entry, <u32>counters, LookasideEntry.counters);
}

/** Time as far as hits of the lookaside have no part in it. */
export function timeOfFills(): u64 {
  return load<u64>(head, LookasideHead.time);
}
export function setTimeOfFills(time: u64): void {
  store<u64>(head, time, LookasideHead.time);
}
/** The next moment of the time that ages are: of hits and fills. */
export function nextTick(): u64 {
  const time = load<u64>(head, LookasideHead.time) + 1;
  store<u64>(head, time, LookasideHead.time);
  return time + load<u64>(head, LookasideHead.hits);
}
/** The entry serves `access`. */
export function hitLookaside(entry: usize, access: u32): void {
  const hits = load<u64>(head, LookasideHead.hits) + 1;
  store<u64>(head, hits, LookasideHead.hits);
  store<u64>(<usize>load<u32>(entry, LookasideEntry.age), load<u64>(head, LookasideHead.time) + hits);
  const counter = <usize>load<u32>(entry, LookasideEntry.counters) + ((<usize>access) << 3);
  store<u64>(counter, load<u64>(counter) + 1);
}
/** Whether the last access was a hit. */
export function hitsPending(): bool {
  return load<u64>(head, LookasideHead.hits) !== 0;
}
/** Hits since this was last asked. */
export function takeHits(): u64 {
  const hits = load<u64>(head, LookasideHead.hits);
  store<u64>(head, load<u64>(head, LookasideHead.time) + hits, LookasideHead.time);
  store<u64>(head, 0, LookasideHead.hits);
  return hits;
}
