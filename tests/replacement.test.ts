import { describe, expect, it } from "vitest";
import { Structure } from "./hardware/cells.js";
import { fifo, generator, lru, nru, plru, random, type SetModel } from "./hardware/policies.js";
import { AT, mapPages, newGuest, PAGE, READ, range } from "./hardware/workload.js";

const SEED = 7;
const LENGTH = 3000;

interface Shape {
  sets: number;
  ways: number;
}
const shapes: Shape[] = [
  { sets: 1, ways: 1 },
  { sets: 1, ways: 2 },
  { sets: 1, ways: 4 },
  { sets: 1, ways: 7 },
  { sets: 1, ways: 16 },
  { sets: 2, ways: 3 },
  { sets: 4, ways: 6 },
  { sets: 8, ways: 8 },
  { sets: 16, ways: 4 },
  { sets: 64, ways: 1 },
];

const fillMark = 30;
const models: Record<string, (ways: number, draw: () => number) => SetModel> = {
  lru,
  fifo,
  random,
  plru,
  nru: (ways, draw) => nru(ways, draw, fillMark),
};

/** Pages of locality that changes: a hot few, a cyclic run, anything. */
function sequence(pages: number): number[] {
  const draw = generator(pages * 31 + 5);
  return range(LENGTH).map((i) => {
    const phase = Math.floor(i / 250) % 3;
    if (phase === 0) return draw() % Math.max(1, pages >> 2);
    return phase === 1 ? i % pages : draw() % pages;
  });
}

describe.each(Object.entries(models))("%s", (policy, model) => {
  for (const { sets, ways } of shapes) {
    for (const index of ["plain", "hashed"]) {
      it(`is that of a list, access by access: ${sets} sets of ${ways} ways, ${index} index`, () => {
        const entries = sets * ways;
        const array = {
          pages: ["4k"],
          entries,
          ways,
          policy,
          index,
          fillMark: policy === "nru" ? fillMark : 0,
        };
        const guest = newGuest([
          `seed=${SEED}`,
          `tlb.l1d=${JSON.stringify([array])}`,
          "tlb.l2=[]",
          "technique=native",
        ]);
        const pages = entries + Math.max(2, entries >> 1);
        mapPages(guest, range(pages));
        const draw = generator(SEED);
        const bySet = range(sets).map(() => model(ways, draw));
        const bits = Math.log2(sets);
        const setOf = (page: number) => {
          const vpn = AT / PAGE + page;
          const above = index === "hashed" ? Math.floor(vpn / sets) ^ Math.floor(vpn / 4 ** bits) : 0;
          return (vpn ^ above) & (sets - 1);
        };
        const buffer = guest.addresses();
        const misses = Structure.misses(guest.core, "l1d");
        for (const [i, page] of sequence(pages).entries()) {
          buffer[0] = (AT + page * PAGE) >>> 0;
          buffer[1] = Math.floor((AT + page * PAGE) / 2 ** 32);
          const before = misses();
          guest.run(0, 1, READ);
          const hit = bySet[setOf(page)]!.access(page);
          if ((misses() === before) !== hit)
            expect.fail(`access ${i}, page ${page}: the core ${hit ? "misses" : "hits"}, the list does not`);
        }
        expect(guest.brokenLaws()).toEqual([]);
      });
    }
  }
});
