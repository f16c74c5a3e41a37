import { below } from "./random";

/**
 * The free frames of the guest's RAM: a buddy allocator (Linux mm/page_alloc.c: `__rmqueue_smallest`, `expand`,
 * `__free_one_page`). A bit for each block of each order, and a bit for each word of these that is not zero; the lowest
 * free block is taken, as a freshly booted zone hands its frames out in ascending order.
 */
const ORDERS: i32 = 11;
/** log2 of the frames of a 2 MiB page. */
export const ORDER_2M: u32 = 9;
export const NO_FRAME: u64 = u64.MAX_VALUE;

const bits = new StaticArray<usize>(ORDERS);
const summaries = new StaticArray<usize>(ORDERS);
/** Words of each summary, and the lowest that may hold a bit. */
const lengths = new StaticArray<u32>(ORDERS);
const lowest = new StaticArray<u32>(ORDERS);
const free = new StaticArray<u32>(ORDERS);

/** Guest frame that the first bit stands for. */
let base: u64 = 0;
/** Frames of the zone. */
let size: u64 = 0;

/** A zone of `count` frames from `first` on, none of them free. */
export function createZone(first: u64, count: u32): void {
  base = first;
  size = count;
  kept = 0;
  for (let order: i32 = 0; order < ORDERS; ++order) {
    const words = (count >> (order + 6)) + 1;
    const length = (words >> 6) + 1;
    bits[order] = heap.alloc((<usize>length) << 9);
    memory.fill(bits[order], 0, (<usize>length) << 9);
    summaries[order] = heap.alloc((<usize>length) << 3);
    memory.fill(summaries[order], 0, (<usize>length) << 3);
    lengths[order] = length;
    lowest[order] = length;
    free[order] = 0;
  }
}

function has(order: u32, block: u32): bool {
  return ((load<u64>(unchecked(bits[order]) + ((<usize>block >> 6) << 3)) >> (block & 63)) & 1) !== 0;
}

function put(order: u32, block: u32): void {
  const word = block >> 6;
  const at = unchecked(bits[order]) + ((<usize>word) << 3);
  store<u64>(at, load<u64>(at) | ((<u64>1) << (block & 63)));
  const above = unchecked(summaries[order]) + ((<usize>word >> 6) << 3);
  store<u64>(above, load<u64>(above) | ((<u64>1) << (word & 63)));
  if (word >> 6 < unchecked(lowest[order])) unchecked((lowest[order] = word >> 6));
  unchecked(++free[order]);
}

function take(order: u32, block: u32): void {
  const word = block >> 6;
  const at = unchecked(bits[order]) + ((<usize>word) << 3);
  const left = load<u64>(at) & ~((<u64>1) << (block & 63));
  store<u64>(at, left);
  unchecked(--free[order]);
  if (left !== 0) return;
  const above = unchecked(summaries[order]) + ((<usize>word >> 6) << 3);
  store<u64>(above, load<u64>(above) & ~((<u64>1) << (word & 63)));
}

/** The lowest free block of an order that has one. */
function first(order: u32): u32 {
  let i = unchecked(lowest[order]);
  const summary = unchecked(summaries[order]);
  while (load<u64>(summary + ((<usize>i) << 3)) === 0) ++i;
  unchecked((lowest[order] = i));
  const word = (i << 6) + <u32>ctz(load<u64>(summary + ((<usize>i) << 3)));
  return (word << 6) + <u32>ctz(load<u64>(unchecked(bits[order]) + ((<usize>word) << 3)));
}

/** First frame of 2^order free frames, which are taken, or NO_FRAME. */
export function allocate(order: u32): u64 {
  for (let found = order; found < <u32>ORDERS; ++found) {
    if (unchecked(free[found]) === 0) continue;
    let block = first(found);
    take(found, block);
    while (found > order) {
      --found;
      block <<= 1;
      put(found, block + 1);
    }
    return base + ((<u64>block) << order);
  }
  return NO_FRAME;
}

/** A bit for each frame that is kept for the page that a recording had in it; none while there is no such page. */
let kept: usize = 0;

function isKept(block: u64): bool {
  return ((load<u64>(kept + ((<usize>block >> 6) << 3)) >> (block & 63)) & 1) !== 0;
}

function flipKept(block: u64): void {
  const at = kept + ((<usize>block >> 6) << 3);
  store<u64>(at, load<u64>(at) ^ ((<u64>1) << (block & 63)));
}

/** Keeps the frames from `from` to before `to`, as far as they are free RAM, for `claim`: nothing else is given them. */
export function keep(from: u64, to: u64): void {
  if (kept === 0) {
    const bytes = ((<usize>size >> 6) + 1) << 3;
    kept = heap.alloc(bytes);
    memory.fill(kept, 0, bytes);
  }
  const end = min(to, base + size);
  for (let frame = max(from, base); frame < end; ) {
    const order: u32 =
      (frame & 511) === 0 && frame + 512 <= end && allocateAt(frame, ORDER_2M) ? ORDER_2M : 0;
    if (order !== 0 || allocateAt(frame, 0))
      for (let i: u64 = 0; i < (<u64>1) << order; ++i) flipKept(frame - base + i);
    frame += (<u64>1) << order;
  }
}

/** Takes these 2^order frames, which are all kept or all free; false if they are not, or no RAM. */
export function claim(frame: u64, order: u32): bool {
  const count = (<u64>1) << order;
  if (kept === 0 || frame < base || frame + count > base + size) return allocateAt(frame, order);
  for (let i: u64 = 0; i < count; ++i) if (!isKept(frame - base + i)) return allocateAt(frame, order);
  for (let i: u64 = 0; i < count; ++i) flipKept(frame - base + i);
  return true;
}

/** Gives 2^order frames back, which join with the buddies that are free. */
export function release(frame: u64, order: u32): void {
  let block = <u32>((frame - base) >> order);
  while (order < <u32>ORDERS - 1 && has(order, block ^ 1)) {
    take(order, block ^ 1);
    block >>= 1;
    ++order;
  }
  put(order, block);
}

/** Makes the frames from `from` to before `to` free, in the largest blocks. */
export function releaseRange(from: u64, to: u64): void {
  let frame = from - base;
  const end = to - base;
  while (frame < end) {
    let order: u32 = frame === 0 ? <u32>ORDERS - 1 : min<u32>(<u32>ORDERS - 1, <u32>ctz(frame));
    while (frame + ((<u64>1) << order) > end) --order;
    release(base + frame, order);
    frame += (<u64>1) << order;
  }
}

/** Takes these 2^order frames out of the free block that holds them; false if they are not free, or no RAM. */
export function allocateAt(frame: u64, order: u32): bool {
  if (frame < base || frame + ((<u64>1) << order) > base + size) return false;
  const index = <u32>(frame - base);
  for (let found = order; found < <u32>ORDERS; ++found) {
    if (!has(found, index >> found)) continue;
    take(found, index >> found);
    while (found > order) {
      --found;
      put(found, (index >> found) ^ 1);
    }
    return true;
  }
  return false;
}

/** Frames that never move lie in `percent` of the 2 MiB blocks, which so have no free huge page. */
export function fragment(from: u64, to: u64, percent: u32): void {
  if (percent === 0) return;
  for (let block = (from + 511) & ~511; block + 512 <= to; block += 512) {
    const hit = below(100) < percent;
    const within = below(512);
    if (hit) allocateAt(block + within, 0);
  }
}
