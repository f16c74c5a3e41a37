import { Counter, read, Structure } from "../counters";
import { guestFrameOf } from "../hypervisor/backing";
import { Refusal } from "../x86/refusal";

/**
 * What an access did, step by step, for a person to read: kept while `recording`, by the walker itself. Every step is
 * 48 bytes:
 *
 *   0 Step u8 │ 1 Tables u8 │ 2 guest level u8 │ 3 host level u8 │ 4 what came of it u8 │ 5 detail u8 │ 6 Purpose u8 │ 7 -
 *   8 cycles u32 │ 12 -     16 address u64 │ 24 host-physical address u64 │ 32 value u64 │ 40 further u64
 */
export enum Step {
  /** A TLB was looked up. detail: Structure; address: linear; value: the entry; further: kind of access | mode << 2. */
  tlb,
  /** A hardware walk begins. detail: attempt; address: linear. */
  walk,
  /** A paging-structure cache was looked up. detail: Structure; address: what is translated; value: the entry. */
  psc,
  /** The nested TLB was looked up. address: guest-physical; value: the entry. */
  nestedTlb,
  /** A PAE level-3 entry that is a register. value: the entry. */
  pdpte,
  /** An entry was read by hardware: `came` is a Source; further: reserved bits that are set. */
  reference,
  /** An entry was read by the hypervisor's software. */
  software,
  /** Accessed or dirty flags were set. value: the entry afterwards; further: the flags. */
  flags,
  /** A check failed. `came`: Refusal. Of an address that is not canonical, in place of the lookups: address, further as of tlb. */
  refusal,
  /** The walk ends. `came`: Outcome; cycles of the whole walk; value: error code, or qualification; address: of the fault; further: guest-physical. */
  walkEnd,
  /** A cache took an entry. detail: Structure; address: what it translates; value: the entry. */
  fill,
  /** An exit. detail: ExitReason. */
  exit,
  /** What came of a refused walk. `came`: Resolution; address, value as of walkEnd. */
  resolution,
  /** The access is translated. address: linear; host address; value: the TLB entry; further: guest-physical, all ones if unknown. */
  done,
  /** A shadow page of the address. host address: its frame; value: guest frame; `came`: 1 unsync, 2 direct, 4 with children out of sync. */
  shadowPage,
}

export enum Tables {
  guest,
  host,
  shadow,
}

export enum Lookup {
  miss,
  hit,
  /** An entry was there that does not allow the access. */
  refused,
}

export enum Source {
  flat,
  l1,
  l2,
  l3,
  memory,
  entryCache,
}

/** What is being done: the access itself, or the reading of tables beside it for the reader. */
export enum Purpose {
  access,
  tables,
}

const STEP_BYTES: usize = 48;

/** Whether steps are kept. */
export let recording: bool = false;
/** Whether the access is to leave no trace: flags are not set in memory, but seen as set by the walk under way. */
export let withoutEffect: bool = false;

let steps: usize = 0;
let capacity: u32 = 0;
let used: u32 = 0;
let purpose: Purpose = Purpose.access;
/** Guest level whose table the second stage translates; 0 for the final address. */
let row: u32 = 0;
export function noteRow(level: u32): void {
  row = level;
}
/** Whether the last entry read of a first stage was the guest's. */
let inGuestTables = true;
export function noteFirstStageTables(tables: Tables): void {
  inGuestTables = tables === Tables.guest;
}
/** The address that stage 1 of the access led to, all ones if it was not walked. */
let walkedTo: u64 = u64.MAX_VALUE;

export function startLog(effects: bool): void {
  used = 0;
  recording = true;
  withoutEffect = !effects;
  purpose = Purpose.access;
  flagged = 0;
  markSources();
}
export function stopLog(): void {
  recording = false;
  withoutEffect = false;
}
export function setPurpose(its: Purpose): void {
  purpose = its;
}
export function logAddress(): usize {
  return steps;
}
export function logLength(): u32 {
  return used;
}

export function note(
  step: Step,
  tables: u32,
  guestLevel: u32,
  hostLevel: u32,
  came: u32,
  detail: u32,
  cycles: u32,
  address: u64,
  hostAddress: u64,
  value: u64,
  further: u64,
): void {
  if (used === capacity) {
    capacity = max<u32>(256, capacity << 1);
    steps =
      steps === 0
        ? heap.alloc(<usize>capacity * STEP_BYTES)
        : heap.realloc(steps, <usize>capacity * STEP_BYTES);
  }
  const at = steps + <usize>used * STEP_BYTES;
  ++used;
  store<u8>(at, <u8>step);
  store<u8>(at, <u8>tables, 1);
  store<u8>(at, <u8>guestLevel, 2);
  store<u8>(at, <u8>hostLevel, 3);
  store<u8>(at, <u8>came, 4);
  store<u8>(at, <u8>detail, 5);
  store<u16>(at, <u16>purpose, 6);
  store<u64>(at, cycles, 8);
  store<u64>(at, address, 16);
  store<u64>(at, hostAddress, 24);
  store<u64>(at, value, 32);
  store<u64>(at, further, 40);
}

/** The counters of what serves references: the one that has moved since is the source of the last one. */
const served = memory.data(5 * 8, 16);

function servedBy(i: u32): u64 {
  return read(i < 4 ? <Counter>(<u32>Counter.tableLinesL1 + i) : Counter.entryCacheHits);
}
function markSources(): void {
  for (let i: u32 = 0; i < 5; ++i) store<u64>(served + ((<usize>i) << 3), servedBy(i));
}
export function source(): Source {
  let from = Source.flat;
  for (let i: u32 = 0; i < 5; ++i) {
    if (servedBy(i) !== load<u64>(served + ((<usize>i) << 3))) from = <Source>(i + 1);
  }
  markSources();
  return from;
}

export function noteTlb(
  structure: Structure,
  came: Lookup,
  va: u64,
  kind: u32,
  mode: u32,
  data: u64,
  cycles: u32,
): void {
  walkedTo = u64.MAX_VALUE;
  note(Step.tlb, Tables.guest, 0, 0, came, structure, cycles, va, 0, data, kind | (mode << 2));
}

/** In place of the first lookup. */
export function noteRefusedAddress(va: u64, kind: u32, mode: u32): void {
  note(Step.refusal, Tables.guest, 0, 0, Refusal.canonical, 0, 0, va, 0, 0, kind | (mode << 2));
}

export function noteWalk(va: u64, attempt: u32, cycles: u32): void {
  walkedTo = u64.MAX_VALUE;
  note(Step.walk, Tables.guest, 0, 0, 0, min<u32>(attempt, 255), cycles, va, 0, 0, 0);
}

export function noteWalkEnd(outcome: u32, cycles: u32, address: u64, value: u64, gpa: u64): void {
  note(Step.walkEnd, Tables.guest, 0, 0, outcome, 0, cycles, address, 0, value, gpa);
}

export function noteResolution(resolution: u32, address: u64, value: u64): void {
  note(Step.resolution, Tables.guest, 0, 0, resolution, 0, 0, address, 0, value, 0);
}

export function noteFirstStage(address: u64): void {
  walkedTo = address;
}

export function noteDone(va: u64, hpa: u64, data: u64, cycles: u32, emulated: bool): void {
  let gpa = walkedTo;
  if (emulated) gpa = hpa;
  else if (gpa === u64.MAX_VALUE || !inGuestTables) {
    const frame = guestFrameOf(hpa >> 12);
    gpa = frame === u64.MAX_VALUE ? frame : (frame << 12) | (hpa & 0xfff);
  }
  note(
    Step.done,
    Tables.guest,
    0,
    0,
    emulated ? 1 : 0,
    0,
    cycles,
    va,
    emulated ? u64.MAX_VALUE : hpa,
    data,
    gpa,
  );
}

export function notePsc(structure: Structure, level: u32, came: Lookup, address: u64, data: u64): void {
  const host = structure >= Structure.hostPde;
  const tables = host ? Tables.host : Tables.guest;
  note(Step.psc, tables, host ? row : level, host ? level : 0, came, structure, 0, address, 0, data, 0);
}

export function noteNestedTlb(came: Lookup, gpa: u64, data: u64): void {
  note(Step.nestedTlb, Tables.host, row, 0, came, Structure.nested, 0, gpa, 0, data, 0);
}

/** `level` is that of the entry in a paging-structure cache; 0 in a TLB. */
export function noteFill(structure: Structure, level: u32, address: u64, data: u64): void {
  const host = structure >= Structure.hostPde;
  const tables = host ? Tables.host : Tables.guest;
  const guestLevel = host || structure === Structure.nested ? row : level;
  note(Step.fill, tables, guestLevel, host ? level : 0, 0, structure, 0, address, 0, data, 0);
}

export function noteExit(reason: u32, cycles: u64): void {
  note(Step.exit, Tables.guest, 0, 0, 0, reason, <u32>cycles, 0, 0, 0, 0);
}

export function noteShadowPage(level: u32, frame: u64, gfn: u64, state: u32): void {
  note(Step.shadowPage, Tables.shadow, level, 0, state, 0, 0, 0, frame << 12, gfn, 0);
}

/** Entries whose flags a walk without effect has set: address and flags, at most as many as a walk has entries. */
const flaggedAt = new StaticArray<u64>(64);
const flaggedWith = new StaticArray<u64>(64);
let flagged: i32 = 0;

export function flagsAt(hostAddress: u64): u64 {
  let flags: u64 = 0;
  for (let i = 0; i < flagged; ++i) if (flaggedAt[i] === hostAddress) flags |= flaggedWith[i];
  return flags;
}

export function keepFlags(hostAddress: u64, flags: u64): void {
  if (flagged === 64) return;
  flaggedAt[flagged] = hostAddress;
  flaggedWith[flagged++] = flags;
}
