import { countStructure, Structure, StructureCell } from "../counters";
import { Lookup, noteFill, notePsc, recording } from "../explain/log";
import { Parameter, parameterAt } from "../parameters";
import { CODE_TABLE, INDEX_HASHED, INDEX_PLAIN, newArray, TaggedArray, tagOf } from "./array";
import { l2, leaveFirst } from "./tlb";

/**
 * Paging-structure caches (SDM 3A 4.10.3): for each level, from a prefix of the address to the table the entry
 * of that level leads to, with the rights accumulated on the way. An entry that leads to a table of level n is
 * tagged with code CODE_TABLE + n - 1.
 *
 *   data   63  51 ──────── 12   11               10 ─ 0
 *          X   next table       table writable   rights (bits as in the format's entries)
 *
 * Combined mappings hold the host-physical address of the next table, so a hit skips the second-stage walks too.
 */
export const PSC_TABLE_WRITABLE: u64 = 1 << 11;

const PLACE_OWN: u32 = 1;
const PLACE_TLB: u32 = 2;
const PLACE_LEVEL_TWO: u32 = 3;
const PSC_PARAMETERS: u32 = 6;

export class PagingStructureCache {
  /** By level of the cached entry, 2 to 5; 0 where none. */
  arrays: StaticArray<usize> = new StaticArray<usize>(6);
  structure: u32 = 0;

  configure(structure: Structure, first: u32): void {
    this.structure = structure;
    for (let level: u32 = 2; level <= 5; ++level) {
      const at = <u32>Parameter.pscArrays + (first + level - 2) * PSC_PARAMETERS;
      this.arrays[level] = placed(at, this.arrays[2], this.arrays[3]);
    }
  }

  /**
   * The cached entry nearest the leaf for `address`, looked for from level `lowest` up to `highest`.
   * Returns its level and leaves its data in `pscData`, or returns 0.
   */
  look(address: u64, indexBits: u32, lowest: u32, highest: u32, context: u32): u32 {
    for (let level = lowest; level <= highest; ++level) {
      const array = changetype<TaggedArray>(unchecked(this.arrays[level]));
      if (changetype<usize>(array) === 0) continue;
      const structure = <Structure>(this.structure + level - 2);
      countStructure(structure, StructureCell.lookups);
      const prefix = address >> (12 + indexBits * (level - 1));
      const tag = tagOf(prefix, CODE_TABLE + level - 2, context);
      const at = array.find(array.setOf(prefix), tag, tag);
      if (at === 0) {
        countStructure(structure, StructureCell.misses);
        if (recording) notePsc(structure, level, Lookup.miss, address, 0);
        continue;
      }
      countStructure(structure, StructureCell.hits4k);
      array.touch(at);
      pscData = array.data(at);
      if (recording) notePsc(structure, level, Lookup.hit, address, pscData);
      return level;
    }
    return 0;
  }

  fill(address: u64, indexBits: u32, level: u32, context: u32, data: u64): void {
    const array = changetype<TaggedArray>(unchecked(this.arrays[level]));
    if (changetype<usize>(array) === 0) return;
    const prefix = address >> (12 + indexBits * (level - 1));
    const structure = <Structure>(this.structure + level - 2);
    const evicted = array.evicted;
    array.fill(array.setOf(prefix), tagOf(prefix, CODE_TABLE + level - 2, context), data);
    countStructure(structure, StructureCell.fills);
    if (recording) noteFill(structure, level, address, data);
    if (array.evicted !== evicted) countEviction(structure, array);
  }
}

/** A paging-structure cache or the nested TLB, which may lie in the second-level TLB, has evicted something. */
export function countEviction(structure: Structure, array: TaggedArray): void {
  countStructure(structure, StructureCell.evictions);
  if (l2.isInclusive && array === l2.array(0)) leaveFirst();
}

export let pscData: u64 = 0;

/** The array a cache's six parameters describe: place, entries, ways, policy, index, fill mark. */
function placed(at: u32, levelTwo: usize, levelThree: usize): usize {
  const place = parameterAt(at);
  if (place === 0) return 0;
  if (place === PLACE_TLB) return l2.length > 0 ? changetype<usize>(l2.array(0)) : 0;
  if (place === PLACE_OWN) {
    return changetype<usize>(
      newArray(
        parameterAt(at + 1),
        parameterAt(at + 2),
        parameterAt(at + 3),
        parameterAt(at + 4) !== 0 ? INDEX_HASHED : INDEX_PLAIN,
        parameterAt(at + 5),
      ),
    );
  }
  return place === PLACE_LEVEL_TWO ? levelTwo : levelThree;
}

export const guestPsc = new PagingStructureCache();
export const hostPsc = new PagingStructureCache();

/** Nested TLB: guest-physical pages to host-physical pages, for table pages and, if so configured, for data. */
let nestedArray: TaggedArray = changetype<TaggedArray>(0);

export function nestedTlb(): TaggedArray {
  return nestedArray;
}

export function configurePsc(): void {
  guestPsc.configure(Structure.pde, 0);
  hostPsc.configure(Structure.hostPde, 4);
  nestedArray = changetype<TaggedArray>(placed(<u32>Parameter.pscArrays + 8 * PSC_PARAMETERS, 0, 0));
}
