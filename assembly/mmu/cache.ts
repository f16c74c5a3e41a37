import { Counter, count } from "../counters";
import { Parameter, parameter } from "../parameters";
import { evictedTag, INDEX_HASHED, INDEX_PLAIN, newArray, TAG_VALID, TaggedArray, tagPrefix } from "./array";

/**
 * The cache hierarchy as page-table references (and the guest's accesses, if so configured) see it: 64-byte lines by
 * host-physical address. A level takes every line that a reference missed in it; a victim level takes what the level
 * before it evicted, and gives a line up when it serves it; what an inclusive level evicts leaves the levels before.
 */
const MEMORY: u32 = 3;
/** The first level for instructions; the second is shared. */
const INSTRUCTIONS: u32 = 4;
const LEVELS: u32 = 5;

const INCLUSIVE: u32 = 1;
const VICTIM: u32 = 2;

/** Numbers of a level in the parameter block, from its size on. */
const WAYS: u32 = 1;
const CYCLES: u32 = 2;
const POLICY: u32 = 3;
const FILL_MARK: u32 = 4;
const HASH: u32 = 5;
const INCLUSION: u32 = 6;

let enabled = false;
let flat: u32 = 0;
let memoryCycles: u32 = 0;
/** Whether the hypervisor's references are seen. */
let hypervisor = false;
/** Level at which a page walker's references enter. */
let walkerLevel: u32 = 0;
/** Cycles of a first-level hit on a line that was last accessed by another linear address; 0 as any other. */
let aliasCycles: u32 = 0;
const levels = new StaticArray<usize>(<i32>LEVELS);
const cycles = new StaticArray<u32>(<i32>LEVELS);
const inclusions = new StaticArray<u32>(<i32>LEVELS);

/** Entries that a walker has read, by host-physical address: which levels of them, and the cost of a hit. */
const HOLDS_BOTH: u32 = 2;
let entryCache: TaggedArray = changetype<TaggedArray>(0);
let entryCacheHolds: u32 = 0;
let entryCacheCycles: u32 = 0;

function numberOf(bytes: Parameter, which: u32): u32 {
  return parameter(<Parameter>(<u32>bytes + which));
}

function configureLevel(level: u32, bytes: Parameter): void {
  const size = parameter(bytes);
  cycles[level] = numberOf(bytes, CYCLES);
  inclusions[level] = numberOf(bytes, INCLUSION);
  levels[level] =
    size === 0
      ? 0
      : changetype<usize>(
          newArray(
            size >> 6,
            numberOf(bytes, WAYS),
            numberOf(bytes, POLICY),
            numberOf(bytes, HASH),
            numberOf(bytes, FILL_MARK),
          ),
        );
}

export function configureCaches(): void {
  enabled = parameter(Parameter.caches) !== 0;
  flat = parameter(Parameter.referenceCycles);
  memoryCycles = parameter(Parameter.memoryCycles);
  walkerLevel = parameter(Parameter.walkerCacheLevel);
  aliasCycles = parameter(Parameter.l1AliasCycles);
  hypervisor = enabled && parameter(Parameter.hypervisorCaches) !== 0;
  configureEntryCache();
  if (!enabled) return;
  configureLevel(0, Parameter.l1Bytes);
  configureLevel(1, Parameter.l2Bytes);
  configureLevel(2, Parameter.l3Bytes);
  configureLevel(INSTRUCTIONS, Parameter.l1iBytes);
}

function configureEntryCache(): void {
  const entries = parameter(Parameter.entryCacheEntries);
  entryCacheHolds = parameter(Parameter.entryCacheHolds);
  entryCacheCycles = parameter(Parameter.entryCacheCycles);
  entryCache = changetype<TaggedArray>(0);
  if (entryCacheHolds === 0) return;
  entryCache = newArray(
    entries,
    parameter(Parameter.entryCacheWays),
    parameter(Parameter.entryCachePolicy),
    parameter(Parameter.entryCacheIndex) !== 0 ? INDEX_HASHED : INDEX_PLAIN,
    parameter(Parameter.entryCacheFillMark),
  );
}

function levelAt(level: u32): TaggedArray {
  return changetype<TaggedArray>(unchecked(levels[level]));
}

/** The level after `level` on the way to memory. */
function after(level: u32): u32 {
  return level === INSTRUCTIONS ? 1 : level + 1;
}

function fillLevel(level: u32, line: u64): void {
  const array = levelAt(level);
  if (changetype<usize>(array) === 0) return;
  const evicted = array.evicted;
  array.fill(array.setOf(line), TAG_VALID | line, 0);
  if (array.evicted === evicted) return;
  const victim = tagPrefix(evictedTag);
  const next = after(level);
  if (next < MEMORY && unchecked(inclusions[next]) === VICTIM) fillLevel(next, victim);
  if (unchecked(inclusions[level]) === INCLUSIVE) {
    for (let above: u32 = 0; above < level; ++above) dropLine(above, victim);
    dropLine(INSTRUCTIONS, victim);
  }
}

function dropLine(level: u32, line: u64): void {
  const array = levelAt(level);
  if (changetype<usize>(array) === 0) return;
  const tag = TAG_VALID | line;
  const at = array.find(array.setOf(line), tag, tag);
  if (at !== 0) array.remove(at);
}

/** Where the level that held the line has it. */
let lineAt: usize = 0;

/** Level that held the line, or MEMORY; the levels from `first` up to it have the line afterwards. */
function touchLine(hpa: u64, first: u32): u32 {
  const line = hpa >> 6;
  const tag = TAG_VALID | line;
  let found = first;
  for (; found !== MEMORY; found = after(found)) {
    const array = levelAt(found);
    if (changetype<usize>(array) === 0) continue;
    lineAt = array.find(array.setOf(line), tag, tag);
    if (lineAt === 0) continue;
    array.touch(lineAt);
    if (found !== first && unchecked(inclusions[found]) === VICTIM) array.remove(lineAt);
    break;
  }
  for (let level = first; level !== found; level = after(level)) {
    if (level === first || unchecked(inclusions[level]) !== VICTIM) fillLevel(level, line);
  }
  return found;
}

/** Cycles of the reference to an entry of `level` of the guest's tables, or of the second stage's (`host`). */
export function tableCycles(hpa: u64, level: u32, host: bool): u32 {
  if (entryCacheHolds !== 0 && level > 1 && (!host || entryCacheHolds === HOLDS_BOTH)) {
    const entry = hpa >> 3;
    const tag = TAG_VALID | entry;
    const set = entryCache.setOf(entry);
    const at = entryCache.find(set, tag, tag);
    if (at !== 0) {
      entryCache.touch(at);
      count(Counter.entryCacheHits);
      return entryCacheCycles;
    }
    entryCache.fill(set, tag, 0);
  }
  if (!enabled) return flat;
  const held = touchLine(hpa, walkerLevel);
  count(<Counter>(<u32>Counter.tableLinesL1 + held));
  return held === MEMORY ? memoryCycles : unchecked(cycles[held]);
}

/** The hypervisor reads or writes an entry: what that costs is its handler's. */
export function touchByHypervisor(hpa: u64): void {
  if (hypervisor) touchLine(hpa, 0);
}

/** Cycles of the guest's access beyond a hit in the first level. */
export function dataCycles(hpa: u64, va: u64, fetch: bool): u32 {
  const first: u32 = fetch ? INSTRUCTIONS : 0;
  if (fetch && unchecked(levels[INSTRUCTIONS]) === 0) return 0;
  const held = touchLine(hpa, first);
  const base = unchecked(cycles[first]);
  let its = held === MEMORY ? memoryCycles : unchecked(cycles[held]);
  if (aliasCycles !== 0 && !fetch && isAlias(hpa, va, held === 0) && aliasCycles > its) its = aliasCycles;
  return its > base ? its - base : 0;
}

/**
 * Whether the line in the first level was last accessed by another linear page: a way predictor that goes by linear
 * address misses then. AMD Software Optimization Guide, family 1Ah, "L1 data cache", linear address utag.
 */
function isAlias(hpa: u64, va: u64, hit: bool): bool {
  const array = levelAt(0);
  if (changetype<usize>(array) === 0) return false;
  if (!hit) {
    const line = hpa >> 6;
    const tag = TAG_VALID | line;
    lineAt = array.find(array.setOf(line), tag, tag);
  }
  const page = (va >> 12) + 1;
  const other = array.data(lineAt) !== page;
  array.setData(lineAt, page);
  return hit && other;
}
