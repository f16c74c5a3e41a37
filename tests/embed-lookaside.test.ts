import fc from "fast-check";
import { expect, it } from "vitest";
import { presetNames } from "../src/config/index.js";
import { Access, Status } from "../src/embed/index.js";
import { bytesInMemory, compare, openTrace, resolveConfig } from "../src/index.js";
import { A, D, Guest, P, RW } from "./embed/guest.js";

const PAGES = 40;
const VA = 0xffff_8000_0000_0000n;
const KINDS = [Access.read, Access.write, Access.fetch] as const;

const history = fc.array(
  fc.tuple(
    fc.constantFrom(...KINDS),
    fc.nat(PAGES - 1),
    fc.nat(3),
    fc.constantFrom("go", "go", "go", "invlpg"),
  ),
  { minLength: 200, maxLength: 400 },
);

it.each(presetNames)(
  "hits are counted and aged in %s's structures as a replay of them does, whatever answered",
  async (cpu) => {
    await fc.assert(
      fc.asyncProperty(history, async (steps) => {
        const g = new Guest({ cpu, record: true });
        const root = g.table();
        for (let i = 0; i < PAGES; ++i)
          g.map(root, VA + 4096n * BigInt(i), 0x8_0000 + 4096 * i, P | RW | A | D);
        g.start(root);
        for (const [kind, page, repeats, what] of steps) {
          const va = VA + 4096n * BigInt(page);
          if (what === "invlpg") g.mmu.invlpg(Number(va & 0xffff_ffffn), Number(va >> 32n));
          for (let n = 0; n <= repeats; ++n) expect(g.go(va, kind)).toBe(Status.ok);
        }
        const { structures, references, cycles } = g.mmu.result();
        const trace = await openTrace(bytesInMemory("history.nwt", await g.mmu.trace()));
        const { machines } = await compare(trace, [
          resolveConfig({ cpu, set: ["technique=native", "guest.memoryMiB=16"] }),
        ]);
        expect(machines[0]).toMatchObject({ structures, references, cycles });
      }),
      { seed: 20, numRuns: 4 },
    );
  },
);
