import { Counter, count } from "../counters";
import { Parameter, parameter } from "../parameters";
import { INDEX_PLAIN, LRU, newArray, TAG_VALID, TaggedArray } from "./array";

/**
 * The cache hierarchy as page-table references (and data, if so configured) see it: three levels of 64-byte
 * lines by host-physical address, each filled by every reference that misses it.
 */
let enabled = false;
let flat: u32 = 0;
let memoryCycles: u32 = 0;
const levels = new StaticArray<usize>(3);
const cycles = new StaticArray<u32>(3);

function configureLevel(level: u32, bytes: Parameter): void {
  const size = parameter(bytes);
  const ways = parameter(<Parameter>(<u32>bytes + 1));
  cycles[level] = parameter(<Parameter>(<u32>bytes + 2));
  levels[level] = size === 0 ? 0 : changetype<usize>(newArray(size >> 6, ways, LRU, INDEX_PLAIN, 0));
}

export function configureCaches(): void {
  enabled = parameter(Parameter.caches) !== 0;
  flat = parameter(Parameter.referenceCycles);
  memoryCycles = parameter(Parameter.memoryCycles);
  if (!enabled) return;
  configureLevel(0, Parameter.l1Bytes);
  configureLevel(1, Parameter.l2Bytes);
  configureLevel(2, Parameter.l3Bytes);
}

/** Level that held the line (0 to 2), or 3 for memory; the line is in every level afterwards. */
function touchLine(hpa: u64): u32 {
  const line = hpa >> 6;
  const tag = TAG_VALID | line;
  let found: u32 = 3;
  for (let level: u32 = 0; level < 3; ++level) {
    const array = changetype<TaggedArray>(unchecked(levels[level]));
    if (changetype<usize>(array) === 0) continue;
    const at = array.find(array.setOf(line), tag, tag);
    if (at !== 0) {
      array.touch(at);
      found = level;
      break;
    }
  }
  for (let level: u32 = 0; level < found; ++level) {
    const array = changetype<TaggedArray>(unchecked(levels[level]));
    if (changetype<usize>(array) !== 0) array.fill(array.setOf(line), tag, 0);
  }
  return found;
}

/** Cycles of a page-table reference. */
export function tableCycles(hpa: u64): u32 {
  if (!enabled) return flat;
  const level = touchLine(hpa);
  count(<Counter>(<u32>Counter.tableLinesL1 + level));
  return level === 3 ? memoryCycles : unchecked(cycles[level]);
}

/** Cycles of a data access beyond a hit in the first level. */
export function dataCycles(hpa: u64): u32 {
  const level = touchLine(hpa);
  const base = unchecked(cycles[0]);
  const its = level === 3 ? memoryCycles : unchecked(cycles[level]);
  return its > base ? its - base : 0;
}
