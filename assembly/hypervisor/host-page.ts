import { newMap64 } from "../memory/map64";
import { hostPageShift } from "./backing";

/**
 * What the host has behind a guest page. It is a private anonymous mapping: memory that the host took away comes back
 * as the zero page when it is read, and as a page of its own when it is written (Linux mm/memory.c: `do_anonymous_page`,
 * `do_wp_page`). A page that is back has the same frame again, so that its content, which a swap would keep, is kept.
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

/** By guest frame: 0 a page of its own. */
const states = newMap64(1 << 6);
/** 2 MiB ranges whose large host page was broken up, and 1 GiB ranges likewise. */
const broken = newMap64(1 << 6);
let anyTaken = false;

/** First frame, and the one after the last, of the range whose stores are logged. */
let logFirst: u64 = 0;
let logEnd: u64 = 0;

/** The host takes a page away, or makes it one of several that `shared` content is read from, until it is written. */
export function takePage(gfn: u64, shared: bool): void {
  anyTaken = true;
  states.set(gfn, shared ? SHARED : ABSENT);
  broken.set((gfn >> 9) << 1, 1);
  broken.set(((gfn >> 18) << 1) | 1, 1);
}

/** The host gives a page for an access. */
export function faultIn(gfn: u64, write: bool): HostPage {
  if (!anyTaken) return HostPage.writable;
  const state = states.get(gfn);
  if (state === 0) return HostPage.writable;
  if (!write) {
    states.set(gfn, SHARED);
    return HostPage.readOnly;
  }
  states.set(gfn, 0);
  return state === ABSENT ? HostPage.writable : HostPage.copied;
}

/** Whether the host has a page that may be mapped writable without more ado. */
export function isWritable(gfn: u64): bool {
  return !anyTaken || states.get(gfn) === 0;
}

/** Level of the leaf that a host page fills. */
export function hostLevelOf(gfn: u64): u32 {
  const shift = hostPageShift();
  if (shift === 12) return 1;
  if (anyTaken) {
    if (broken.has((gfn >> 9) << 1)) return 1;
    if (shift === 30 && broken.has(((gfn >> 18) << 1) | 1)) return 2;
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
