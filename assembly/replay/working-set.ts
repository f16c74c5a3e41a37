import { guestFrameOf } from "../hypervisor/backing";
import { newMap64 } from "../memory/map64";
import { forgetHints } from "../mmu/hints";

/**
 * The distinct guest frames that accesses reach in an interval. The loop need not be watched: as an interval begins
 * without hints, the first access to each page takes the slow way, and is seen there.
 */
const frames = newMap64(1 << 6);

export let watching: bool = false;

/** An interval begins: nothing was reached in it yet. */
export function watchFrames(): void {
  watching = true;
  frames.clear();
  forgetHints();
}

export function noteFrame(address: u64, isGuestPhysical: bool): void {
  const frame = address >> 12;
  frames.set(isGuestPhysical ? frame : guestFrameOf(frame), 1);
}

/** Something other than an access of the trace has used the hints. */
export function distrustHints(): void {
  if (watching) forgetHints();
}

export function framesReached(): u32 {
  return frames.used;
}
