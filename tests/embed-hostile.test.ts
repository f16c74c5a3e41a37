import { expect, it } from "vitest";
import { Access, Status } from "../src/embed/index.js";
import { Guest, P, RW, US } from "./embed/guest.js";
import { Hostile, TECHNIQUES } from "./embed/hostile.js";

/** HOSTILE_STATES=10000000 runs ten million random table states in all. */
const states = Number(process.env.HOSTILE_STATES ?? 140_000) / TECHNIQUES.length;

it.each(TECHNIQUES)(
  "a guest whose tables point anywhere touches nothing outside of its memory: %s",
  (technique) => {
    const guest = new Hostile(0x5eed, technique);
    while (guest.states < states) {
      for (let i = 0; i < 10_000 && guest.states < states; ++i) guest.step();
      expect(guest.damage()).toBeUndefined();
    }
    /* Worth something only if many accesses get through. */
    expect(guest.answered).toBeGreaterThan(states / (technique.startsWith("host") ? 2000 : 50));
  },
  Math.max(120_000, states),
);

it("two MMUs, in one memory or in two, never affect each other", () => {
  const memory = new WebAssembly.Memory({ initial: 1024 });
  const alone = new Guest({ memory: new WebAssembly.Memory({ initial: 1024 }) });
  const a = new Guest({ memory });
  const b = new Guest({ memory }, 32 << 20);
  const roots = [alone, a, b].map((g, i) => {
    const root = g.table();
    for (let n = 0n; n < 64n; ++n)
      g.map(
        root,
        0x40_0000n + 4096n * n,
        0x20_0000 + 4096 * Number(n) + (i === 2 ? 0x10_0000 : 0),
        P | RW | US,
      );
    return root;
  });
  for (const [i, g] of [alone, a, b].entries()) g.start(roots[i]!);
  const drive = (g: Guest, n: bigint) => {
    expect(g.go(0x40_0000n + 4096n * (n % 64n), n % 3n === 0n ? Access.write : Access.read)).toBe(Status.ok);
    return g.mmu.physical;
  };
  for (let n = 0n; n < 500n; ++n) {
    const want = drive(alone, n);
    expect(drive(a, n)).toBe(want);
    expect(drive(b, 499n - n)).toBe(0x30_0000 + 4096 * Number((499n - n) % 64n));
    if (n % 50n === 0n) b.mmu.flush();
    if (n % 70n === 0n) b.mmu.setCr0(n % 140n === 0n ? 0x8000_0001n : 0x8001_0001n);
  }
  expect(a.mmu.counters()).toEqual(alone.mmu.counters());
  expect(a.mmu.structures()).toEqual(alone.mmu.structures());
  expect(b.mmu.counters().walks).toBeGreaterThan(a.mmu.counters().walks!);
});
