import { countStructure, Structure, StructureCell } from "../counters";
import { noteFill, recording } from "../explain/log";
import { Parameter, parameter, parameterAt } from "../parameters";
import { FETCH, READ, WRITE } from "../x86/access";
import { SIZE_4K, SIZE_GROUP, sizeShift } from "../x86/entries";
import {
  CODE_TABLE,
  evictedData,
  evictedTag,
  groupPrefix,
  groupTag,
  INDEX_HASHED,
  INDEX_PLAIN,
  newArray,
  TaggedArray,
  tagAddress,
  tagCode,
  tagContext,
  tagOf,
  tagPrefix,
  tagSize,
} from "./array";
import { separateStores } from "./hints";

/**
 * Data of a TLB entry. The low six bits index a permission mask (permission.ts): one shift decides an access.
 *
 *   60 ─ 58      57 ─ 55        54 ─ 52   51 ── 12     11 ─ 8  7   6  5   4   3  2  1  0
 *   memory type  stage-1 size   size      host frame   key     SS  G  R2  W2  D  X  U  W
 *
 * W U X: rights of stage 1 (X already combined with stage 2). D: the leaf's dirty flag is set, a write needs no walk.
 * W2 R2: rights of stage 2. SS: a shadow-stack page. What CR0.WP, SMEP, SMAP, AC and the keys make of it is decided
 * at each access. The memory type is kept for a host that embeds the core only; in the nested TLB, with bit 62, it is
 * that of the EPT leaf.
 */
export const TLB_W: u64 = 1;
export const TLB_U: u64 = 1 << 1;
export const TLB_X: u64 = 1 << 2;
export const TLB_D: u64 = 1 << 3;
export const TLB_W2: u64 = 1 << 4;
export const TLB_R2: u64 = 1 << 5;
export const TLB_G: u64 = 1 << 6;
export const TLB_SHADOW_STACK: u64 = 1 << 7;
export const TLB_KEY_SHIFT: u32 = 8;
export const TLB_FRAME: u64 = 0x000f_ffff_ffff_f000;
/** In the nested TLB: the EPT leaf's bit 63. */
export const TLB_SUPPRESS_VE: u64 = 1 << 61;
/** In the nested TLB: the EPT leaf's bit 6. */
export const TLB_IGNORE_PAT: u64 = 1 << 62;
export const TLB_TYPE_SHIFT: u32 = 58;
export const TLB_SIZE_SHIFT: u32 = 52;
export const TLB_STAGE1_SHIFT: u32 = 55;

export function entrySize(data: u64): u32 {
  return <u32>(data >> TLB_SIZE_SHIFT) & 7;
}
export function entryStage1Size(data: u64): u32 {
  return <u32>(data >> TLB_STAGE1_SHIFT) & 7;
}

export function entryType(data: u64): u32 {
  return <u32>(data >> TLB_TYPE_SHIFT) & 7;
}

/** 4 MiB pages live where 2 MiB pages do, groups of 4 KiB pages where these do. */
export function sizeClass(size: u32): u32 {
  return (0b00_01_10_01_00 >> (size << 1)) & 3;
}

/** The entry of the one page of `va` in a group. */
function pageOfGroup(data: u64, va: u64): u64 {
  return (
    (data & ~((<u64>7) << TLB_SIZE_SHIFT) & ~(((<u64>1) << sizeShift(SIZE_GROUP)) - 0x1000)) | (va & 0x3000)
  );
}

/** How a level relates to the levels before it: it holds what it likes, all that they hold, or what they evicted. */
const INCLUSIVE: u32 = 1;
const VICTIM: u32 = 2;

export const ARRAY_PARAMETERS: u32 = 6;
/** Arrays of all levels. */
const ARRAYS: u32 = 18;
const MOST_ARRAYS: u32 = 4;

/** Where a lookup found its entry. */
export let foundArray: TaggedArray = changetype<TaggedArray>(0);

/** One level of TLB: the arrays that are looked up together. */
export class TlbLevel {
  arrays: StaticArray<usize> = new StaticArray<usize>(<i32>MOST_ARRAYS);
  length: u32 = 0;
  structure: Structure = Structure.l1d;
  /** A second level that is filled by evictions of the first only. */
  isVictim: bool = false;
  /** A second level whose evictions leave the first level too. */
  isInclusive: bool = false;
  /** What takes the evictions of this first level, or null. */
  victims: TlbLevel | null = null;

  configure(structure: Structure, first: u32, most: u32): void {
    this.structure = structure;
    this.length = 0;
    for (let i: u32 = 0; i < most; ++i) {
      const at = <u32>Parameter.tlbArrays + (first + i) * ARRAY_PARAMETERS;
      const entries = parameterAt(at + 1);
      if (entries === 0) continue;
      const array = newArray(
        entries,
        parameterAt(at + 2),
        parameterAt(at + 3),
        parameterAt(at + 4) !== 0 ? INDEX_HASHED : INDEX_PLAIN,
        parameterAt(at + 5),
      );
      array.sizes = parameterAt(at);
      array.structure = structure;
      array.coalesces = parameterAt(<u32>Parameter.tlbCoalesce + first + i);
      this.arrays[this.length++] = changetype<usize>(array);
    }
  }

  array(i: u32): TaggedArray {
    return changetype<TaggedArray>(unchecked(this.arrays[i]));
  }

  /** Address of the tag that translates `va` for `context` or for `global`, or 0; sets `foundArray`. */
  find(va: u64, context: u32, global: u32): usize {
    for (let i: u32 = 0; i < this.length; ++i) {
      const array = this.array(i);
      for (let size: u32 = 0; size < 4; ++size) {
        if (array.liveOf(size) === 0) continue;
        const page = va >> sizeShift(size);
        const at = array.find(array.setOf(page), tagOf(page, size, context), tagOf(page, size, global));
        if (at !== 0) {
          foundArray = array;
          return at;
        }
      }
      if (array.liveGroups !== 0) {
        const at = findGroup(array, va, context, global);
        if (at !== 0) {
          foundArray = array;
          return at;
        }
      }
    }
    return 0;
  }

  /** Puts an entry in. Returns the address of its tag and sets `foundArray`; 0 when no array holds this size. */
  fill(va: u64, size: u32, context: u32, data: u64): usize {
    const array = this.holder(va, size);
    if (changetype<usize>(array) === 0) return 0;
    const evicted = array.evicted;
    let at: usize;
    if (size !== SIZE_GROUP) {
      const page = va >> sizeShift(size);
      at = array.fill(array.setOf(page), tagOf(page, size, context), data);
    } else if (array.coalesces) {
      at = fillGroup(array, va, context, data);
    } else {
      const page = va >> sizeShift(SIZE_4K);
      at = array.fill(array.setOf(page), tagOf(page, SIZE_4K, context), pageOfGroup(data, va));
    }
    countStructure(this.structure, StructureCell.fills);
    if (recording) noteFill(this.structure, 0, va, data);
    if (array.evicted !== evicted) {
      countStructure(this.structure, StructureCell.evictions);
      const victims = this.victims;
      if (victims !== null) victims.take(evictedTag, evictedData);
      if (this.isInclusive) leaveFirst();
    }
    foundArray = array;
    return at;
  }

  /** The array that holds a page. Arrays of the same size share its pages by the address bits above their index. */
  holder(va: u64, size: u32): TaggedArray {
    const wanted: u32 = 1 << sizeClass(size);
    let first = changetype<TaggedArray>(0);
    let holders: u32 = 0;
    for (let i: u32 = 0; i < this.length; ++i) {
      const array = this.array(i);
      if (!(array.sizes & wanted)) continue;
      if (holders++ === 0) first = array;
    }
    if (holders <= 1) return first;
    /* A group goes where its pages go. */
    const shift = sizeShift(size === SIZE_GROUP ? SIZE_4K : size);
    let nth = <u32>((va >> shift) >> first.setBits) % holders;
    for (let i: u32 = 0; i < this.length; ++i) {
      const array = this.array(i);
      if (!(array.sizes & wanted)) continue;
      if (nth-- === 0) return array;
    }
    return first;
  }

  /** An entry that the first level evicted. */
  take(tag: u64, data: u64): void {
    this.fill(tagAddress(tag), tagSize(tag), tagContext(tag), data);
  }

  removeTag(tag: u64): void {
    for (let i: u32 = 0; i < this.length; ++i) {
      const array = this.array(i);
      const at = array.find(array.setOf(tagPrefix(tag)), tag, tag);
      if (at !== 0) array.remove(at);
    }
  }
}

function findGroup(array: TaggedArray, va: u64, context: u32, global: u32): usize {
  const group = groupPrefix(va);
  return array.find(array.setOf(group), groupTag(group, context), groupTag(group, global));
}

/** A group takes the place of the entry that its page had, which may be an older, narrower one. */
function fillGroup(array: TaggedArray, va: u64, context: u32, data: u64): usize {
  const page = va >> sizeShift(SIZE_4K);
  const tag = tagOf(page, SIZE_4K, context);
  const single = array.find(array.setOf(page), tag, tag);
  if (single !== 0) array.remove(single);
  const group = groupPrefix(va);
  return array.fill(array.setOf(group), groupTag(group, context), data);
}

/** What an inclusive second level has just evicted leaves the first levels as well. */
export function leaveFirst(): void {
  const tag = evictedTag;
  if (tagCode(tag) >= CODE_TABLE) return;
  l1d.removeTag(tag);
  l1i.removeTag(tag);
  l1s.removeTag(tag);
  if (tagSize(tag) !== SIZE_GROUP) return;
  const page = tagAddress(tag) >> sizeShift(SIZE_4K);
  for (let i: u32 = 0; i < 4; ++i) {
    const single = tagOf(page + i, SIZE_4K, tagContext(tag));
    l1d.removeTag(single);
    l1i.removeTag(single);
    l1s.removeTag(single);
  }
}

export const l1d = new TlbLevel();
export const l1i = new TlbLevel();
export const l1s = new TlbLevel();
export const l2 = new TlbLevel();
export const l2i = new TlbLevel();

/** By the kind of an access, the first level that serves it: stores have their own, or that of loads. */
const firsts = new StaticArray<usize>(3);
export function firstFor(kind: u32): TlbLevel {
  return changetype<TlbLevel>(unchecked(firsts[kind]));
}

/** The second level that serves instruction fetches: its own, or the shared one. */
export function l2ForFetch(): TlbLevel {
  return l2i.length > 0 ? l2i : l2;
}

/** Whether any array keeps groups of pages. */
export function anyCoalesces(): bool {
  for (let i: u32 = 0; i < ARRAYS; ++i) if (parameterAt(<u32>Parameter.tlbCoalesce + i) !== 0) return true;
  return false;
}

export function configureTlbs(): void {
  l1d.configure(Structure.l1d, 0, 4);
  l1i.configure(Structure.l1i, 4, 4);
  l2.configure(Structure.l2, 8, 4);
  l2i.configure(Structure.l2i, 12, 2);
  l1s.configure(Structure.l1s, 14, 4);
  const separate = l1s.length > 0;
  firsts[READ] = changetype<usize>(l1d);
  firsts[WRITE] = changetype<usize>(separate ? l1s : l1d);
  firsts[FETCH] = changetype<usize>(l1i);
  separateStores(separate);
  const inclusion = parameter(Parameter.l2TlbInclusion);
  l2.isVictim = inclusion === VICTIM && l2.length > 0;
  l2.isInclusive = inclusion === INCLUSIVE;
  l2i.isVictim = l2.isVictim;
  l2i.isInclusive = l2.isInclusive;
  l1d.victims = l2.isVictim ? l2 : null;
  l1s.victims = l1d.victims;
  l1i.victims = l2.isVictim ? l2ForFetch() : null;
}
