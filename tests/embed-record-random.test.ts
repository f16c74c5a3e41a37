import fc from "fast-check";
import { expect, it } from "vitest";
import { Access, Status } from "../src/embed/index.js";
import { bytesOfBlob, compare, openTrace, resolveConfig, techniqueKeys } from "../src/index.js";
import { checkTrace } from "../src/trace/tools/check.js";
import { Random } from "./core/random-world.js";
import { A, D, Guest, P, PS, RW, US } from "./embed/guest.js";

const runs = Number(process.env.NESTWALK_RECORD_RUNS ?? 6);
const STEPS = 250;
const KERNEL = 0xffff_8000_0000_0000n;
const SLOTS = [0, 1, 5];
const ROOTS = 3;
const DATA = 0x60_0000;
const [R, W, U] = [Access.read, Access.write, Access.user];

/**
 * A guest whose frames are tables now and data then: it links them at random, under several roots and at several places,
 * takes them out, and uses them anew, at another level too. It flushes after each store.
 */
class Reuser {
  readonly g = new Guest({ record: true });
  readonly #r: Random;
  /** Level of each frame of the pool; 0 is data. */
  readonly #levels = new Map<number, number>();
  readonly #roots: number[] = [];
  #root = 0;

  constructor(seed: number) {
    this.#r = new Random(seed);
    const window = this.g.table();
    const directory = this.g.table();
    this.g.write(window, BigInt(directory) | P | RW | A);
    for (let i = 0; i < 8; ++i) this.g.write(directory + 8 * i, BigInt(i << 21) | P | RW | A | D | PS);
    for (let i = 0; i < ROOTS; ++i) {
      const root = this.g.table();
      this.g.write(root + 8 * 256, BigInt(window) | P | RW | A);
      this.#roots.push(root);
      this.#levels.set(root, 4);
    }
    for (let i = 0; i < 12; ++i) this.#levels.set(this.g.table(), 1 + (i % 3));
    this.#root = this.#roots[0]!;
    this.g.start(this.#root);
  }

  #store(at: number, value: bigint): void {
    expect(this.g.go(KERNEL + BigInt(at), W, 8)).toBe(Status.ok);
    this.g.write(at, value);
  }
  #frames(level: number): number[] {
    return [...this.#levels].flatMap(([frame, its]) => (its === level ? [frame] : []));
  }
  #flush(): void {
    if (this.#r.chance(0.2)) this.g.mmu.flush();
    else this.g.mmu.setCr3(BigInt(this.#root));
  }

  #edit(): void {
    const r = this.#r;
    const level = 1 + r.below(4);
    const tables = this.#frames(level);
    if (tables.length === 0) return;
    const at = r.pick(tables) + 8 * r.pick(SLOTS);
    const below = this.#frames(level - 1);
    let value = 0n;
    if (level === 1) value = BigInt(DATA + 4096 * r.below(8)) | P | RW | US;
    else if (level === 2 && r.chance(0.15)) value = 0x60_0000n | P | RW | US | PS;
    else if (below.length > 0) value = BigInt(r.pick(below)) | P | RW | US;
    this.#store(at, r.chance(0.25) ? 0n : value);
    this.#flush();
  }

  /** A frame of the pool is taken out of every table, cleared, and is something else from then on. */
  #reuse(): void {
    const r = this.#r;
    const frame = r.pick([...this.#levels.keys()].filter((f) => !this.#roots.includes(f)));
    for (const [table, level] of this.#levels) {
      if (level < 2) continue;
      for (const slot of SLOTS) {
        const entry = this.g.read(table + 8 * slot);
        const leads = (entry & (P | PS)) === P && Number(entry & 0xffff_f000n) === frame;
        if (leads) this.#store(table + 8 * slot, 0n);
      }
    }
    this.#flush();
    for (const slot of SLOTS) this.#store(frame + 8 * slot, r.chance(0.5) ? 0n : 0x1234_5678_9000n);
    for (const slot of SLOTS) this.#store(frame + 8 * slot, 0n);
    this.#levels.set(frame, r.below(4));
  }

  #access(): void {
    const r = this.#r;
    const index = () => BigInt(r.pick(SLOTS));
    const va =
      (index() << 39n) | (index() << 30n) | (index() << 21n) | (index() << 12n) | BigInt(8 * r.below(512));
    const status = this.g.go(va, (r.chance(0.5) ? R : W) | U, 8);
    expect([Status.ok, Status.pageFault]).toContain(status);
  }

  step(): void {
    const p = this.#r.next();
    if (p < 0.4) this.#edit();
    else if (p < 0.5) this.#reuse();
    else if (p < 0.55) {
      this.#root = this.#r.pick(this.#roots);
      this.g.mmu.setCr3(BigInt(this.#root));
    } else this.#access();
  }
}

it("what guests that reuse their tables do is recorded so that every machine replays it", async () => {
  let dropped = 0;
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 0, max: 0x7fff_ffff }), async (seed) => {
      const guest = new Reuser(seed);
      for (let i = 0; i < STEPS; ++i) guest.step();
      const bytes = (await guest.g.mmu.trace()) as Uint8Array<ArrayBuffer>;
      const trace = await openTrace(bytesOfBlob("guest.nwt", new Blob([bytes])));
      expect(await checkTrace(trace)).toMatchObject({ fault: undefined, withoutTruth: 0, stale: 0 });
      const machines = (["native", "shadow", "ept"] as const).map((name) =>
        resolveConfig({
          options: Object.entries(techniqueKeys(name)).map(([path, value]) => ({
            option: "test",
            path,
            value,
          })),
        }),
      );
      const result = await compare(trace, machines);
      for (const { oracle, laws, counters } of result.machines) {
        expect(oracle).toMatchObject({ mismatches: 0, unknown: 0 });
        expect(laws.filter(({ holds }) => !holds)).toEqual([]);
        expect(counters.faultsUnconfirmed).toBe(0);
      }
      dropped += result.machines[0]!.counters.tablePagesDropped!;
    }),
    { numRuns: runs, seed: 20261120, endOnFailure: true },
  );
  expect(dropped).toBeGreaterThan(runs);
});
