import * as host from "../host";
import { reason } from "./reason";

/**
 * The memory of the host that embeds the core: where guest-physical addresses lie in the core's linear memory, and the
 * host's own functions for all others.
 *
 *   ranges: first address u64 │ end u64 │ place in linear memory u32 │ kind u32      × 16
 */

export enum PageKind {
  /** Nothing answers: reads as zero, writes go nowhere. */
  none,
  ram,
  /** Read-only: writes go nowhere. */
  rom,
  /** A device. */
  mmio,
}

const MOST_RANGES: u32 = 16;
const RANGE_BYTES: usize = 24;
const ranges = memory.data(16 * 24, 16);
let used: u32 = 0;
let calls = false;

/** Whether memory is a host's. */
export let hosted: bool = false;
/** Host-physical address of guest-physical 0: the model's own hypervisor has its tables below. */
export let guestBase: u64 = 0;

export function hostMemory(): void {
  hosted = true;
}
export function setGuestBase(address: u64): void {
  guestBase = address;
}
/** Addresses outside of the ranges are asked of the host's functions. */
export function callHost(): void {
  calls = true;
}

/** Lays guest-physical `first` to `end` at `at` of linear memory. Returns false if there are too many ranges. */
export function addRange(first: u64, end: u64, at: usize, kind: PageKind): bool {
  if (used === MOST_RANGES) return false;
  const range = ranges + <usize>used * RANGE_BYTES;
  ++used;
  store<u64>(range, first);
  store<u64>(range, end, 8);
  store<u32>(range, <u32>at, 16);
  store<u32>(range, kind, 20);
  return true;
}

/** Kind of the range found last. */
let rangeKind: PageKind = PageKind.none;

const NOWHERE: usize = usize.MAX_VALUE;

/** Place in linear memory of a guest-physical address, or `NOWHERE`. */
function placeOf(gpa: u64): usize {
  const end = ranges + <usize>used * RANGE_BYTES;
  for (let range: usize = ranges; range < end; range += RANGE_BYTES) {
    const first = load<u64>(range);
    if (gpa - first >= load<u64>(range, 8) - first) continue;
    rangeKind = load<u32>(range, 20);
    return <usize>load<u32>(range, 16) + <usize>(gpa - first);
  }
  rangeKind = PageKind.none;
  return NOWHERE;
}

/** What answers at a guest-physical address. */
export function kindOf(gpa: u64): PageKind {
  if (placeOf(gpa) !== NOWHERE) return rangeKind;
  if (isDefined(HOSTED)) if (calls) return <PageKind>(host.kind(<u32>gpa, <u32>(gpa >> 32)) & 3);
  return PageKind.none;
}

/** Place in linear memory of a guest-physical address, or all ones where it has none. */
export function offsetOf(gpa: u64): u32 {
  return <u32>placeOf(gpa);
}

/** Place in linear memory of a host-physical address, or 0. */
export function placeOfHost(hpa: u64): usize {
  const at = placeOf(hpa - guestBase);
  return at === NOWHERE ? 0 : at;
}

/** Whether all of `bytes` from a guest-physical address on, a multiple of them, are in one range of RAM. */
export function isRam(gpa: u64, bytes: u64): bool {
  const first = placeOf(gpa);
  return (
    first !== NOWHERE &&
    rangeKind === PageKind.ram &&
    <u64>placeOf(gpa + bytes - 1) === <u64>first + bytes - 1
  );
}

/** `bytes` is 4 or 8, the address a multiple of it. */
export function readHost(hpa: u64, bytes: u32): u64 {
  const gpa = hpa - guestBase;
  const at = placeOf(gpa);
  if (at !== NOWHERE) return bytes === 8 ? load<u64>(at) : <u64>load<u32>(at);
  if (isDefined(HOSTED)) {
    if (calls) {
      const value = host.read(<u32>gpa, <u32>(gpa >> 32), bytes, reason);
      return bytes === 8 ? value : value & 0xffff_ffff;
    }
  }
  return 0;
}

export function writeHost(hpa: u64, bytes: u32, value: u64): void {
  const gpa = hpa - guestBase;
  const at = placeOf(gpa);
  if (at !== NOWHERE) {
    if (rangeKind !== PageKind.ram) return;
    if (bytes === 8) store<u64>(at, value);
    else store<u32>(at, <u32>value);
  } else if (isDefined(HOSTED)) {
    if (calls) host.write(<u32>gpa, <u32>(gpa >> 32), bytes, value, reason);
  }
}

/** Replaces `expected` by `value`; false if the host says that something else is there by now. */
export function exchangeHost(hpa: u64, bytes: u32, expected: u64, value: u64): bool {
  const gpa = hpa - guestBase;
  const at = placeOf(gpa);
  if (at !== NOWHERE) {
    if (rangeKind !== PageKind.ram) return true;
    if (bytes === 8) store<u64>(at, value);
    else store<u32>(at, <u32>value);
    return true;
  }
  if (isDefined(HOSTED)) {
    if (calls) return host.compareExchange(<u32>gpa, <u32>(gpa >> 32), bytes, expected, value, reason) !== 0;
  }
  return true;
}
