import { newMap64 } from "../memory/map64";
import { hosted, isRam } from "../memory/ranges";
import { hostPageShift, isReadOnly } from "./backing";

/**
 * What the host has behind a guest page. It is a private anonymous mapping: memory that the host took away comes back
 * as the zero page when it is read, and as a page of its own when it is written (Linux mm/memory.c: `do_anonymous_page`,
 * `do_wp_page`; huge_memory.c: `do_huge_pmd_anonymous_page`, `do_huge_pmd_wp_page`). A page that is back has the same frame again, so that its content, which a swap would keep, is kept.
 */
export enum HostPage {
  writable,
  readOnly,
  /** The shared page is being replaced by a copy: its mappings must go, and the fault is taken again. */
  copied,
}

const ABSENT: u64 = 1;
/** The zero page, or one that same-page merging left. */
const SHARED: u64 = 2;

/** By guest frame: 0 a page of its own. Frames of a large page have a state only when it is broken up. */
const states = newMap64(1 << 6);

/** A large host page that is taken whole leaves nothing in its place, and comes back as a large page. */
const LARGE_ABSENT: u64 = 1;
const LARGE_ZERO: u64 = 2;
const BROKEN: u64 = 3;
/** By 2 MiB range: 0 a large page of its own. */
const ranges = newMap64(1 << 6);
/** 1 GiB ranges whose host page was broken up. */
const brokenGigabytes = newMap64(1 << 4);
let anyTaken = false;

/** First frame, and the one after the last, of the range whose stores are logged. */
let logFirst: u64 = 0;
let logEnd: u64 = 0;

/** What the hypervisor does when the host is about to change frames: it drops what maps them. KVM: `kvm_mmu_notifier_ops`. */
type Notifier = (gfn: u64, frames: u64) => void;
let notify: Notifier = (_gfn: u64, _frames: u64): void => {};

export function registerNotifier(notifier: Notifier): void {
  notify = notifier;
}

function stateOf(range: u64): u64 {
  return hostPageShift() === 12 ? BROKEN : ranges.get(range);
}

/** Linux mm/huge_memory.c: `__split_huge_pmd`, with a notification of its own. A large zero page becomes small ones. */
function breakUp(range: u64): void {
  const first = range << 9;
  notify(first, 512);
  const state: u64 = ranges.get(range) === LARGE_ZERO ? SHARED : 0;
  for (let gfn = first; gfn < first + 512; ++gfn) states.set(gfn, state);
  ranges.set(range, BROKEN);
}

/**
 * The host takes pages away in one call, or makes them some of several that `shared` content is read from, until they
 * are written. Linux mm/memory.c: `zap_pmd_range`.
 */
export function takePages(gfn: u64, frames: u64, shared: bool): void {
  notify(gfn, frames);
  anyTaken = true;
  const end = gfn + frames;
  for (let range = gfn >> 9; range << 9 < end; ++range) {
    const first = max(gfn, range << 9);
    const last = min(end, (range + 1) << 9);
    const state = stateOf(range);
    brokenGigabytes.set(range >> 9, 1);
    if (state !== BROKEN) {
      if (state === LARGE_ABSENT) continue;
      if (!shared && last - first === 512) {
        ranges.set(range, LARGE_ABSENT);
        continue;
      }
      breakUp(range);
    }
    for (let i = first; i < last; ++i) states.set(i, shared ? SHARED : ABSENT);
  }
}

/** The host gives a page for an access. */
export function faultIn(gfn: u64, write: bool): HostPage {
  if (isReadOnly(gfn)) return HostPage.readOnly;
  if (!anyTaken) return HostPage.writable;
  const range = gfn >> 9;
  const large = stateOf(range);
  if (large === LARGE_ABSENT) ranges.set(range, write ? 0 : LARGE_ZERO);
  else if (large === LARGE_ZERO && write) breakUp(range);
  if (stateOf(range) !== BROKEN) return stateOf(range) === 0 ? HostPage.writable : HostPage.readOnly;
  const state = states.get(gfn);
  if (state === 0) return HostPage.writable;
  if (!write) {
    states.set(gfn, SHARED);
    return HostPage.readOnly;
  }
  states.set(gfn, 0);
  if (state === ABSENT) return HostPage.writable;
  notify(gfn, 1);
  return HostPage.copied;
}

/** Whether the host has a page that may be mapped writable without more ado. */
export function isWritable(gfn: u64): bool {
  if (isReadOnly(gfn)) return false;
  if (!anyTaken) return true;
  const large = stateOf(gfn >> 9);
  return large === BROKEN ? states.get(gfn) === 0 : large === 0;
}

/** Level of the leaf that a host page fills. */
export function hostLevelOf(gfn: u64): u32 {
  const shift = hostPageShift();
  if (shift === 12) return 1;
  if (hosted && !isRam((gfn >> 9) << 21, 1 << 21)) return 1;
  if (hosted && shift === 30 && !isRam((gfn >> 18) << 30, 1 << 30)) return 2;
  if (anyTaken) {
    if (ranges.get(gfn >> 9) === BROKEN) return 1;
    if (shift === 30 && brokenGigabytes.has(gfn >> 18)) return 2;
  }
  return shift === 21 ? 2 : 3;
}

export function logStores(gfn: u64, frames: u64): void {
  logFirst = gfn;
  logEnd = gfn + frames;
}
export function isDirtyLogged(gfn: u64): bool {
  return gfn >= logFirst && gfn < logEnd;
}
