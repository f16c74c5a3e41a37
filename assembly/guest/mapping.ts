import { Map64, newMap64 } from "../memory/map64";

/**
 * What the stand-in kernel itself knows of its mappings, apart from the tables that it writes: the oracle of traces
 * that were recorded without page tables. Pages are known by address space and page number, 4 KiB and 2 MiB pages
 * apart.
 *
 *   state: frame << 8 | flags
 */
export const MAPPED: u64 = 1;
/** The program may write the page. */
export const MAY_WRITE: u64 = 1 << 1;
/** The page is executable. */
export const MAY_FETCH: u64 = 1 << 2;
/** Its content is on the swap device. */
export const SWAPPED: u64 = 1 << 3;
/** The frame is the zero page, or the huge zero page. */
export const ZERO: u64 = 1 << 4;
/** mprotect took the right to write. */
export const PROTECTED: u64 = 1 << 5;
/** The page belongs to a file, whose content the frame had when it was mapped. */
export const OF_FILE: u64 = 1 << 6;
const STATE_SHIFT: u32 = 8;

const small: Map64 = newMap64(1 << 10);
const huge: Map64 = newMap64(1 << 8);

/** Whether a stand-in kernel plays the guest. */
export let playing: bool = false;
export function setPlaying(yes: bool): void {
  playing = yes;
}

/** Number of the current address space, in the bits that no page number of a program reaches. */
let current: u64 = 0;
const SPACE_SHIFT: u32 = 45;

export function setSpace(space: u32): void {
  current = (<u64>space) << SPACE_SHIFT;
}
/** Bits that tell pages of this space from those of others. */
export function spaceBits(space: u32): u64 {
  return (<u64>space) << SPACE_SHIFT;
}

export function stateOf(space: u64, vpn: u64): u64 {
  return small.get(space | vpn);
}
export function setState(space: u64, vpn: u64, state: u64): void {
  small.set(space | vpn, state);
}
export function hugeStateOf(space: u64, vpn: u64): u64 {
  return huge.get(space | (vpn >> 9));
}
export function setHugeState(space: u64, vpn: u64, state: u64): void {
  huge.set(space | (vpn >> 9), state);
}

export function makeState(frame: u64, flags: u64): u64 {
  return (frame << STATE_SHIFT) | flags;
}
export function frameIn(state: u64): u64 {
  return state >> STATE_SHIFT;
}

/** The frame that a page of the current address space has, or all ones. */
export function playedFrame(vpn: u64): u64 {
  if (vpn >> 44 !== 0) return u64.MAX_VALUE;
  const state = small.get(current | vpn);
  if (state & MAPPED) return frameIn(state);
  const large = huge.get(current | (vpn >> 9));
  return large & MAPPED ? frameIn(large) + (vpn & 511) : u64.MAX_VALUE;
}
