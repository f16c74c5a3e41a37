import { expect } from "vitest";
import {
  AT,
  access,
  addressOf,
  figures,
  laps,
  mapPages,
  newGuest,
  PAGE,
  range,
  shuffledLaps,
  WRITE,
} from "../workload.js";

/** What the tests of hardware knobs run: the same accesses on two machines that differ in one key. */

export type Run = (set: readonly string[]) => Record<string, number>;
export type Direction = "more" | "fewer" | "none";

/** Random pages of `n`, `times` n accesses. */
export const pages =
  (
    n: number,
    options: {
      scattered?: boolean;
      stride?: number;
      bits?: number;
      level?: number;
      order?: "laps" | "hot";
    } = {},
  ): Run =>
  (set) => {
    const { scattered = false, stride = 1, level = 1, order } = options;
    const guest = newGuest(set);
    mapPages(
      guest,
      range(n).map((i) => i * stride),
      level,
      scattered,
    );
    const visits =
      order === "laps"
        ? laps(n, 12)
        : shuffledLaps(n, 12).map((page, i) => (order === "hot" && i % 2 === 0 ? 0 : page));
    access(
      guest,
      visits.map((i) => addressOf(i * stride, level)),
      options.bits,
    );
    expect(guest.brokenLaws()).toEqual([]);
    return figures(guest);
  };

/** One page in each of `n` regions of 2^shift bytes. */
export const regions =
  (n: number, shift: number): Run =>
  (set) => {
    const stride = 2 ** (shift - 12);
    return pages(n, { stride })(set);
  };

/** Lines of one page, each read through several pages that map the same frame. */
export const aliases: Run = (set) => {
  const guest = newGuest(set);
  mapPages(guest, [0]);
  for (let i = 1; i < 4; ++i) guest.map(AT + i * PAGE, 1, 0x100_0000);
  access(
    guest,
    shuffledLaps(4, 500).map((i) => addressOf(i)),
  );
  return figures(guest);
};

/** More lines than the first cache level holds. */
export const lines =
  (n: number, bits?: number): Run =>
  (set) => {
    const guest = newGuest(set);
    mapPages(guest, range(n / 64));
    access(
      guest,
      shuffledLaps(n, 12).map((i) => AT + 64 * i),
      bits,
    );
    return figures(guest);
  };

/** Loads from the first `n` pages and stores to the next. */
export const loadsAndStores =
  (n: number): Run =>
  (set) => {
    const guest = newGuest(set);
    mapPages(guest, range(2 * n));
    for (let lap = 0; lap < 12; ++lap)
      for (let i = 0; i < n; ++i) {
        access(guest, [addressOf(i)]);
        access(guest, [addressOf(n + i)], WRITE);
      }
    expect(guest.brokenLaws()).toEqual([]);
    return figures(guest);
  };

/** Walks through tables whose accessed flags are clear, to leaves that are not present. */
export const faults =
  (n: number): Run =>
  (set) => {
    const present = 0x07;
    const guest = newGuest(set, { table: present, leaf: 0 });
    mapPages(guest, range(n));
    access(
      guest,
      range(n).map((i) => addressOf(i)),
    );
    return figures(guest);
  };

export const array = (more: object) =>
  `=${JSON.stringify([{ pages: ["4k", "2m", "1g"], entries: 16, ...more }])}`;
export const level2 = (more: object) =>
  `=${JSON.stringify([{ pages: ["4k", "2m"], entries: 64, ways: 4, ...more }])}`;
export const tables = ["caches.l1.bytes=512", "caches.l1.ways=1", "caches.l2.bytes=4096", "caches.l2.ways=2"];

/** A key of the configuration, what runs, the machine before and after, and which counter moves in which direction. */
export type Knob = [
  knob: string,
  run: Run,
  before: string[],
  after: string[],
  counter: string,
  direction: Direction,
];
