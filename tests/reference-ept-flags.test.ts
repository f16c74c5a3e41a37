import { describe, expect, it } from "vitest";
import { bit, bits } from "./reference/bits.js";
import { QUALIFICATION as Q } from "./reference/ept.js";
import { CR4 } from "./reference/registers.js";
import {
  CountingMemory,
  type EptWorld,
  eptWorld,
  FETCH,
  LONG_MODE,
  READ,
  WRITE,
} from "./reference/tables.js";
import { type Ept, loadPdptes, translate } from "./reference/walker.js";

const R = 1n;
const W = 2n;
const X = 4n;
const XU = bit(10);
const A = bit(8);
const D = bit(9);
const RIGHTS = R | W | X | XU;
const GUEST_A = 0x20n;
const GUEST_D = 0x40n;

describe("EPT rights of the page that holds the guest's PTE", () => {
  const RD = Q.READ | Q.GLA_VALID;
  const UPDATE = Q.READ | Q.WRITE | Q.GLA_VALID;

  /** Guest PTE flags set beforehand against the operations: 0 allowed, else the qualification. */
  function expectPaddr(rights: bigint, accessedDirty: boolean, table: [bigint, number, number, number][]) {
    for (const [flags, ...expected] of table) {
      for (const [index, access] of [READ, WRITE, FETCH].entries()) {
        for (const nonleafAccessed of ["all-or-nothing", "eager"] as const) {
          const { run, edit, memory, guest } = eptWorld({ accessedDirty });
          const pte = guest.get(1)!;
          const before = memory.read64(pte.hpa) | flags;
          memory.write64(pte.hpa, before);
          edit(1, (entry) => (entry & ~RIGHTS) | rights, 1);
          const outcome = run(access, { nonleafAccessed });
          if (expected[index] === 0) {
            expect(outcome).toMatchObject({ ok: true });
          } else {
            const qualification = expected[index]!;
            expect(outcome).toMatchObject({ exit: "EPT_VIOLATION", qualification, gpa: pte.gpa });
            expect(memory.read64(pte.hpa)).toBe(before);
          }
        }
      }
    }
  }

  const same = (qualification: number): [bigint, number, number, number][] =>
    [0n, GUEST_A, GUEST_A | GUEST_D].map((flags) => [flags, qualification, qualification, qualification]);

  it("none", () => {
    expectPaddr(0n, false, same(RD));
    expectPaddr(0n, true, same(UPDATE));
  });

  it("R: enough without EPT A/D unless the guest's own flags need setting", () => {
    const denied = UPDATE | Q.READABLE;
    expectPaddr(R, false, [
      [0n, denied, denied, denied],
      [GUEST_A, 0, denied, 0],
      [GUEST_A | GUEST_D, 0, 0, 0],
    ]);
    expectPaddr(R, true, same(denied));
  });

  it("RX: as R", () => {
    const denied = UPDATE | Q.READABLE | Q.EXECUTABLE;
    expectPaddr(R | X, false, [
      [0n, denied, denied, denied],
      [GUEST_A, 0, denied, 0],
      [GUEST_A | GUEST_D, 0, 0, 0],
    ]);
    expectPaddr(R | X, true, same(denied));
  });

  it("RW, RWX: enough", () => {
    for (const rights of [R | W, R | W | X]) {
      for (const accessedDirty of [false, true]) expectPaddr(rights, accessedDirty, same(0));
    }
  });

  it("X: not readable", () => {
    expectPaddr(X, false, same(RD | Q.EXECUTABLE));
    expectPaddr(X, true, same(UPDATE | Q.EXECUTABLE));
  });
});

describe("EPT accessed and dirty flags", () => {
  const flagsOf = (world: EptWorld, guestLevel: number, leafLevel = 1) => {
    const levels = [...world.host.get(guestLevel)!.keys()].filter((level) => level !== leafLevel);
    const nonleaf = levels.map((level) => world.entry(level, guestLevel) & (A | D));
    return { leaf: world.entry(leafLevel, guestLevel) & (A | D), nonleaf: new Set(nonleaf) };
  };

  it("off: no EPT entry changes", () => {
    const world = eptWorld();
    const before = [...world.host.values()].map((path) =>
      [...path.values()].map((hpa) => world.memory.read64(hpa)),
    );
    expect(world.run(WRITE)).toMatchObject({ ok: true });
    const after = [...world.host.values()].map((path) =>
      [...path.values()].map((hpa) => world.memory.read64(hpa)),
    );
    expect(after).toEqual(before);
  });

  it("on: A at every level, D in the leaf of written pages and of every guest table", () => {
    for (const [access, dirty] of [
      [READ, 0n],
      [FETCH, 0n],
      [WRITE, D],
    ] as const) {
      const world = eptWorld({ accessedDirty: true });
      expect(world.run(access)).toMatchObject({ ok: true });
      expect(flagsOf(world, 0)).toEqual({ leaf: A | dirty, nonleaf: new Set([A]) });
      for (const level of [4, 3, 2, 1]) {
        expect(flagsOf(world, level)).toEqual({ leaf: A | D, nonleaf: new Set([A]) });
      }
    }
  });

  it("on: set for the guest tables read before the guest's own fault", () => {
    const world = eptWorld({ accessedDirty: true });
    world.memory.write64(world.guest.get(2)!.hpa, 0n);
    expect(world.run(READ)).toMatchObject({ fault: "PF", errorCode: 0 });
    for (const level of [4, 3, 2]) expect(flagsOf(world, level).leaf).toBe(A | D);
    expect(flagsOf(world, 1).leaf).toBe(0n);
    expect(flagsOf(world, 0).leaf).toBe(0n);
    for (const level of [4, 3]) {
      expect(world.memory.read64(world.guest.get(level)!.hpa) & GUEST_A).toBe(0n);
    }
  });

  it("on: the leaf that denies an access keeps its flags; eagerly, those above get A", () => {
    for (const nonleafAccessed of ["all-or-nothing", "eager"] as const) {
      const world = eptWorld({ accessedDirty: true });
      world.edit(1, (entry) => entry & ~W);
      expect(world.run(WRITE, { nonleafAccessed })).toMatchObject({ exit: "EPT_VIOLATION" });
      expect(flagsOf(world, 0).leaf).toBe(0n);
      expect(world.entry(2) & A).toBe(nonleafAccessed === "eager" ? A : 0n);
    }
  });

  it("on: nothing is written the second time", () => {
    const world = eptWorld({ accessedDirty: true });
    world.run(WRITE);
    const memory = new CountingMemory();
    for (const [hpa, value] of world.memory.words()) memory.write64(hpa, value);
    memory.writes = 0;
    expect(translate(memory, world.regs, world.ept, world.gva, WRITE)).toMatchObject({ ok: true });
    expect(memory.writes).toBe(0);
  });
});

describe("PDPTE loads under EPT", () => {
  function pdpteWorld(settings: Partial<Ept> = {}) {
    const world = eptWorld(settings);
    const { gpa, hpa } = world.guest.get(4)!;
    const root = gpa & ~0xfffn;
    for (let index = 0n; index < 4n; index++) world.memory.write64((hpa & ~0xfffn) + 8n * index, 0n);
    world.memory.write64(hpa & ~0xfffn, (world.guest.get(2)!.gpa & ~0xfffn & bits(51, 12)) | 1n);
    const regs = { ...LONG_MODE, cr4: CR4.PAE, efer: 0n, cr3: root };
    return { ...world, root, load: () => loadPdptes(world.memory, regs, world.ept) };
  }

  it("are reads: they need no W and set no D", () => {
    const { load, edit, entry, root } = pdpteWorld({ accessedDirty: true });
    edit(1, (value) => value & ~W, 4);
    const outcome = load();
    expect(outcome).toMatchObject({ ok: true, pdptes: [expect.anything(), 0n, 0n, 0n] });
    expect(outcome.references).toHaveLength(8);
    expect(entry(1, 4) & (A | D)).toBe(A);

    edit(1, (value) => value & ~R, 4);
    const qualification = Q.READ | Q.EXECUTABLE;
    expect(load()).toMatchObject({ exit: "EPT_VIOLATION", qualification, gpa: root });
    expect(load()).not.toHaveProperty("gla");
  });

  it("misconfigure and violate as any access", () => {
    const { load, edit } = pdpteWorld();
    edit(2, (value) => value | bit(50), 4);
    expect(load()).toMatchObject({ exit: "EPT_MISCONFIG" });
  });
});
