import { describe, expect, it } from "vitest";
import { CoreWalker, parametersOf } from "./core/core-walker.js";
import { buildWorld, type GuestShape, type HostShape, READ } from "./reference/tables.js";

/** References of one walk with nothing cached. */
function references(guest: GuestShape, host?: HostShape): number {
  const world = buildWorld(guest, host);
  const core = CoreWalker.with(parametersOf(world.regs, world.stage2));
  for (const [hpa, value] of world.memory.words()) core.write(hpa, value);
  core.setState(world.regs, world.stage2);
  const outcome = core.walk(world.gva, READ);
  expect(outcome).toMatchObject({ ok: true, hpa: world.hpa });
  return outcome.references;
}

const levels = [4, 5] as const;
const leaves = [1, 2, 3] as const;

describe("a walk with nothing cached", () => {
  for (const guestLevels of levels) {
    for (const guestLeaf of leaves) {
      const G = guestLevels - guestLeaf + 1;
      it(`natively reads ${G} entries: ${guestLevels} levels, leaf at level ${guestLeaf}`, () => {
        expect(references({ levels: guestLevels, leafLevel: guestLeaf })).toBe(G);
      });
      for (const kind of ["ept", "npt"] as const) {
        for (const hostLevels of levels) {
          for (const hostLeaf of leaves) {
            const H = hostLevels - hostLeaf + 1;
            const want = (G + 1) * (H + 1) - 1;
            it(`reads ${want} entries: G=${G} (${guestLevels} levels), H=${H} (${kind}, ${hostLevels} levels)`, () => {
              const host = { kind, levels: hostLevels, tableLeaf: hostLeaf, dataLeaf: hostLeaf };
              expect(references({ levels: guestLevels, leafLevel: guestLeaf }, host)).toBe(want);
            });
          }
        }
      }
    }
  }

  /** Host levels of the tables (Ht) and of the data (Hd) apart: G*(Ht+1) + Hd. */
  it.each([
    { G: 4, Ht: 4, Hd: 3, want: 23 },
    { G: 4, Ht: 3, Hd: 4, want: 20 },
    { G: 3, Ht: 4, Hd: 3, want: 18 },
    { G: 3, Ht: 3, Hd: 4, want: 16 },
    { G: 3, Ht: 4, Hd: 2, want: 17 },
    { G: 4, Ht: 3, Hd: 2, want: 18 },
    { G: 4, Ht: 4, Hd: 2, want: 22 },
    { G: 4, Ht: 2, Hd: 4, want: 16 },
  ])(
    "reads $want entries with tables and data on different host pages: G=$G Ht=$Ht Hd=$Hd",
    ({ G, Ht, Hd, want }) => {
      for (const kind of ["ept", "npt"] as const) {
        const host = { kind, levels: 4 as const, tableLeaf: 5 - Ht, dataLeaf: 5 - Hd };
        expect(references({ levels: 4, leafLevel: 5 - G }, host)).toBe(want);
      }
    },
  );
});
