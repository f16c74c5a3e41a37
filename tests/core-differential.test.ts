import fc from "fast-check";
import { expect, it } from "vitest";
import { CoreWalker, comparable, parametersOf } from "./core/core-walker.js";
import { Random, randomWorld } from "./core/random-world.js";
import { type Options, translate } from "./reference/walker.js";

const runs = Number(process.env.NESTWALK_RUNS ?? 3000);

/** Every access of a random world, made by the core and by the reference walker: outcomes and memory must agree. */
function agree(seed: number, nonleafAccessed: Options["nonleafAccessed"]): void {
  const world = randomWorld(seed);
  const { memory, regs, stage2 } = world;
  const core = CoreWalker.with(
    parametersOf(regs, stage2, { eagerAccessed: nonleafAccessed === "eager" ? 1 : 0 }),
  );
  for (const [hpa, value] of memory.words()) core.write(hpa, value);
  core.setState(regs, stage2);
  const r = new Random(seed ^ 0x5bd1e995);
  for (const access of world.accesses) {
    const gva = r.pick(world.gvas);
    const expected = comparable(translate(memory, regs, stage2, gva, access, { nonleafAccessed }));
    const { entry: _, ...actual } = { entry: 0n, ...core.walk(gva, access) };
    expect(actual, `seed ${seed}, ${access.kind} at 0x${gva.toString(16)}`).toEqual(expected);
    for (const [hpa, value] of memory.words()) {
      expect(core.read(hpa), `seed ${seed}, memory at 0x${hpa.toString(16)}`).toBe(value);
    }
  }
}

it.each(["all-or-nothing", "eager"] as const)(
  "walks as the reference walker does, non-leaf A %s",
  (policy) => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 0x7fff_ffff }), (seed) => agree(seed, policy)),
      { numRuns: runs, seed: 20260101, endOnFailure: true },
    );
  },
);
