import { FETCH, WRITE } from "../x86/access";

/**
 * Where the last translation of a page was found, so that the next access to it reads one slot of a TLB instead of
 * searching it. An accelerator of the simulator, not of the machine: a hint is believed only if its slot still
 * holds the same tag, and the hit that it leads to is counted and aged as any other.
 *
 *   vpn + 1 u64 │ tag u64 │ slot u32 │ array u32     × 512, one table for each first-level TLB
 */
const ENTRIES: usize = 512;
export const HINT_BYTES: usize = 24;

const loads = memory.data(512 * 24, 16);
const stores = memory.data(512 * 24, 16);
const instructions = memory.data(512 * 24, 16);

/** Hints of the TLB that serves stores. */
let storeHints: usize = loads;

export function separateStores(separate: bool): void {
  storeHints = separate ? stores : loads;
}

export function hintOf(vpn: u64, kind: u32): usize {
  const table = select(instructions, select(storeHints, loads, kind === WRITE), kind === FETCH);
  return table + (<usize>vpn & (ENTRIES - 1)) * HINT_BYTES;
}

export function setHint(vpn: u64, kind: u32, tagAt: usize, array: usize): void {
  const at = hintOf(vpn, kind);
  store<u64>(at, vpn + 1);
  store<u64>(at, load<u64>(tagAt), 8);
  store<u32>(at, <u32>tagAt, 16);
  store<u32>(at, <u32>array, 20);
}

/** The current address space changed. */
export function forgetHints(): void {
  memory.fill(loads, 0, ENTRIES * HINT_BYTES);
  memory.fill(stores, 0, ENTRIES * HINT_BYTES);
  memory.fill(instructions, 0, ENTRIES * HINT_BYTES);
}
