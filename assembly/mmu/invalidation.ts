import { add, Counter, count } from "../counters";
import { host } from "../walk/second";
import { sizeShift } from "../x86/entries";
import {
  CODE_TABLE,
  groupPrefix,
  groupTag,
  TaggedArray,
  tagAddress,
  tagCode,
  tagContext,
  tagOf,
  tagSize,
} from "./array";
import {
  ANY_PCID,
  contextCount,
  contextEptrta,
  contextPcid,
  contextVpid,
  GUEST_PHYSICAL,
  NO_PAGING,
} from "./context";
import { feedAddressOf, feedEverything, feedSpace, Scope } from "./feed";
import { guestPsc, hostPsc, nestedTlb, PagingStructureCache } from "./psc";
import { hardware } from "./tags";
import { entryStage1Size, l1d, l1i, l1s, l2, l2i, TlbLevel } from "./tlb";

/**
 * What removes which cached translations, as the exact minimum that the architecture asks for (paging.md §1.10;
 * SDM 3A 4.10.4, 3C 29.4.3; APM 2 5.5.3, 15.16). Every invalidation is: a choice of contexts, and either all
 * their entries or those that translate one address.
 */

const MOST: u32 = 0x8000;
const doomed = new StaticArray<u8>(<i32>MOST);

const KEEP: u8 = 0;
/** Entries for the address go, and every paging-structure cache entry. */
const DOOM: u8 = 1;

/** In place of a VPID or a PCID: every one. */
const EVERY: u32 = 0xffff_ffff;
/** In place of the root of a second stage. */
const EVERY_ROOT: u64 = u64.MAX_VALUE;

/** Chooses linear and combined contexts. `globals`: 0 leaves global pages, 1 takes them too. */
function chooseLinear(vpid: u32, pcid: u32, globals: bool): void {
  const n = contextCount();
  for (let i: u32 = 1; i <= n; ++i) {
    let doom = KEEP;
    if (contextVpid(i) < GUEST_PHYSICAL && (vpid === EVERY || contextVpid(i) === vpid)) {
      const tag = contextPcid(i);
      const itsPcid = tag === NO_PAGING ? 0 : tag;
      if (itsPcid === ANY_PCID ? globals : pcid === EVERY || itsPcid === pcid) doom = DOOM;
    }
    unchecked((doomed[i] = doom));
  }
}

const ADDRESS_MASK: u64 = (1 << 57) - 1;

/**
 * Removes the entries of the chosen contexts, all of them or (INVLPG and its kin) the pages of an address and every
 * paging-structure cache entry.
 */
function scan(array: TaggedArray, byAddress: bool, address: u64): u32 {
  if (changetype<usize>(array) === 0 || array.live === 0) return 0;
  if (byAddress && array.liveFractured === 0 && array.livePages() === array.live && contextCount() <= FEW) {
    return removeDoomed(array, address);
  }
  let removed: u32 = 0;
  const column = <usize>array.column;
  let set = array.sets;
  for (let s = array.setCount(); s > 0; --s, set += array.setBytes) {
    for (let at = set; at < set + column; at += 8) {
      const tag = load<u64>(at);
      if (tag === 0 || unchecked(doomed[tagContext(tag)]) === KEEP) continue;
      const code = tagCode(tag);
      if (byAddress && code < CODE_TABLE) {
        /* A fractured page is cached in pieces: any address of the stage-1 page removes each. */
        const span = max(sizeShift(entryStage1Size(array.data(at))), sizeShift(tagSize(tag)));
        if (((tagAddress(tag) ^ address) & ADDRESS_MASK) >> span !== 0) continue;
      }
      array.remove(at);
      ++removed;
    }
  }
  return removed;
}

/** Contexts up to which looking an address up in each is cheaper than reading the whole array. */
const FEW: u32 = 16;

/** Removes what translates `address` for the chosen contexts from an array that holds whole pages only. */
function removeDoomed(array: TaggedArray, address: u64): u32 {
  let removed: u32 = 0;
  const n = contextCount();
  for (let i: u32 = 1; i <= n; ++i) {
    if (unchecked(doomed[i]) !== KEEP) removed += removePage(array, address, i);
  }
  return removed;
}

/** Removes the entries that translate `address` for one context. */
function removePage(array: TaggedArray, address: u64, context: u32): u32 {
  let removed: u32 = 0;
  for (let size: u32 = 0; size < 4; ++size) {
    if (array.liveOf(size) === 0) continue;
    const page = address >> sizeShift(size);
    const tag = tagOf(page, size, context);
    const at = array.find(array.setOf(page), tag, tag);
    if (at === 0) continue;
    array.remove(at);
    ++removed;
  }
  if (array.liveGroups !== 0) {
    const group = groupPrefix(address);
    const tag = groupTag(group, context);
    const at = array.find(array.setOf(group), tag, tag);
    if (at !== 0) {
      array.remove(at);
      ++removed;
    }
  }
  return removed;
}

function removeFromLevel(level: TlbLevel, address: u64, context: u32): u32 {
  let removed: u32 = 0;
  for (let i: u32 = 0; i < level.length; ++i) removed += removePage(level.array(i), address, context);
  return removed;
}

function removeEverywhere(address: u64, context: u32): u32 {
  return (
    removeFromLevel(l1d, address, context) +
    removeFromLevel(l1i, address, context) +
    removeFromLevel(l1s, address, context) +
    removeFromLevel(l2, address, context) +
    removeFromLevel(l2i, address, context)
  );
}

function scanLevel(level: TlbLevel, byAddress: bool, address: u64): u32 {
  let removed: u32 = 0;
  for (let i: u32 = 0; i < level.length; ++i) removed += scan(level.array(i), byAddress, address);
  return removed;
}

function scanPsc(psc: StaticArray<usize>, byAddress: bool, address: u64): u32 {
  let removed: u32 = 0;
  for (let level: i32 = 2; level <= 5; ++level) {
    const array = psc[level];
    if (level > 2 && (array === psc[2] || array === psc[level - 1])) continue;
    removed += scan(changetype<TaggedArray>(array), byAddress, address);
  }
  return removed;
}

function done(removed: u32): u32 {
  count(Counter.invalidations);
  add(Counter.entriesInvalidated, removed);
  return removed;
}

function scanTlbs(byAddress: bool, address: u64): u32 {
  return (
    scanLevel(l1d, byAddress, address) +
    scanLevel(l1i, byAddress, address) +
    scanLevel(l1s, byAddress, address) +
    scanLevel(l2, byAddress, address) +
    scanLevel(l2i, byAddress, address)
  );
}

function scanLinear(byAddress: bool, address: u64): u32 {
  return done(scanTlbs(byAddress, address) + scanPsc(guestPsc.arrays, byAddress, address));
}

/** INVLPG: the page under `pcid` and global pages under any; the PCID's paging-structure cache. */
export function invalidateAddress(vpid: u32, pcid: u32, va: u64): u32 {
  feedAddressOf(Scope.globals, vpid, pcid, va);
  chooseLinear(vpid, pcid, true);
  return scanLinear(true, va);
}

/** The paging-structure cache entries that a walk of `address` for one context would use. */
function removePaths(psc: PagingStructureCache, address: u64, indexBits: u32, context: u32): u32 {
  let removed: u32 = 0;
  for (let level: u32 = 2; level <= 5; ++level) {
    const array = changetype<TaggedArray>(unchecked(psc.arrays[level]));
    if (changetype<usize>(array) === 0) continue;
    const prefix = address >> (12 + indexBits * (level - 1));
    const tag = tagOf(prefix, CODE_TABLE + level - 2, context);
    const at = array.find(array.setOf(prefix), tag, tag);
    if (at === 0) continue;
    array.remove(at);
    ++removed;
  }
  return removed;
}

/** What an access to `va` under the tags may use, and nothing else: what a fault on it removes. */
function removeUsed(vpid: u32, pcid: u32, va: u64, eptrta: u64): u32 {
  let removed: u32 = 0;
  const n = contextCount();
  for (let i: u32 = 1; i <= n; ++i) {
    const tag = contextPcid(i);
    const itsPcid = tag === NO_PAGING ? 0 : tag;
    if (contextVpid(i) !== vpid || (eptrta !== EVERY_ROOT && contextEptrta(i) !== eptrta)) continue;
    if (itsPcid !== pcid && itsPcid !== ANY_PCID) continue;
    removed += removeEverywhere(va, i) + removePaths(guestPsc, va, hardware.format.indexBits, i);
  }
  return removed;
}

/** A #PF on `va`, whose combined mappings go under every second stage. SDM 3A 4.10.4.1, 3C 29.4.3.1. */
export function invalidateFault(vpid: u32, pcid: u32, va: u64): u32 {
  feedAddressOf(Scope.globals, vpid, pcid, va);
  return done(removeUsed(vpid, pcid, va, EVERY_ROOT));
}

/** INVPCID type 0: the page under that PCID, global pages stay. */
export function invalidateAddressOfPcid(vpid: u32, pcid: u32, va: u64): u32 {
  feedAddressOf(0, vpid, pcid, va);
  chooseLinear(vpid, pcid, false);
  return scanLinear(true, va);
}

/** MOV CR3 that flushes, INVPCID type 1: everything of the PCID but global pages. */
export function invalidatePcid(vpid: u32, pcid: u32): u32 {
  feedSpace(0, vpid, pcid);
  chooseLinear(vpid, pcid, false);
  return scanLinear(false, 0);
}

/** CR4.PAE or CR4.SMEP changed: everything of the PCID, global pages too. */
export function invalidatePcidAndGlobals(vpid: u32, pcid: u32): u32 {
  feedSpace(Scope.globals, vpid, pcid);
  chooseLinear(vpid, pcid, true);
  return scanLinear(false, 0);
}

/** INVPCID types 2 (with global pages) and 3, changes of CR4.PGE and CR0.PG, INVVPID types 1 and 3. */
export function invalidateVpid(vpid: u32, globals: bool): u32 {
  feedSpace(globals ? Scope.everyPcid | Scope.globals : Scope.everyPcid, vpid, 0);
  chooseLinear(vpid, EVERY, globals);
  return scanLinear(false, 0);
}

/** TLB_CONTROL of a VMRUN: what is tagged with the ASID, nested translations too. APM 2 15.16.1; KVM: `svm_flush_tlb_asid`. */
export function invalidateAsid(asid: u32, globals: bool): u32 {
  const removed = invalidateVpid(asid, globals);
  const n = contextCount();
  for (let i: u32 = 1; i <= n; ++i)
    unchecked((doomed[i] = contextVpid(i) === (GUEST_PHYSICAL | asid) ? DOOM : KEEP));
  return removed + scanGuestPhysical(false, 0);
}

/** INVVPID type 2: every VPID but 0. */
export function invalidateAllVpids(): u32 {
  feedSpace(Scope.everyVpid | Scope.everyPcid | Scope.globals, 0, 0);
  chooseLinear(EVERY, EVERY, true);
  const n = contextCount();
  for (let i: u32 = 1; i <= n; ++i) if (contextVpid(i) === 0) unchecked((doomed[i] = KEEP));
  return scanLinear(false, 0);
}

/** INVVPID type 0, INVLPGA: what translates the address under every PCID of the VPID, global pages too. SDM 3C 29.4.3.1. */
export function invalidateAddressOfVpid(vpid: u32, va: u64): u32 {
  feedAddressOf(Scope.everyPcid | Scope.globals, vpid, 0, va);
  chooseLinear(vpid, EVERY, true);
  let removed = scanTlbs(true, va);
  const n = contextCount();
  for (let i: u32 = 1; i <= n; ++i) {
    if (unchecked(doomed[i]) !== KEEP) removed += removePaths(guestPsc, va, hardware.format.indexBits, i);
  }
  return done(removed);
}

/** INVEPT: guest-physical and combined mappings of one EPTRTA, or of all; linear mappings stay. */
export function invalidateEptrta(eptrta: u64, all: bool): u32 {
  feedSpace(Scope.everyVpid | Scope.everyPcid | Scope.globals, 0, 0);
  const n = contextCount();
  for (let i: u32 = 1; i <= n; ++i) {
    const its = contextEptrta(i);
    unchecked((doomed[i] = its !== 0 && (all || its === eptrta) ? DOOM : KEEP));
  }
  return scanLinear(false, 0) + scanGuestPhysical(false, 0);
}

function scanGuestPhysical(byAddress: bool, gpa: u64): u32 {
  const removed = scanPsc(hostPsc.arrays, byAddress, gpa) + scan(nestedTlb(), byAddress, gpa);
  add(Counter.entriesInvalidated, removed);
  return removed;
}

/**
 * An EPT violation removes the guest-physical mappings for its address and the combined mappings for the linear
 * address under the current tags (SDM 3C 29.4.3.1): the retry needs no INVEPT.
 */
export function invalidateViolation(vpid: u32, pcid: u32, eptrta: u64, gpa: u64, va: u64): void {
  feedAddressOf(Scope.globals, vpid, pcid, va);
  const nested = nestedTlb();
  const physical = host.context;
  const removed =
    (changetype<usize>(nested) === 0 ? 0 : removePage(nested, gpa, physical)) +
    removePaths(hostPsc, gpa, 9, physical);
  done(removed + removeUsed(vpid, pcid, va, eptrta));
}

/** Everything, of everyone: power on, or contexts used up. */
export function invalidateEverything(): u32 {
  feedEverything();
  const n = contextCount();
  for (let i: u32 = 1; i <= n; ++i) unchecked((doomed[i] = DOOM));
  return scanLinear(false, 0) + scanGuestPhysical(false, 0);
}
