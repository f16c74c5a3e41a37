import { newMap64 } from "../memory/map64";
import { allocate, claim, NO_FRAME, ORDER_2M, release } from "./buddy";
import { placedFrame } from "./policy";
import { reclaim } from "./reclaim";

/** Frames of the guest that pages lie in, with the number of mappings that share each. */

/** By frame: mappings beside the first. The small pages of a huge one are counted each. */
const shared = newMap64(1 << 6);

/** Linux's SWAP_CLUSTER_MAX: pages that one run of reclaim is after. */
export const RECLAIM_BATCH: u32 = 32;

/** A frame for a page of the program: where the recording had it, if that is known and free. */
export function allocatePage(vpn: u64): u64 {
  const placed = placedFrame(vpn);
  return placed !== NO_FRAME && claim(placed, 0) ? placed : allocateFrame();
}

/** One frame, for which others are reclaimed if none is free; NO_FRAME if that frees none. */
export function allocateFrame(): u64 {
  const frame = allocate(0);
  if (frame !== NO_FRAME) return frame;
  return reclaim(RECLAIM_BATCH) > 0 ? allocate(0) : NO_FRAME;
}

/** Frames of the huge page that begins at `vpn`, or NO_FRAME: none is reclaimed for it. */
export function allocateHuge(vpn: u64): u64 {
  const placed = placedFrame(vpn);
  if (placed !== NO_FRAME && (placed & 511) === 0 && claim(placed, ORDER_2M)) return placed;
  return allocate(ORDER_2M);
}

export function share(frame: u64, frames: u32): void {
  for (let i: u64 = 0; i < frames; ++i) shared.set(frame + i, shared.get(frame + i) + 1);
}

/** Whether another mapping has one of the frames. */
export function isShared(frame: u64, frames: u32): bool {
  if (shared.used === 0) return false;
  for (let i: u64 = 0; i < frames; ++i) if (shared.get(frame + i) !== 0) return true;
  return false;
}

/** One mapping of the frames is gone; those that had no other are free. */
export function unshare(frame: u64, frames: u32): void {
  if (!isShared(frame, frames)) {
    release(frame, frames === 1 ? 0 : ORDER_2M);
    return;
  }
  for (let i: u64 = 0; i < frames; ++i) {
    const more = shared.get(frame + i);
    if (more !== 0) shared.set(frame + i, more - 1);
    else release(frame + i, 0);
  }
}
