import { add, Counter, count, read, set } from "../counters";
import { playedFrame, playing } from "../guest/mapping";
import { backedFrameOf, guestFrameOf } from "../hypervisor/backing";
import { newMap64 } from "../memory/map64";

/**
 * The recorded true mapping, page by page: each access of the model is compared with it; nothing is translated by
 * it. And the digest of what the guest saw: every access's guest-physical page, and every fault.
 */
const truth = newMap64(1 << 12);

/** Recent pages: vpn + 1 u64 │ host frame u64 │ guest frame u64. */
const RECENT: usize = 4096;
const recent = memory.data(4096 * 24, 16);

const UNKNOWN: u64 = u64.MAX_VALUE;

let digest: u64 = 0xcbf29ce484222325;
let checked: u64 = 0;

/**
 * The first contradiction, for the driver: event, address, the guest frame that the model found (all ones: none),
 * the recorded one, kind of access, outcome (x86/fault.ts; 0 when translated elsewhere), error code. Seven u64.
 */
const mismatch = memory.data(7 * 8, 16);
let mismatches: u64 = 0;

export function mismatchAddress(): usize {
  return mismatch;
}

export function recordMapping(vpn: u64, gfn: u64): void {
  truth.set(vpn, gfn);
  forgetFrame(vpn);
  count(Counter.mappings);
}

/** The host moved guest memory: what was remembered of host frames is void. */
export function forgetFrames(): void {
  memory.fill(recent, 0, RECENT * 24);
}

/** The mapping of one page changes. */
export function forgetFrame(vpn: u64): void {
  store<u64>(recent + (<usize>vpn & (RECENT - 1)) * 24, 0);
}

/** What the recording says, or the stand-in kernel that plays in its place. */
export function trueFrame(vpn: u64): u64 {
  return playing ? playedFrame(vpn) : truth.get(vpn, UNKNOWN);
}

function fold(value: u64): void {
  digest = (digest ^ value) * 0x100000001b3;
  digest ^= digest >> 29;
}

/** Looks a page up again when it is not a recent one, or is not the page found. Exported to stay out of the loop. */
export function verifySlow(vpn: u64, hfn: u64, event: u64, kind: u32): void {
  const gfn = trueFrame(vpn);
  if (gfn === UNKNOWN && !playing) {
    count(Counter.oracleUnknown);
    fold(guestFrameOf(hfn));
    return;
  }
  ++checked;
  const expected = backedFrameOf(gfn);
  fold(gfn);
  if (expected === hfn) {
    const at = recent + (<usize>vpn & (RECENT - 1)) * 24;
    store<u64>(at, vpn + 1);
    store<u64>(at, hfn, 8);
    store<u64>(at, gfn, 16);
    return;
  }
  noteMismatch(event, vpn << 12, guestFrameOf(hfn), gfn, kind, 0, 0);
}

/** Compares a translation with the recording. */
export function verify(vpn: u64, hfn: u64, event: u64, kind: u32): void {
  const at = recent + (<usize>vpn & (RECENT - 1)) * 24;
  if (load<u64>(at) === vpn + 1 && load<u64>(at, 8) === hfn) {
    ++checked;
    fold(load<u64>(at, 16));
    return;
  }
  verifySlow(vpn, hfn, event, kind);
}

/** Compares an access that the hypervisor carried out at a guest-physical page. */
export function verifyGuestFrame(vpn: u64, gfn: u64, event: u64, kind: u32): void {
  const expected = trueFrame(vpn);
  fold(expected === UNKNOWN ? gfn : expected);
  if (expected === UNKNOWN) count(Counter.oracleUnknown);
  else {
    ++checked;
    if (expected !== gfn) noteMismatch(event, vpn << 12, gfn, expected, kind, 0, 0);
  }
}

/** Compares an access of the stand-in kernel with the frame that it meant. */
export function checkFrame(event: u64, va: u64, gfn: u64, found: u64, kind: u32): void {
  if (found !== gfn) noteMismatch(event, va, found, gfn, kind, 0, 0);
}

/** An access of the recording that the model refused. */
export function refuse(vpn: u64, event: u64, kind: u32, outcome: u32, code: u64): void {
  const gfn = trueFrame(vpn);
  ++checked;
  fold(gfn);
  noteMismatch(event, vpn << 12, UNKNOWN, gfn, kind, outcome, code);
}

function noteMismatch(
  event: u64,
  va: u64,
  found: u64,
  recorded: u64,
  kind: u32,
  outcome: u32,
  code: u64,
): void {
  if (mismatches++ !== 0) return;
  store<u64>(mismatch, event);
  store<u64>(mismatch, va, 8);
  store<u64>(mismatch, found, 16);
  store<u64>(mismatch, recorded, 24);
  store<u64>(mismatch, kind, 32);
  store<u64>(mismatch, outcome, 40);
  store<u64>(mismatch, code, 48);
}

/** A page fault that the guest took. */
export function foldFault(code: u64, address: u64): void {
  fold((code << 1) | 1);
  fold(address);
}

export function foldDigest(value: u64): void {
  fold(value);
}
export function digestValue(): u64 {
  return digest;
}

/** The last access verified is made `n` more times with the same result. */
export function repeatVerified(vpn: u64, n: u64): void {
  if (trueFrame(vpn) === UNKNOWN) add(Counter.oracleUnknown, n);
  else checked += n;
  fold(n);
}

/** Brings the oracle's counters up to date. The second halves of accesses that cross a page are not counted again. */
export function settleOracle(): void {
  const accesses = checked - min(checked, read(Counter.pageCrossings));
  set(Counter.oracleChecked, accesses + read(Counter.kernelAccesses));
  set(Counter.oracleMismatches, mismatches);
}
