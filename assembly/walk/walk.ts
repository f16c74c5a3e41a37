import { add, Counter, count, countReference, read, set } from "../counters";
import { recording, withoutEffect } from "../explain/log";
import { noteEntry, noteFlags, notePdpte } from "../explain/walk-notes";
import { exchangeEntry, read32, read64 } from "../memory/physical";
import { Reason, setReason } from "../memory/reason";
import { tableCycles, touchByHypervisor } from "../mmu/cache";
import { PagingStructureCache, PSC_TABLE_WRITABLE, pscData } from "../mmu/psc";
import { Parameter, parameter } from "../parameters";
import { DIRTY, EPT_WRITE, FRAME, GLOBAL, LARGE, WRITABLE } from "../x86/entries";
import { Outcome } from "../x86/fault";
import { Format, KIND_EPT, KIND_PAGE_TABLE } from "../x86/format";
import { Refusal } from "../x86/refusal";
import { Dimension, SECOND_NESTED, SECOND_NONE } from "./dimension";
import { forbidsFlags, tableRights, translateTable } from "./second";

/** Who makes a walk. */
export enum Walker {
  /** The page walker: counted, cached, costed. */
  hardware,
  /** The hypervisor: it costs handler cycles. */
  software,
  /** Nobody: without effects. */
  probe,
  /** A MOV CR that loads PDPTEs: with the flags and faults of hardware, but no walk of the counters. */
  registerLoad,
}

/** How the reading of the tables ended; rights are not looked at yet. */
export enum Found {
  leaf,
  notPresent,
  reserved,
  /** The second stage refused a table: `stopped` says how. */
  stopped,
}

/** Who walks now. */
export let walker: Walker = Walker.hardware;
/** Outcome of the second stage when a walk is `stopped`. */
export let stopped: Outcome = Outcome.ok;
/** References and cycles of the hardware walk under way. */
export let walkReferences: u32 = 0;
export let walkCycles: u32 = 0;
/** Guest level whose table (0: the final address) the second stage is translating: the row of the reference cells. */
export let row: u32 = 0;

let eagerAccessed = false;
/** Levels (bit n: level n) whose large leaves the paging-structure cache keeps. */
let leafLevels: u32 = 0;
let upperCycles: u32 = 0;
let hostUpperCycles: u32 = 0;
let baseCycles: u32 = 0;

export function configureWalk(): void {
  eagerAccessed = parameter(Parameter.eagerAccessed) !== 0;
  leafLevels = parameter(Parameter.pscLeaves) << 2;
  upperCycles = parameter(Parameter.walkUpperCycles);
  hostUpperCycles = parameter(Parameter.walkHostUpperCycles);
  baseCycles = parameter(Parameter.walkBaseCycles);
}

export function setWalker(who: Walker): Walker {
  const before = walker;
  walker = who;
  return before;
}

export function setRow(level: u32): void {
  row = level;
}

/** Cycles of a walk beside its references. */
export function addWalkCycles(cycles: u32): void {
  walkCycles += cycles;
}

export function beginHardwareWalk(): void {
  walkReferences = 0;
  walkCycles = baseCycles;
}

function countEntryRead(d: Dimension, level: u32, hostAddress: u64): void {
  if (walker === Walker.hardware) {
    const host = d.format.kind !== KIND_PAGE_TABLE;
    countReference(host ? row : level, host ? level : 0);
    ++walkReferences;
    walkCycles += tableCycles(hostAddress, level, host);
  } else if (walker === Walker.software) {
    count(Counter.softwareReferences);
    ++softwareReads;
    touchByHypervisor(hostAddress);
  }
}

/** Entries read by software since the owner last took them; they cost handler cycles. */
export let softwareReads: u32 = 0;
export function takeSoftwareReads(): u32 {
  const n = softwareReads;
  softwareReads = 0;
  return n;
}
/** A guest entry read by the hypervisor outside of a walk: a sync or a prefetch. */
export function countSoftwareRead(): void {
  count(Counter.softwareReferences);
  ++softwareReads;
}

/**
 * Reads the tables of `d` for `address`, top down: present, then reserved bits, then PS, then the rights accumulate
 * (SDM 3A 4.7; for EPT 3C 29.3.3). Nothing is refused for its rights here, and no flag is set unless the machine
 * sets accessed flags eagerly. `useCache` starts below the deepest cached entry.
 */
export function walk(d: Dimension, address: u64, useCache: bool): Found {
  const format = d.format;
  let level = format.levels;
  d.top = level;
  d.cached = false;
  let rights = format.rights;
  if (level === 0) {
    d.level = 0;
    d.rights = rights;
    d.result = address;
    d.leafDirty = true;
    return Found.leaf;
  }
  if (format.kind !== KIND_PAGE_TABLE && address >> spanOf(format) !== 0) {
    d.level = level;
    d.rights = 0;
    return Found.notPresent;
  }
  let table = d.root;
  let tableIsHost = d.second === SECOND_NONE;
  const psc = d.psc;
  if (useCache && psc !== null && walker === Walker.hardware) {
    const highest: u32 = format.pdpteRegisters ? 2 : format.levels;
    let from = psc.look(address, format.indexBits, 2, highest, d.context);
    if (from !== 0 && (pscData & LARGE) !== 0) {
      if (!d.write || (pscData & format.dirty) !== 0) {
        takeCachedLeaf(d, from, address);
        return Found.leaf;
      }
      from = from < highest ? psc.look(address, format.indexBits, from + 1, highest, d.context) : 0;
    }
    if (from !== 0) {
      level = from - 1;
      d.top = level;
      d.cached = true;
      table = pscData & FRAME;
      rights &= pscData;
      tableIsHost = true;
      unchecked((d.tableRights[level] = pscData & PSC_TABLE_WRITABLE ? EPT_WRITE : 0));
    }
  }
  if (level === 3 && format.pdpteRegisters) {
    const pdpte = d.pdptes[<u32>(address >> 30) & 3];
    if (recording) notePdpte(d, pdpte);
    if (!(pdpte & 1)) {
      d.level = 3;
      d.rights = 0;
      return Found.notPresent;
    }
    table = pdpte & FRAME;
    level = 2;
    d.top = 2;
  }
  const indexMask: u64 = format.indexBits === 9 ? 0x1ff : 0x3ff;
  while (true) {
    const index = (address >> format.shiftOf(level)) & (level === format.levels ? format.topMask : indexMask);
    const entryAddress = table + (index << format.entryShift);
    let hostAddress = entryAddress;
    unchecked((d.addresses[level] = entryAddress));
    unchecked((d.rightsAbove[level] = rights));
    if (!tableIsHost) {
      const outcome = translateTable(d, entryAddress, level);
      if (outcome !== Outcome.ok) {
        stopped = outcome;
        d.level = level;
        return Found.stopped;
      }
      hostAddress = tableAddress;
      unchecked((d.tableRights[level] = tableRights));
    } else if (d.cached && d.second === SECOND_NESTED) {
      tableIsHost = false;
    }
    unchecked((d.hostAddresses[level] = hostAddress));
    const before = walkCycles;
    countEntryRead(d, level, hostAddress);
    if (isDefined(HOSTED)) setReason(reasonOf(format, level));
    let entry = format.entryShift === 3 ? read64(hostAddress) : read32(hostAddress);
    if (recording) entry = noteEntry(d, level, hostAddress, entry, walkCycles - before);
    unchecked((d.entries[level] = entry));
    d.level = level;
    if ((entry & format.present) === 0) {
      d.rights = 0;
      return Found.notPresent;
    }
    const large = level > 1 && (entry & LARGE) !== 0 && ((format.largeLevels >> level) & 1) !== 0;
    if ((entry & unchecked(format.reserved[(level << 1) + ((entry & LARGE) !== 0 ? 1 : 0)])) !== 0) {
      d.rights = rights & (entry ^ format.invert);
      return Found.reserved;
    }
    if (format.kind === KIND_EPT && misconfiguration(format, entry, level === 1 || large) !== Refusal.none)
      return Found.reserved;
    const plain = format.plainTop && level === 3;
    if (!plain) rights &= entry ^ format.invert;
    if (level === 1 || large) {
      d.leaf = entry;
      d.rights = rights;
      d.result = format.leafAddress(entry, level) | (address & (((<u64>1) << format.shiftOf(level)) - 1));
      d.leafDirty = format.dirty === 0 || (entry & format.dirty) !== 0;
      return Found.leaf;
    }
    if (eagerAccessed && !plain && (format.accessed & ~entry) !== 0 && walker !== Walker.probe) {
      if (forbidsFlags(d, level)) {
        stopped = Outcome.eptViolation;
        return Found.stopped;
      }
      if (!setFlags(d, level, format.accessed)) {
        stopped = Outcome.contended;
        return Found.stopped;
      }
      if (walker === Walker.hardware) count(Counter.accessedSet);
    }
    if (walker === Walker.hardware)
      walkCycles += format.kind === KIND_PAGE_TABLE ? upperCycles : hostUpperCycles;
    table = entry & format.frame;
    --level;
  }
}

/** The walk ends at a leaf that the paging-structure cache holds: no entry is read, none needs a flag. */
function takeCachedLeaf(d: Dimension, level: u32, address: u64): void {
  const format = d.format;
  d.cached = true;
  d.level = level;
  d.top = level - 1;
  d.leaf = pscData;
  d.rights = pscData & format.rights;
  unchecked((d.rightsAbove[level] = d.rights));
  d.leafDirty = (pscData & format.dirty) !== 0;
  d.result = format.leafAddress(pscData, level) | (address & (((<u64>1) << format.shiftOf(level)) - 1));
}

/** log2 of the bytes the format can address. */
function spanOf(format: Format): u32 {
  return format.shiftOf(format.levels) + (format.topMask === 3 ? 2 : format.indexBits);
}

/** Where `translateTable` found the table. */
export let tableAddress: u64 = 0;
export function setTableAddress(hpa: u64): void {
  tableAddress = hpa;
}

/** Level-1 entries have no PS: bit 7 is PAT. The reserved masks of level 1 are the same for both. */
function misconfiguration(format: Format, entry: u64, leaf: bool): Refusal {
  const combination = <u32>(entry & 7) | ((<u32>((entry & format.rights) >> 10)) << 3);
  if ((format.badRights >> (combination & 15)) & 1) return Refusal.rights;
  if (!leaf) return Refusal.none;
  const type = <u32>(entry >> 3) & 7;
  return type === 2 || type === 3 || type === 7 ? Refusal.memoryType : Refusal.none;
}

/** What is wrong with the entry at which a walk of `d` has ended as `reserved`. */
export function reservedRefusal(d: Dimension): Refusal {
  const format = d.format;
  const level = d.level;
  const entry = d.entries[level];
  const large = (entry & LARGE) !== 0;
  if ((entry & format.reserved[(level << 1) + (large ? 1 : 0)]) !== 0 || format.kind !== KIND_EPT)
    return Refusal.reserved;
  return misconfiguration(format, entry, level === 1 || (large && ((format.largeLevels >> level) & 1) !== 0));
}

/**
 * Sets flags in the entry of `level`, which must lack one of them. A locked read-modify-write: false if a host whose
 * memory it is has changed the entry since it was read.
 */
export function setFlags(d: Dimension, level: u32, flags: u64): bool {
  const before = d.entries[level];
  const value = before | flags;
  const at = d.hostAddresses[level];
  if (!withoutEffect) {
    if (isDefined(HOSTED)) setReason(reasonOf(d.format, level));
    if (!exchangeEntry(at, d.format.entryShift === 3 ? 8 : 4, before, value)) return false;
  }
  unchecked((d.entries[level] = value));
  if (recording) noteFlags(d, level, at, value, flags & ~before);
  return true;
}

/** Why an entry is read: who walks, and which entry it is. */
function reasonOf(format: Format, level: u32): u32 {
  if (walker === Walker.software) return Reason.hypervisor;
  return format.kind === KIND_PAGE_TABLE
    ? Reason.guestEntry | level
    : Reason.secondEntry | level | (row << 8);
}

/** Records what the walk just made put into the paging-structure cache: every upper entry it read. */
export function fillPsc(d: Dimension, address: u64): void {
  const psc = d.psc;
  if (psc === null || walker !== Walker.hardware) return;
  const entries = d.hostAddresses;
  if (d.top >= d.level && ((leafLevels >> d.level) & 1) !== 0) fillLeaf(d, psc, address);
  for (let level = d.top; level > d.level; --level) {
    const below = level - 1;
    const writable = d.second !== SECOND_NESTED || (d.tableRights[below] & EPT_WRITE) !== 0;
    psc.fill(
      address,
      d.format.indexBits,
      level,
      d.context,
      (entries[below] & FRAME) |
        (d.rightsAbove[below] & d.format.rights) |
        (writable ? PSC_TABLE_WRITABLE : 0),
    );
  }
}

/**
 * Keeps a large leaf of the guest in the paging-structure cache of its level, with the rights of the whole walk. A
 * page that may be a shadow stack is not kept, as its upper rights matter apart, nor a global one, which must go
 * under every PCID.
 */
function fillLeaf(d: Dimension, psc: PagingStructureCache, address: u64): void {
  const format = d.format;
  const leaf = unchecked(d.entries[d.level]);
  if (format.kind !== KIND_PAGE_TABLE || (leaf & GLOBAL) !== 0 || (leaf & (WRITABLE | DIRTY)) === DIRTY)
    return;
  psc.fill(address, format.indexBits, d.level, d.context, (leaf & ~format.rights) | d.rights);
}

/** Ends a hardware walk in the counters. */
export function endHardwareWalk(outcome: Outcome): void {
  count(Counter.walks);
  add(Counter.tableReferences, walkReferences);
  if (outcome !== Outcome.ok) count(Counter.walksFaulted);
  if (<u64>walkReferences > read(Counter.walkReferencesMax)) set(Counter.walkReferencesMax, walkReferences);
}
