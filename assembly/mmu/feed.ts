/**
 * What a host that keeps translations of its own must drop: each invalidation, and each change that makes what was
 * answered before invalid, as a record in a ring. At `fedAddress` is the number of records ever written; a host that is
 * more than `FEED_RECORDS` behind has lost some and drops everything.
 */

export enum Feed {
  /** Translations whose stage-1 page holds the address. */
  address = 1,
  /** All translations in the scope. */
  space = 2,
  /** All translations, of everyone; contexts are numbered anew. */
  everything = 4,
  /** Translations stay, what they allow has changed: CR0.WP, CR4.SMEP, SMAP, PKE or PKS, PKRU, IA32_PKRS, EFLAGS.AC. */
  rights = 8,
  /** Another address space is the current one. */
  switched = 16,
}

/** What a record reaches beside its VPID and its PCID. */
export enum Scope {
  /** Global pages too. */
  globals = 1,
  everyPcid = 2,
  everyVpid = 4,
}

/** Offsets in a record. */
export enum FeedRecord {
  /** u32: Feed. */
  kind = 0,
  /** u32: bits of Scope. */
  scope = 4,
  /** u32. */
  vpid = 8,
  /** u32. */
  pcid = 12,
  /** u64. */
  address = 16,
  /** u32: log2 of the bytes around the address in which translations may be invalid. */
  span = 24,
  /** u32: number of the current address space. */
  context = 28,
}
const RECORD_BYTES: usize = 32;
export const FEED_RECORDS: u32 = 256;
const ring = memory.data(256 * 32, 16);

let feeding = false;
/** Records ever written, where a host reads it without a call. */
const written = memory.data(8, 8);
/** Kinds of the records since the host last asked. */
export let flushed: u32 = 0;
/** log2 of the largest stage-1 page that a translation was given out of. */
let span: u32 = 12;

export function startFeed(): void {
  feeding = true;
}
export function forgetFlushed(): void {
  flushed = 0;
}
export function feedAddress(): usize {
  return ring;
}
/** Where the number of records ever written is, a u32. */
export function fedAddress(): usize {
  return written;
}

/** A translation out of a page of 2^`shift` bytes is given out. */
export function gaveOut(shift: u32): void {
  span = max(span, shift);
}

/** Whether what is done is to leave no trace, and so concerns nobody. */
let held = false;
export function holdFeed(yes: bool): void {
  held = yes;
}

function write(kind: Feed, scope: u32, vpid: u32, pcid: u32, address: u64, context: u32): void {
  if (held) return;
  const records = load<u32>(written);
  const at = ring + (<usize>records & (FEED_RECORDS - 1)) * RECORD_BYTES;
  store<u32>(at, kind, FeedRecord.kind);
  store<u32>(at, scope, FeedRecord.scope);
  store<u32>(at, vpid, FeedRecord.vpid);
  store<u32>(at, pcid, FeedRecord.pcid);
  store<u64>(at, address, FeedRecord.address);
  store<u32>(at, span, FeedRecord.span);
  store<u32>(at, context, FeedRecord.context);
  store<u32>(written, records + 1);
  flushed |= kind;
}

export function feedAddressOf(scope: u32, vpid: u32, pcid: u32, address: u64): void {
  if (feeding) write(Feed.address, scope, vpid, pcid, address, 0);
}
export function feedSpace(scope: u32, vpid: u32, pcid: u32): void {
  if (feeding) write(Feed.space, scope, vpid, pcid, 0, 0);
}
export function feedEverything(): void {
  if (!feeding) return;
  span = 12;
  write(Feed.everything, Scope.globals | Scope.everyPcid | Scope.everyVpid, 0, 0, 0, 0);
}
export function feedRights(context: u32): void {
  if (feeding) write(Feed.rights, Scope.globals | Scope.everyPcid | Scope.everyVpid, 0, 0, 0, context);
}
export function feedSwitched(vpid: u32, pcid: u32, context: u32): void {
  if (feeding) write(Feed.switched, 0, vpid, pcid, 0, context);
}
