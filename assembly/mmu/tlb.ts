import { countStructure, Structure, StructureCell } from "../counters";
import { Parameter, parameterAt } from "../parameters";
import { sizeShift } from "../x86/entries";
import { newArray, TaggedArray, tagCode, tagOf } from "./array";

/**
 * Data of a TLB entry. The low six bits index a permission mask (permission.ts): one shift decides an access.
 *
 *   60 ─ 58  57 ─ 55        54 ─ 52   51 ── 12     11 ─ 8  7   6  5   4   3  2  1  0
 *   type     stage-1 size   size      host frame   key     SS  G  R2  W2  D  X  U  W
 *
 * W U X: rights of stage 1 (X already combined with stage 2). D: the leaf's dirty flag is set, a write needs no walk.
 * W2 R2: rights of stage 2. SS: a shadow-stack page. What CR0.WP, SMEP, SMAP, AC and the keys make of it is decided
 * at each access.
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
export const TLB_SIZE_SHIFT: u32 = 52;
export const TLB_STAGE1_SHIFT: u32 = 55;

export function entrySize(data: u64): u32 {
  return <u32>(data >> TLB_SIZE_SHIFT) & 7;
}
export function entryStage1Size(data: u64): u32 {
  return <u32>(data >> TLB_STAGE1_SHIFT) & 7;
}

/** 4 MiB pages live where 2 MiB pages do. */
export function sizeClass(size: u32): u32 {
  return size === 3 ? 1 : size;
}

export const ARRAY_PARAMETERS: u32 = 6;
const MOST_ARRAYS: u32 = 4;

/** Where a lookup found its entry. */
export let foundArray: TaggedArray = changetype<TaggedArray>(0);

/** One level of TLB: the arrays that are looked up together. */
export class TlbLevel {
  arrays: StaticArray<usize> = new StaticArray<usize>(<i32>MOST_ARRAYS);
  length: u32 = 0;
  structure: Structure = Structure.l1d;

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
        parameterAt(at + 4),
        parameterAt(at + 5),
      );
      array.sizes = parameterAt(at);
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
    }
    return 0;
  }

  /** A lookup that counts: hits by page size and misses. */
  look(va: u64, context: u32, global: u32): usize {
    countStructure(this.structure, StructureCell.lookups);
    const at = this.find(va, context, global);
    if (at === 0) {
      countStructure(this.structure, StructureCell.misses);
      return 0;
    }
    countStructure(
      this.structure,
      <StructureCell>(<u32>StructureCell.hits4k + sizeClass(tagCode(load<u64>(at)))),
    );
    foundArray.touch(at);
    return at;
  }

  /** Puts an entry in. Returns the address of its tag and sets `foundArray`; 0 when no array holds this size. */
  fill(va: u64, size: u32, context: u32, data: u64): usize {
    const wanted: u32 = 1 << sizeClass(size);
    const page = va >> sizeShift(size);
    let holders: u32 = 0;
    let bits: u32 = 0;
    for (let i: u32 = 0; i < this.length; ++i) {
      const array = this.array(i);
      if (!(array.sizes & wanted)) continue;
      if (holders++ === 0) bits = array.setBits;
    }
    if (holders === 0) return 0;
    /* Arrays that hold the same size share its pages by the address bits above their index. */
    let nth: u32 = holders > 1 ? <u32>(page >> bits) % holders : 0;
    for (let i: u32 = 0; i < this.length; ++i) {
      const array = this.array(i);
      if (!(array.sizes & wanted)) continue;
      if (nth !== 0) {
        --nth;
        continue;
      }
      const evicted = array.evicted;
      const at = array.fill(array.setOf(page), tagOf(page, size, context), data);
      countStructure(this.structure, StructureCell.fills);
      if (array.evicted !== evicted) countStructure(this.structure, StructureCell.evictions);
      foundArray = array;
      return at;
    }
    return 0;
  }
}

export const l1d = new TlbLevel();
export const l1i = new TlbLevel();
export const l2 = new TlbLevel();
export const l2i = new TlbLevel();

/** The second level that serves instruction fetches: its own, or the shared one. */
export function l2ForFetch(): TlbLevel {
  return l2i.length > 0 ? l2i : l2;
}

export function configureTlbs(): void {
  l1d.configure(Structure.l1d, 0, 4);
  l1i.configure(Structure.l1i, 4, 4);
  l2.configure(Structure.l2, 8, 4);
  l2i.configure(Structure.l2i, 12, 2);
}
