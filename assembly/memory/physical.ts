import { exchangeHost, guestBase, hosted, placeOfHost, readHost, writeHost } from "./ranges";

/**
 * Host-physical memory, as far as it holds page tables: frames appear when they are first written; every other
 * frame reads as zero. Where a host embeds the core, its memory holds the guest's frames (host.ts); the frames here
 * are then the hypervisor's own tables only.
 *
 *   frames: open addressing, capacity a power of two, at most half full
 *   ┌───────────────┬─────────────────┐
 *   │ frame + 1 u64 │ page address u64│  × capacity
 *   └───────────────┴─────────────────┘
 */

let capacity: u32 = 1 << 12;
let used: u32 = 0;
let slots: usize = 0;
/** The frame looked up last: walks of one region read the same few tables again and again. */
let recentFrame: u64 = u64.MAX_VALUE;
let recentPage: usize = 0;

const HASH: u64 = 0x9e3779b97f4a7c15;

function slotOf(frame: u64): usize {
  const mask = capacity - 1;
  let i = <u32>((frame * HASH) >> 32) & mask;
  while (true) {
    const at = slots + ((<usize>i) << 4);
    const key = load<u64>(at);
    if (key === 0 || key === frame + 1) return at;
    i = (i + 1) & mask;
  }
}

function grow(): void {
  const old = slots;
  const oldCapacity = capacity;
  capacity = capacity << 1;
  slots = heap.alloc((<usize>capacity) << 4);
  memory.fill(slots, 0, (<usize>capacity) << 4);
  for (let i: u32 = 0; i < oldCapacity; ++i) {
    const at = old + ((<usize>i) << 4);
    const key = load<u64>(at);
    if (key === 0) continue;
    const to = slotOf(key - 1);
    store<u64>(to, key);
    store<u64>(to, load<u64>(at, 8), 8);
  }
  heap.free(old);
}

export function initMemory(): void {
  slots = heap.alloc((<usize>capacity) << 4);
  memory.fill(slots, 0, (<usize>capacity) << 4);
}

/** Whether the address is in memory of the host that embeds the core. */
function isHosted(address: u64): bool {
  return hosted && address >= guestBase;
}

/** Address of a frame's 4 KiB, or 0 for a frame that was never written. */
export function findPage(frame: u64): usize {
  if (isHosted(frame << 12)) return placeOfHost(frame << 12);
  if (frame === recentFrame) return recentPage;
  const page = <usize>load<u64>(slotOf(frame), 8);
  if (page !== 0) {
    recentFrame = frame;
    recentPage = page;
  }
  return page;
}

/** Pages are carved from slabs: one growth of memory a megabyte, not one a page. */
const SLAB: usize = 1 << 20;
let slab: usize = 0;
let slabEnd: usize = 0;

/** Pages given back by `clearMemory`, each with the address of the next in its first bytes. */
let freePages: usize = 0;

function newPage(): usize {
  let page = freePages;
  if (page !== 0) freePages = load<usize>(page);
  else {
    if (slab === slabEnd) {
      slab = heap.alloc(SLAB);
      slabEnd = slab + SLAB;
    }
    page = slab;
    slab += 4096;
  }
  memory.fill(page, 0, 4096);
  return page;
}

/** Address of a frame's 4 KiB, zeroed when it is new. */
export function pageOf(frame: u64): usize {
  let page = findPage(frame);
  if (page !== 0) return page;
  if ((used + 1) << 1 > capacity) grow();
  const at = slotOf(frame);
  page = newPage();
  store<u64>(at, frame + 1);
  store<u64>(at, <u64>page, 8);
  ++used;
  return page;
}

export function read64(address: u64): u64 {
  if (isHosted(address)) return readHost(address & ~7, 8);
  const page = findPage(address >> 12);
  return page === 0 ? 0 : load<u64>(page + <usize>(address & 0xff8));
}

export function read32(address: u64): u64 {
  if (isHosted(address)) return readHost(address & ~3, 4);
  const page = findPage(address >> 12);
  return page === 0 ? 0 : <u64>load<u32>(page + <usize>(address & 0xffc));
}

/** Writing zero where nothing was ever written changes nothing and takes no memory. */
export function write64(address: u64, value: u64): void {
  if (isHosted(address)) {
    writeHost(address & ~7, 8, value);
    return;
  }
  if (value === 0 && findPage(address >> 12) === 0) return;
  store<u64>(pageOf(address >> 12) + <usize>(address & 0xff8), value);
}

export function write32(address: u64, value: u32): void {
  if (isHosted(address)) {
    writeHost(address & ~3, 4, value);
    return;
  }
  store<u32>(pageOf(address >> 12) + <usize>(address & 0xffc), value);
}

/** A locked exchange of an entry of 4 or 8 bytes; false if it is not `expected` any more. */
export function exchangeEntry(address: u64, bytes: u32, expected: u64, value: u64): bool {
  if (isHosted(address)) return exchangeHost(address, bytes, expected, value);
  if (bytes === 8) write64(address, value);
  else write32(address, <u32>value);
  return true;
}

/** Forgets every frame. */
export function clearMemory(): void {
  for (let i: u32 = 0; i < capacity; ++i) {
    const at = slots + ((<usize>i) << 4);
    if (load<u64>(at) === 0) continue;
    const page = <usize>load<u64>(at, 8);
    store<usize>(page, freePages);
    freePages = page;
  }
  memory.fill(slots, 0, (<usize>capacity) << 4);
  used = 0;
  recentFrame = u64.MAX_VALUE;
}
