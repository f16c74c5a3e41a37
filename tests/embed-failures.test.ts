import { describe, expect, it } from "vitest";
import { Access, Feed, Status } from "../src/embed/index.js";
import { A, D, Guest, P, RW, US } from "./embed/guest.js";

const VA = 0x7f12_3456_7000n;
const FAR = 0x40_0000_0000_0000n >> 8n;
const [LOW, HIGH] = [Number(FAR & 0xffff_ffffn), Number(FAR >> 32n)];

/** A guest whose second half of memory has its tables where only a function of the host's answers, which fails. */
function failing() {
  let fails = true;
  const g = new Guest({
    physical: {
      read: () => {
        if (fails) throw new Error("the host's own");
        return 0n;
      },
    },
  });
  const root = g.table();
  const leaf = g.map(root, VA, 0x5000, P | RW | US);
  g.write(root + 8 * Number((FAR >> 39n) & 511n), 0x40_0000_0007n);
  g.start(root);
  return {
    g,
    leaf,
    mend: () => {
      fails = false;
    },
  };
}

describe("a function of the host's that throws", () => {
  const calls: [string, (g: Guest) => unknown][] = [
    ["translate", (g) => g.go(FAR, Access.read)],
    ["physicalOf", (g) => g.mmu.physicalOf(LOW, HIGH, Access.read)],
    ["probe", (g) => g.mmu.probe(LOW, HIGH, Access.read)],
    ["explain", (g) => g.mmu.explain(FAR)],
  ];
  it.each(calls)("lets its error out of %s, and leaves the machine whole", (_, call) => {
    const { g, leaf, mend } = failing();
    expect(() => call(g)).toThrow("the host's own");
    /* The hardware walks as ever: with flags, counters and laws. */
    expect(g.go(VA, Access.write | Access.user)).toBe(Status.ok);
    expect(g.read(leaf)).toBe(0x5000n | P | RW | US | A | D);
    expect(g.mmu.result().laws.filter(({ holds }) => !holds)).toEqual([]);
    mend();
    expect(g.go(FAR, Access.read)).toBe(Status.pageFault);
    expect(g.mmu.probe(LOW, HIGH, Access.read)).toBe(Status.pageFault);
  });

  it("or answers what is no entry", () => {
    const g = new Guest({ physical: { read: () => 5 as unknown as bigint } });
    const root = g.table();
    g.write(root, 0x40_0000_0007n);
    g.start(root);
    expect(() => g.go(0x1000n, Access.read)).toThrow("physical.read answered 5; it must answer a bigint");
  });
});

it("a listener that throws is told the rest at the next call, one that makes calls in their order", () => {
  const told: number[] = [];
  let act = () => {};
  const g = new Guest({
    onInvalidate: ({ kind }) => {
      told.push(kind);
      act();
    },
  });
  g.start(g.table());
  told.length = 0;
  const { mmu } = g;
  /* Three records that no call has handed on yet. */
  mmu.exports.embedFlush();
  mmu.exports.embedInvlpg();
  mmu.exports.embedFlush();
  act = () => {
    throw new Error("the listener's own");
  };
  expect(() => mmu.setAc(false)).toThrow("the listener's own");
  expect(told).toEqual([Feed.everything]);
  act = () => {};
  mmu.setAc(false);
  expect(told).toEqual([Feed.everything, Feed.address, Feed.everything]);

  told.length = 0;
  act = () => {
    act = () => {};
    mmu.invlpg(0x5000, 0);
  };
  mmu.invlpg(0x4000, 0);
  expect(told).toEqual([Feed.address, Feed.address]);
});
