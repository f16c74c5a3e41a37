import { Counter, count } from "../counters";
import { Map64, newMap64 } from "../memory/map64";
import { hosted, kindOf, PageKind, setGuestBase } from "../memory/ranges";
import { Parameter, parameter } from "../parameters";

/**
 * Which host frame holds which guest frame. The hypervisor gives host memory on first use, in pages of the
 * configured size, so that second-stage violations and shadow fills arise by themselves. Natively the guest's
 * frames are the host's.
 */

let native = true;
let pageShift: u32 = 12;
let scattered = false;
let scatter: u64 = 0;
let scatterBits: u32 = 0;
let scatterMask: u64 = 0;

/** Large host pages by number of their guest counterpart; value is the first host frame. */
const chunks: Map64 = newMap64();
/** Guest frames of device memory. */
const devices: Map64 = newMap64(1 << 6);
/** Guest frames by host frame, in chunks. */
const owners: Map64 = newMap64();

/** Chunks handed out. */
let nextChunk: u64 = 0;
/** Guest memory starts here, the hypervisor's tables lie below: at 4 GiB, or at a sixteenth of a narrow host's memory. */
let firstFrame: u64 = 1 << 20;
let nextTable: u64 = 0x100;

export function configureBacking(isNative: bool): void {
  native = isNative;
  pageShift = parameter(Parameter.hostPageShift);
  scattered = parameter(Parameter.hostPlacement) !== 0;
  scatter = ((<u64>parameter(Parameter.seed)) << 1) | 1;
  const bits = parameter(Parameter.hostAddressBits);
  firstFrame = bits < 36 ? max<u64>((<u64>1) << (bits - 16), (<u64>1) << (pageShift - 12)) : 1 << 20;
  const room = bits - 1;
  scatterBits = room > pageShift ? min<u32>(24, room - pageShift) : 0;
  scatterMask = ((<u64>1) << scatterBits) - 1;
  /* A host that embeds the core has its RAM in one piece: guest frames keep their order. */
  setGuestBase(native ? 0 : firstFrame << 12);
  nextChunk = 0;
  nextTable = 0x100;
}

/**
 * Places a chunk: in order of use, or by an odd multiplier and a shift, which is a permutation of its low bits. They are
 * as many as fit below half of the host's physical memory, at most 24.
 */
function place(n: u64): u64 {
  if (!scattered) return n;
  const mask = scatterMask;
  let x = ((n & mask) * (0x9e3779b1 ^ (scatter << 1))) & mask;
  x ^= x >> (scatterBits >> 1);
  x = (x * 0x85ebcb) & mask;
  return (n & ~mask) | x;
}

/** log2 of the host page that backs (or will back) a guest frame. */
export function hostPageShift(): u32 {
  return pageShift;
}

/** Host frame of a guest frame, or all ones if it has no memory yet. */
export function backedFrameOf(gfn: u64): u64 {
  if (native) return gfn;
  const per = pageShift - 12;
  const first = chunks.get(gfn >> per, u64.MAX_VALUE);
  return first === u64.MAX_VALUE ? first : first + (gfn & (((<u64>1) << per) - 1));
}

/** Host frame of a guest frame, given memory now if it had none. */
export function hostFrameOf(gfn: u64): u64 {
  if (native) return gfn;
  const per = pageShift - 12;
  const chunk = gfn >> per;
  const within = gfn & (((<u64>1) << per) - 1);
  const first = chunks.get(chunk, u64.MAX_VALUE);
  if (first !== u64.MAX_VALUE) return first + within;
  if (looking && !hosted) return NOWHERE;
  const unit = (firstFrame >> per) + (hosted ? chunk : place(nextChunk++));
  if (looking) return (unit << per) + within;
  const frame = unit << per;
  chunks.set(chunk, frame);
  owners.set(unit, chunk);
  count(pageShift === 12 ? Counter.backed4k : pageShift === 21 ? Counter.backed2m : Counter.backed1g);
  return frame + within;
}

export function hostAddressOf(gpa: u64): u64 {
  return (hostFrameOf(gpa >> 12) << 12) | (gpa & 0xfff);
}

/** Guest frame that a host frame holds, or all ones. */
export function guestFrameOf(hfn: u64): u64 {
  if (native) return hfn;
  if (hosted) return hfn - firstFrame;
  const per = pageShift - 12;
  const chunk = owners.get(hfn >> per, u64.MAX_VALUE);
  return chunk === u64.MAX_VALUE ? chunk : (chunk << per) | (hfn & (((<u64>1) << per) - 1));
}

export function markDevice(gfn: u64): void {
  devices.set(gfn, 1);
}
export function isDevice(gfn: u64): bool {
  if (hosted) return kindOf(gfn << 12) !== PageKind.ram && !isReadOnly(gfn);
  return devices.used !== 0 && devices.has(gfn);
}

/** Memory that the guest cannot write. */
export function isReadOnly(gfn: u64): bool {
  return hosted && kindOf(gfn << 12) === PageKind.rom;
}

let looking = false;
/** A frame that nothing is ever written to. */
const NOWHERE: u64 = (1 << 40) - 1;

/** With `yes`, what is looked up is not given memory by it: for a probe, which has no effects. */
export function lookOnly(yes: bool): void {
  looking = yes;
}

/** A host frame for one of the hypervisor's own tables. */
export function allocateTable(): u64 {
  count(Counter.hypervisorTables);
  return nextTable++;
}
