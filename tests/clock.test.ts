import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { access, addressOf, mapPages, newGuest, range } from "./hardware/workload.js";

/** Pages of a guest whose TLBs, caches and walkers are small: hits, second-level hits and walks of many costs. */
const PAGES = 60;
const SMALL = ["caches.data=true", "caches.l1.bytes=4096", "caches.l1.ways=4", "walk.baseCycles=20"];

interface Cost {
  tlb: number;
  walk: number;
  data: number;
}

function guestWith(set: readonly string[]) {
  const guest = newGuest([...SMALL, ...set]);
  mapPages(guest, range(PAGES));
  return guest;
}

/** What each access costs by itself: what structures hold does not depend on the clock. */
function costs(pages: readonly number[]): Cost[] {
  const guest = guestWith([]);
  const read = () =>
    ["cyclesTlb", "cyclesWalk", "cyclesData"].map((name) => guest.core.counter(name as never) as number);
  let before = read();
  return pages.map((page) => {
    access(guest, [addressOf(page)]);
    const after = read();
    const [tlb, walk, data] = after.map((cycles, i) => cycles - before[i]!) as [number, number, number];
    before = after;
    return { tlb, walk, data };
  });
}

/** Cycles of accesses that issue in order, at most `window` behind an unfinished one, with `walkers` page walkers. */
function modelled(all: readonly Cost[], issue: number, window: number, walkers: number): number {
  const free: number[] = Array(walkers).fill(0);
  const finished: number[] = [];
  let now = 0;
  for (const [i, { tlb, walk, data }] of all.entries()) {
    /* Every access up to the one `window` before this has finished. */
    if (i >= window) now = Math.max(now, finished[i - window]!);
    now += issue;
    let at = now + tlb;
    if (walk > 0) {
      free.sort((a, b) => a - b);
      at = Math.max(at, free[0]!) + walk;
      free[0] = at;
    }
    finished.push(Math.max(finished.at(-1) ?? 0, at + data));
  }
  return Math.max(now, finished.at(-1) ?? 0);
}

function run(pages: readonly number[], issue: number, window: number, walkers: number) {
  const set = [`clock.issueCycles=${issue}`, `clock.window=${window}`, `clock.walkers=${walkers}`];
  const guest = guestWith(set);
  access(
    guest,
    pages.map((page) => addressOf(page)),
  );
  expect(guest.brokenLaws()).toEqual([]);
  const counter = (name: string) => guest.core.counter(name as never) as number;
  return { total: counter("cyclesTotal"), queued: counter("cyclesWalkerQueue"), walks: counter("walks") };
}

const sequence = fc.array(fc.integer({ min: 0, max: PAGES - 1 }), { minLength: 1, maxLength: 300 });
const issue = fc.integer({ min: 1, max: 4 });
const window = fc.oneof(fc.integer({ min: 1, max: 8 }), fc.constantFrom(64, 512, 1024));
const walkers = fc.integer({ min: 1, max: 16 });
const options = { numRuns: 60, seed: 20261 };

describe("the clock", () => {
  it("is that of a model of a few lines: window, walkers, queue", () => {
    fc.assert(
      fc.property(sequence, issue, window, walkers, (pages, i, w, k) => {
        expect(run(pages, i, w, k).total).toBe(modelled(costs(pages), i, w, k));
      }),
      options,
    );
  });

  it("adds up the whole cost of each access when each waits for the one before", () => {
    fc.assert(
      fc.property(sequence, issue, walkers, (pages, i, k) => {
        const alone = costs(pages).reduce((sum, { tlb, walk, data }) => sum + tlb + walk + data + i, 0);
        expect(run(pages, i, 1, k)).toMatchObject({ total: alone, queued: 0 });
      }),
      options,
    );
  });

  it("is never slower with more walkers, a larger window or a shorter issue, and walks as often", () => {
    fc.assert(
      fc.property(sequence, issue, window, walkers, (pages, i, w, k) => {
        const { total, walks } = run(pages, i, w, k);
        const faster = [run(pages, i, w, Math.min(16, k + 1)), run(pages, i, Math.min(1024, w + 1), k)];
        if (i > 1) faster.push(run(pages, i - 1, w, k));
        for (const one of faster) {
          expect(one.total).toBeLessThanOrEqual(total);
          expect(one.walks).toBe(walks);
        }
      }),
      options,
    );
  });

  it("queues for a walker only where all are busy: never with as many as the window", () => {
    fc.assert(
      fc.property(sequence, fc.integer({ min: 1, max: 16 }), (pages, w) => {
        expect(run(pages, 1, w, w).queued).toBe(0);
      }),
      options,
    );
    const pages = range(PAGES);
    expect(run(pages, 1, 64, 1).queued).toBeGreaterThan(run(pages, 1, 64, 4).queued);
  });
});
