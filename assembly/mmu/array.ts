import { SIZE_GROUP, sizeShift } from "../x86/entries";
import { nextTick, setTimeOfFills, timeOfFills } from "./lookaside";

/** Replacement policies. */
export const LRU: u32 = 0;
export const FIFO: u32 = 1;
export const RANDOM: u32 = 2;
export const TREE_PLRU: u32 = 3;
/** Not recently used: one bit an entry, set by hits and by `fillMark` percent of fills; the victim is random among the unmarked. */
export const NRU: u32 = 4;

/** Set index: the low bits of the number; those chosen here are XORed with the bits above the index. */
export const INDEX_PLAIN: u32 = 0;
export const INDEX_HASHED: u32 = 0xffff_ffff;

/**
 * Codes of what a tag names: page sizes 0-3 (entries.ts), then entries of a paging-structure cache that lead to a
 * table of level 1 to 4 (code 4 to 7).
 */
export const CODE_TABLE: u32 = 4;

/**
 * A tag: what is cached, of what kind, and for whom. 0 is an invalid entry.
 *
 *   63     62 ── 48   47 ─ 45   44 ───────────── 0
 *   valid  context    code      page number or prefix
 */
export const TAG_VALID: u64 = 1 << 63;
const PREFIX: u64 = (1 << 45) - 1;

export function tagOf(prefix: u64, code: u32, context: u32): u64 {
  return TAG_VALID | ((<u64>context) << 48) | ((<u64>code) << 45) | (prefix & PREFIX);
}
export function tagContext(tag: u64): u32 {
  return <u32>(tag >> 48) & 0x7fff;
}
export function tagCode(tag: u64): u32 {
  return <u32>(tag >> 45) & 7;
}
export function tagPrefix(tag: u64): u64 {
  return tag & PREFIX;
}

/**
 * An aligned group of four 4 KiB pages that one entry translates has the code of 4 MiB pages, whose numbers are
 * short, and this bit in its prefix.
 */
const GROUP: u64 = 1 << 44;
const GROUP_CODE: u32 = 3;

export function groupPrefix(address: u64): u64 {
  return (address >> sizeShift(SIZE_GROUP)) | GROUP;
}
export function groupTag(prefix: u64, context: u32): u64 {
  return tagOf(prefix, GROUP_CODE, context);
}
export function isGroup(tag: u64): bool {
  return tagCode(tag) === GROUP_CODE && (tag & GROUP) !== 0;
}
/** Coded size of the page, or group, that the tag of a TLB entry names. */
export function tagSize(tag: u64): u32 {
  return isGroup(tag) ? SIZE_GROUP : tagCode(tag);
}
/** First address of the page, or group, that the tag of a TLB entry names. */
export function tagAddress(tag: u64): u64 {
  return isGroup(tag)
    ? (tagPrefix(tag) & ~GROUP) << sizeShift(SIZE_GROUP)
    : tagPrefix(tag) << sizeShift(tagCode(tag));
}

let random: u64 = 1;
export function seedRandom(seed: u32): void {
  random = ((<u64>seed) << 1) | 1;
}
/** xorshift64: the one source of randomness of the hardware. */
export function nextRandom(): u32 {
  random ^= random << 13;
  random ^= random >> 7;
  random ^= random << 17;
  return <u32>(random >> 32);
}

/** What the last eviction of any array took out. */
export let evictedTag: u64 = 0;
export let evictedData: u64 = 0;

/**
 * A set-associative array of tagged entries: every TLB and paging-structure cache is one. A set is three columns,
 * each padded to an even number of ways so that two tags compare at once; the padding is never valid nor a victim.
 *
 *   ┌ set 0 ─────────────────────────────────────────────┬ set 1 ─ …
 *   │ tags u64 × stride │ data u64 × stride │ age u64 × stride │
 *   └────────────────────────────────────────────────────┴─────────
 *
 * age: LRU and FIFO a time; NRU a bit; tree-PLRU the tree of the set in age[0].
 */
@unmanaged
export class TaggedArray {
  sets: usize;
  setMask: u32;
  setBits: u32;
  setBytes: u32;
  ways: u32;
  /** Bytes of a column. */
  column: u32;
  policy: u32;
  hash: u32;
  fillMark: u32;
  /** Valid entries, all and by code. */
  live: u32;
  liveCode0: u32;
  liveCode1: u32;
  liveCode2: u32;
  liveCode3: u32;
  liveGroups: u32;
  /** Valid entries of TLBs that are smaller than their stage-1 page. */
  liveFractured: u32;
  /** Page sizes that a TLB array may hold, bit per size of `sizeClass`. */
  sizes: u32;
  /** 1: a TLB array that keeps aligned groups of four pages in one entry. */
  coalesces: u32;
  /** The structure (counters.ts) that an array of a TLB belongs to. */
  structure: u32;
  /** Evictions of valid entries since the owner last asked. */
  evicted: u32;

  init(entries: u32, ways: u32, policy: u32, hash: u32, fillMark: u32): void {
    this.ways = ways;
    this.policy = policy;
    this.hash = hash;
    this.fillMark = fillMark;
    const sets = entries / ways;
    this.setMask = sets - 1;
    this.setBits = ctz(sets);
    const stride = (ways + 1) & ~1;
    this.column = stride << 3;
    this.setBytes = this.column * 3;
    const bytes = <usize>(sets * this.setBytes);
    this.sets = (heap.alloc(bytes + 16) + 15) & ~15;
    memory.fill(this.sets, 0, bytes);
    this.live = 0;
    this.liveCode0 = 0;
    this.liveCode1 = 0;
    this.liveCode2 = 0;
    this.liveCode3 = 0;
    this.liveGroups = 0;
    this.liveFractured = 0;
    this.sizes = 0;
    this.structure = 0;
    this.coalesces = 0;
    this.evicted = 0;
  }

  setOf(prefix: u64): usize {
    let index = <u32>prefix;
    if (this.hash) {
      const bits = this.setBits;
      index ^= (<u32>(prefix >> bits) ^ <u32>(prefix >> (bits << 1))) & this.hash;
    }
    return this.sets + <usize>((index & this.setMask) * this.setBytes);
  }

  /** Address of the tag that equals `a` or `b`, or 0. */
  find(set: usize, a: u64, b: u64): usize {
    if (ASC_FEATURE_SIMD) {
      const end = set + this.column;
      const wantA = i64x2.splat(<i64>a);
      const wantB = i64x2.splat(<i64>b);
      for (let at = set; at < end; at += 16) {
        const tags = v128.load(at);
        const hits: u32 = i64x2.bitmask(v128.or(i64x2.eq(tags, wantA), i64x2.eq(tags, wantB)));
        if (hits) return at + (ctz(hits) << 3);
      }
    } else {
      const end = set + this.column;
      for (let at = set; at < end; at += 8) {
        const tag = load<u64>(at);
        if (tag === a || tag === b) return at;
      }
    }
    return 0;
  }

  data(tagAt: usize): u64 {
    return load<u64>(tagAt + this.column);
  }

  setData(tagAt: usize, data: u64): void {
    store<u64>(tagAt + this.column, data);
  }

  /** A hit on the entry whose tag is at `tagAt`. */
  touch(tagAt: usize): void {
    if (this.policy === LRU) store<u64>(tagAt + (this.column << 1), nextTick());
    else if (this.policy >= TREE_PLRU) this.mark(tagAt);
  }

  /**
   * Address of the age that a hit on the entry at `tagAt` sets to the time, or 0 if hits do not age; `ageable` says which
   * arrays can be aged so: of a mark any time will do.
   */
  ageAt(tagAt: usize): usize {
    return this.policy === LRU || this.policy === NRU ? tagAt + (this.column << 1) : 0;
  }
  ageable(): bool {
    return this.policy !== TREE_PLRU;
  }

  mark(tagAt: usize): void {
    if (this.policy === NRU) {
      store<u64>(tagAt + (this.column << 1), 1);
      return;
    }
    const offset = <u32>(tagAt - this.sets);
    const set = this.sets + <usize>(offset - (offset % this.setBytes));
    this.markTree(set, <u32>(tagAt - set) >> 3);
  }

  /** Points every node on the way's path away from it. Nodes are numbered from 1; the leaves follow the nodes. */
  markTree(set: usize, way: u32): void {
    const at = set + (this.column << 1);
    let tree = load<u64>(at);
    let low: u32 = 0;
    let size = this.treeWays();
    let node: u32 = 1;
    while (size > 1) {
      size >>= 1;
      if (way < low + size) {
        tree |= (<u64>1) << node;
        node = node << 1;
      } else {
        tree &= ~((<u64>1) << node);
        low += size;
        node = (node << 1) | 1;
      }
    }
    store<u64>(at, tree);
  }

  /** Ways of the complete tree: the power of two that holds them all. */
  treeWays(): u32 {
    return this.ways <= 1 ? 1 : (<u32>1) << (32 - clz<u32>(this.ways - 1));
  }

  treeVictim(set: usize): u32 {
    const tree = load<u64>(set + (this.column << 1));
    let low: u32 = 0;
    let size = this.treeWays();
    let node: u32 = 1;
    while (size > 1) {
      size >>= 1;
      const right = (tree >> node) & 1;
      /* A subtree beyond the last way does not exist. */
      if (right && low + size < this.ways) {
        low += size;
        node = (node << 1) | 1;
      } else {
        node = node << 1;
      }
    }
    return low;
  }

  nruVictim(set: usize): u32 {
    const ages = set + (this.column << 1);
    let unmarked: u32 = 0;
    for (let way: u32 = 0; way < this.ways; ++way) {
      if (load<u64>(ages + ((<usize>way) << 3)) === 0) ++unmarked;
    }
    if (unmarked === 0) {
      for (let way: u32 = 0; way < this.ways; ++way) store<u64>(ages + ((<usize>way) << 3), 0);
      return nextRandom() % this.ways;
    }
    let nth = nextRandom() % unmarked;
    let way: u32 = 0;
    while (true) {
      if (load<u64>(ages + ((<usize>way) << 3)) === 0) {
        if (nth === 0) return way;
        --nth;
      }
      ++way;
    }
  }

  oldest(set: usize): u32 {
    const ages = set + (this.column << 1);
    let best: u32 = 0;
    let low = load<u64>(ages);
    for (let way: u32 = 1; way < this.ways; ++way) {
      const age = load<u64>(ages + ((<usize>way) << 3));
      best = select(way, best, age < low);
      low = min(age, low);
    }
    return best;
  }

  victim(set: usize): u32 {
    if (this.live < this.setMask * this.ways + this.ways) {
      for (let way: u32 = 0; way < this.ways; ++way) {
        if (load<u64>(set + ((<usize>way) << 3)) === 0) return way;
      }
    }
    const policy = this.policy;
    if (policy <= FIFO) return this.oldest(set);
    if (policy === RANDOM) return nextRandom() % this.ways;
    return policy === NRU ? this.nruVictim(set) : this.treeVictim(set);
  }

  /** Puts an entry in, over the one with the same tag if there is one. Returns the address of its tag. */
  fill(set: usize, tag: u64, data: u64): usize {
    let at = this.find(set, tag, tag);
    if (at === 0) {
      const way = this.victim(set);
      at = set + ((<usize>way) << 3);
      const old = load<u64>(at);
      if (old !== 0) {
        evictedTag = old;
        evictedData = load<u64>(at + this.column);
        this.uncount(old, evictedData);
        ++this.evicted;
      }
      store<u64>(at, tag);
      this.recount(tag, data);
    } else {
      this.liveFractured += fractured(data) - fractured(load<u64>(at + this.column));
    }
    store<u64>(at + this.column, data);
    const policy = this.policy;
    if (policy <= FIFO) store<u64>(at + (this.column << 1), nextTick());
    else if (policy === TREE_PLRU) this.markTree(set, <u32>(at - set) >> 3);
    else if (policy === NRU) {
      const marked = this.fillMark > 0 && nextRandom() % 100 < this.fillMark;
      store<u64>(at + (this.column << 1), marked ? 1 : 0);
    }
    return at;
  }

  recount(tag: u64, data: u64): void {
    const code = tagCode(tag);
    ++this.live;
    this.liveFractured += fractured(data);
    if (code === 0) ++this.liveCode0;
    else if (code === 1) ++this.liveCode1;
    else if (code === 2) ++this.liveCode2;
    else if (isGroup(tag)) ++this.liveGroups;
    else if (code === 3) ++this.liveCode3;
  }

  uncount(tag: u64, data: u64): void {
    const code = tagCode(tag);
    --this.live;
    this.liveFractured -= fractured(data);
    if (code === 0) --this.liveCode0;
    else if (code === 1) --this.liveCode1;
    else if (code === 2) --this.liveCode2;
    else if (isGroup(tag)) --this.liveGroups;
    else if (code === 3) --this.liveCode3;
  }

  liveOf(size: u32): u32 {
    return size === 0
      ? this.liveCode0
      : size === 1
        ? this.liveCode1
        : size === 2
          ? this.liveCode2
          : this.liveCode3;
  }

  /** Valid entries that are pages, not entries of a paging-structure cache. */
  livePages(): u32 {
    return this.liveCode0 + this.liveCode1 + this.liveCode2 + this.liveCode3 + this.liveGroups;
  }

  remove(tagAt: usize): void {
    this.uncount(load<u64>(tagAt), load<u64>(tagAt + this.column));
    store<u64>(tagAt, 0);
  }

  /** The first tag of the array and the one after the last, for scans: step 8, skip `setBytes - column` per set. */
  setCount(): u32 {
    return this.setMask + 1;
  }
}

/** 1 for a TLB entry (tlb.ts) that holds a piece of a larger stage-1 page. */
function fractured(data: u64): u32 {
  const size = <u32>(data >> 52) & 7;
  const stage1 = <u32>(data >> 55) & 7;
  return size !== stage1 && !(size === SIZE_GROUP && stage1 === 0) ? 1 : 0;
}

/** Every array of the machine. */
const MOST_ALL: i32 = 64;
const all = new StaticArray<usize>(MOST_ALL);
let made: i32 = 0;

export function newArray(entries: u32, ways: u32, policy: u32, hash: u32, fillMark: u32): TaggedArray {
  const array = new TaggedArray();
  array.init(entries, ways === 0 ? entries : ways, policy, hash, fillMark);
  all[made++] = changetype<usize>(array);
  return array;
}

/** Copies of all arrays, one after the other: each one's fields, then its sets. */
let kept: usize = 0;
let keptRandom: u64 = 0;
let keptTick: u64 = 0;

function contentBytes(array: TaggedArray): usize {
  return <usize>array.setCount() * array.setBytes;
}

/** Keeps every array as it is, for `restoreArrays`. */
export function saveArrays(): void {
  let bytes: usize = 0;
  for (let i = 0; i < made; ++i)
    bytes += offsetof<TaggedArray>() + contentBytes(changetype<TaggedArray>(all[i]));
  kept = heap.alloc(bytes);
  let at = kept;
  for (let i = 0; i < made; ++i) {
    const array = changetype<TaggedArray>(all[i]);
    memory.copy(at, all[i], offsetof<TaggedArray>());
    at += offsetof<TaggedArray>();
    memory.copy(at, array.sets, contentBytes(array));
    at += contentBytes(array);
  }
  keptRandom = random;
  keptTick = timeOfFills();
}

export function restoreArrays(): void {
  let at = kept;
  for (let i = 0; i < made; ++i) {
    memory.copy(all[i], at, offsetof<TaggedArray>());
    at += offsetof<TaggedArray>();
    const array = changetype<TaggedArray>(all[i]);
    memory.copy(array.sets, at, contentBytes(array));
    at += contentBytes(array);
  }
  heap.free(kept);
  random = keptRandom;
  setTimeOfFills(keptTick);
}
