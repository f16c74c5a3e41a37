import { below } from "./random";

/**
 * Every page that the kernel mapped for a program, in the order of its first mapping: a ring that grows. An entry may be
 * out of date, as its page may be gone or split since.
 *
 *   63     62 ── 45   44 ── 0
 *   huge   process    page number
 */
const HUGE: u64 = 1 << 63;
const PAGE: u64 = (1 << 45) - 1;

let ring = new StaticArray<u64>(1 << 10);
let head: u32 = 0;
let length: u32 = 0;

export function queuePage(space: u64, vpn: u64, huge: bool): void {
  if (length === <u32>ring.length) {
    const grown = new StaticArray<u64>(ring.length << 1);
    for (let i: u32 = 0; i < length; ++i) grown[i] = ring[(head + i) & (length - 1)];
    ring = grown;
    head = 0;
  }
  unchecked((ring[(head + length) & (<u32>ring.length - 1)] = space | vpn | (huge ? HUGE : 0)));
  ++length;
}

export function queuedPages(): u32 {
  return length;
}

/** The oldest entry, taken off. */
export function nextPage(): u64 {
  const entry = unchecked(ring[head]);
  head = (head + 1) & (<u32>ring.length - 1);
  --length;
  return entry;
}

/** Any entry, left where it is. */
export function anyPage(): u64 {
  return unchecked(ring[(head + below(length)) & (<u32>ring.length - 1)]);
}

export function isHuge(entry: u64): bool {
  return (entry & HUGE) !== 0;
}
export function processNumber(entry: u64): u32 {
  return <u32>((entry & ~HUGE) >> 45);
}
export function pageNumber(entry: u64): u64 {
  return entry & PAGE;
}
