import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bit, bits } from "./reference/bits.js";
import { CR0, CR4, EFER } from "./reference/registers.js";
import {
  buildPage,
  buildWorld,
  CountingMemory,
  FETCH,
  GB,
  LONG_MODE,
  READ,
  USER_FETCH,
  USER_WRITE,
  WRITE,
} from "./reference/tables.js";
import { type Options, PhysicalMemory, type Registers, type Stage2, translate } from "./reference/walker.js";

const P = 1n;
const RW = 2n;
const US = 4n;
const A = 0x20n;
const D = 0x40n;
const PS = 0x80n;
const XD = bit(63);
const NATIVE: Stage2 = { kind: "none" };
const EAGER: Options = { nonleafAccessed: "eager" };

const LEGACY: Registers = { ...LONG_MODE, cr4: 0n, efer: 0n, cr3: 0x1000n, maxphyaddr: 36 };

describe("references of one access", () => {
  const shapes = [4, 5].flatMap((levels) => [1, 2, 3].map((leafLevel) => ({ levels, leafLevel }))) as {
    levels: 4 | 5;
    leafLevel: number;
  }[];

  it.each(shapes)("native, $levels levels, leaf at $leafLevel: one per level", (shape) => {
    const { memory, regs, stage2, gva, hpa } = buildWorld(shape);
    const outcome = translate(memory, regs, stage2, gva, READ);
    expect(outcome).toMatchObject({ ok: true, hpa, pageSize: 2 ** (3 + 9 * shape.leafLevel) });
    const levels = outcome.references.map(({ guestLevel, hostLevel }) => [guestLevel, hostLevel]);
    expect(levels).toEqual([5, 4, 3, 2, 1].slice(5 - shape.levels, 6 - shape.leafLevel).map((g) => [g, 0]));
  });

  // Rows are G, columns H = 5, 4, 3, 2: (G+1)(H+1)-1.
  const EXPECTED: Record<number, Record<number, number>> = {
    5: { 5: 35, 4: 29, 3: 23, 2: 17 },
    4: { 5: 29, 4: 24, 3: 19, 2: 14 },
    3: { 5: 23, 4: 19, 3: 15, 2: 11 },
    2: { 5: 17, 4: 14, 3: 11, 2: 8 },
  };
  const pairs = shapes.flatMap((guest) => shapes.map((host) => ({ guest, host })));

  it.each(["ept", "npt"] as const)("%s: every pair of levels and page sizes", (kind) => {
    for (const { guest, host } of pairs) {
      const { levels, leafLevel } = host;
      const world = buildWorld(guest, { kind, levels, tableLeaf: leafLevel, dataLeaf: leafLevel });
      const outcome = translate(world.memory, world.regs, world.stage2, world.gva, WRITE);
      expect(outcome).toMatchObject({
        ok: true,
        hpa: world.hpa,
        gpa: world.gpa,
        stage1PageSize: 2 ** (3 + 9 * guest.leafLevel),
        pageSize: 2 ** (3 + 9 * Math.min(guest.leafLevel, leafLevel)),
      });
      const g = guest.levels - guest.leafLevel + 1;
      const h = levels - leafLevel + 1;
      expect(outcome.references).toHaveLength(EXPECTED[g]![h]!);
      expect(outcome.references.filter((reference) => reference.kind === "guest")).toHaveLength(g);
    }
  });

  // Guest levels, host levels of the guest's tables, host levels of the data.
  it.each([
    [4, 4, 3, 23],
    [4, 3, 4, 20],
    [3, 4, 3, 18],
    [3, 3, 4, 16],
    [3, 4, 2, 17],
    [4, 3, 2, 18],
    [4, 4, 2, 22],
    [4, 2, 4, 16],
  ])("mixed backing G=%i Ht=%i Hd=%i: %i", (g, ht, hd, expected) => {
    for (const kind of ["ept", "npt"] as const) {
      const host = { kind, levels: 4, tableLeaf: 5 - ht, dataLeaf: 5 - hd } as const;
      const world = buildWorld({ levels: 4, leafLevel: 5 - g }, host);
      const outcome = translate(world.memory, world.regs, world.stage2, world.gva, READ);
      expect(outcome).toMatchObject({ ok: true, hpa: world.hpa });
      expect(outcome.references).toHaveLength(expected);
    }
  });

  it("come in walk order: each guest entry behind the host path to it, then the data's", () => {
    const host = { kind: "ept", levels: 4, tableLeaf: 2, dataLeaf: 3 } as const;
    const world = buildWorld({ levels: 4, leafLevel: 2 }, host);
    const { references } = translate(world.memory, world.regs, world.stage2, world.gva, READ);
    const order = references.map(({ guestLevel, hostLevel }) => `${guestLevel}${hostLevel}`).join(" ");
    expect(order).toBe("44 43 42 40 34 33 32 30 24 23 22 20 04 03");
    for (const { guestLevel, hostLevel, hpa } of references) {
      const entry = hostLevel ? world.host.get(guestLevel)!.get(hostLevel) : world.guest.get(guestLevel)!.hpa;
      expect(hpa).toBe(entry);
    }
  });

  it("stop with the walk", () => {
    const { memory, regs, stage2, gva, guest } = buildWorld({ levels: 4, leafLevel: 1 });
    memory.write64(guest.get(3)!.hpa, 0n);
    expect(translate(memory, regs, stage2, gva, READ).references).toHaveLength(2);
  });
});

describe("paging off", () => {
  const regs = { ...LEGACY, cr0: 1n };

  it("is the identity on 32 bits, with every right", () => {
    const outcome = translate(new PhysicalMemory(), regs, NATIVE, 0x1_8765_4321n, USER_FETCH);
    expect(outcome).toMatchObject({ ok: true, hpa: 0x8765_4321n, stage1PageSize: 0, pageSize: 4096 });
    expect(outcome.references).toEqual([]);
  });

  it.each(["ept", "npt"] as const)("goes through %s all the same", (kind) => {
    const host = { kind, levels: 4, tableLeaf: 2, dataLeaf: 2 } as const;
    const { memory, stage2, guest } = buildWorld({ levels: 4, leafLevel: 1 }, host);
    const { gpa, hpa } = guest.get(4)!;
    const outcome = translate(memory, regs, stage2, gpa, WRITE);
    expect(outcome).toMatchObject({ ok: true, gpa, hpa, stage1PageSize: 0, pageSize: 2 ** 21 });
    expect(outcome.references).toHaveLength(3);
  });
});

describe("4- and 5-level paging", () => {
  it("checks canonicality before any table is read", () => {
    for (const [levels, edge] of [
      [4, bit(47)],
      [5, bit(56)],
    ] as const) {
      const { memory, regs } = buildWorld({ levels, leafLevel: 1 });
      const top = bits(63, 0) & ~(edge - 1n);
      for (const gva of [edge, top - 1n, top & ~edge, bit(63)]) {
        const outcome = translate(memory, regs, NATIVE, gva, FETCH);
        expect(outcome).toEqual({ ok: false, fault: "GP", references: [] });
      }
      for (const gva of [edge - 1n, top, bits(63, 0)]) {
        expect(translate(memory, regs, NATIVE, gva, READ)).toMatchObject({ fault: "PF", cr2: gva });
      }
    }
  });

  it("ignores bit 8 of a PML4E as Intel does, or reserves it as AMD does", () => {
    for (const levels of [4, 5] as const) {
      for (const level of [5, 4].filter((each) => each <= levels)) {
        const { memory, regs, gva, guest } = buildWorld({ levels, leafLevel: 1 });
        const { hpa } = guest.get(level)!;
        memory.write64(hpa, memory.read64(hpa) | bit(8));
        expect(translate(memory, regs, NATIVE, gva, READ)).toMatchObject({ ok: true });
        const amd = { ...regs, vendor: "amd" } as const;
        expect(translate(memory, amd, NATIVE, gva, READ)).toMatchObject({ errorCode: 9 });
      }
    }
  });

  it("reserves PS in a PDPTE where 1-GByte pages do not exist", () => {
    const { memory, regs, gva } = buildWorld({ levels: 4, leafLevel: 3 });
    expect(translate(memory, { ...regs, gbPages: false }, NATIVE, gva, READ)).toMatchObject({ errorCode: 9 });
  });

  it("looks at reserved bits only where P=1, and at a level only after those above", () => {
    const { memory, regs, gva, guest, editGuest } = buildWorld({ levels: 4, leafLevel: 1 });
    const narrow = { ...regs, maxphyaddr: 40 };
    memory.write64(guest.get(1)!.hpa, 0x5000n | P | bit(45));
    expect(translate(memory, narrow, NATIVE, gva, READ)).toMatchObject({ errorCode: 9 });
    memory.write64(guest.get(1)!.hpa, 0x5000n | bit(45));
    expect(translate(memory, narrow, NATIVE, gva, READ)).toMatchObject({ errorCode: 0 });
    editGuest(2, (entry) => entry | bit(40));
    expect(translate(memory, narrow, NATIVE, gva, READ)).toMatchObject({ errorCode: 9 });
  });

  it("walks a table that names itself, each use setting its flags in the one entry", () => {
    const memory = new PhysicalMemory();
    const self = 0x7000n + 8n * 510n;
    memory.write64(self, 0x7000n | P | RW);
    let gva = bits(63, 48);
    for (let level = 4; level >= 1; level--) gva |= 510n << BigInt(3 + 9 * level);
    const outcome = translate(memory, { ...LONG_MODE, cr3: 0x7000n }, NATIVE, gva | 8n, WRITE);
    expect(outcome).toMatchObject({ ok: true, hpa: 0x7008n });
    expect(outcome.references.map(({ hpa }) => hpa)).toEqual([self, self, self, self]);
    expect(memory.read64(self)).toBe(0x7000n | P | RW | A | D);
  });
});

describe("accessed and dirty flags", () => {
  const regs = { ...LONG_MODE, cr3: 0x1000n };

  it("A in every entry, D in the leaf and only on writes", () => {
    for (const [access, flags] of [
      [READ, A],
      [FETCH, A],
      [WRITE, A | D],
    ] as const) {
      const { memory, gva, entries } = buildPage(P | RW | US);
      expect(translate(memory, regs, NATIVE, gva, access)).toMatchObject({ ok: true });
      for (const [level, hpa] of entries) {
        expect(memory.read64(hpa) & (A | D)).toBe(level === 1 ? flags : A);
      }
    }
  });

  it("are not written again once set", () => {
    for (const options of [undefined, EAGER]) {
      const { memory, gva } = buildPage(P | RW | US);
      translate(memory, regs, NATIVE, gva, READ, options);
      memory.writes = 0;
      translate(memory, regs, NATIVE, gva, READ, options);
      expect(memory.writes).toBe(0);
      translate(memory, regs, NATIVE, gva, WRITE, options);
      expect(memory.writes).toBe(1);
      translate(memory, regs, NATIVE, gva, WRITE, options);
      expect(memory.writes).toBe(1);
    }
  });

  it("D is set through R/W=0 when CR0.WP=0", () => {
    const { memory, gva, leafEntry } = buildPage(P);
    expect(translate(memory, { ...regs, cr0: CR0.PG | 1n }, NATIVE, gva, WRITE)).toMatchObject({ ok: true });
    expect(memory.read64(leafEntry)).toBe(0x9061n);
  });

  it("stay as they were when the access is denied; eagerly, the non-leaf A are set", () => {
    for (const leaf of [P, 0n, P | bit(45)]) {
      const lazy = buildPage(leaf);
      const before = lazy.memory.words();
      const narrow = { ...regs, maxphyaddr: 40 };
      expect(translate(lazy.memory, narrow, NATIVE, lazy.gva, USER_WRITE)).toMatchObject({ fault: "PF" });
      expect(lazy.memory.words()).toEqual(before);

      const eager = buildPage(leaf);
      translate(eager.memory, narrow, NATIVE, eager.gva, USER_WRITE, EAGER);
      for (const [level, hpa] of eager.entries) {
        expect(eager.memory.read64(hpa) & (A | D)).toBe(level === 1 ? 0n : A);
      }
    }
  });

  it("a shadow-stack write finds D set, and sets A", () => {
    const { memory, gva, leafEntry } = buildPage(P | D);
    const access = { ...WRITE, shadowStack: true };
    expect(translate(memory, { ...regs, cr4: CR4.PAE | CR4.CET }, NATIVE, gva, access)).toMatchObject({
      ok: true,
    });
    expect(memory.read64(leafEntry)).toBe(0x9061n);
  });
});

describe("any entries, registers and access", () => {
  const flags = fc.constantFrom(0n, P, RW, US, A, D, PS, XD, bit(41), bit(59), bit(8));
  const entry = fc
    .array(flags, { maxLength: 3 })
    .map((set) => set.reduce((all, flag) => all ^ flag, P | RW | US));
  const scene = fc.record({
    entries: fc.tuple(entry, entry, entry, entry),
    frames: fc.constantFrom(0x4000_0000n, 0x1000n),
    cr0: fc.constantFrom(LONG_MODE.cr0, CR0.PG | 1n),
    features: fc.subarray([CR4.SMEP, CR4.SMAP, CR4.PKE, CR4.PKS]),
    nxe: fc.boolean(),
    pkru: fc.bigInt(0n, 15n),
    ac: fc.boolean(),
    access: fc.record({
      kind: fc.constantFrom("read" as const, "write" as const, "fetch" as const),
      user: fc.boolean(),
      implicit: fc.boolean(),
    }),
  });

  function build({ entries, frames, ...rest }: typeof scene extends fc.Arbitrary<infer T> ? T : never) {
    const memory = new CountingMemory();
    entries.forEach((value, index) => {
      const next = index === 3 ? frames : BigInt(0x2000 + 0x1000 * index);
      memory.write64(BigInt(0x1000 + 0x1000 * index), next | value);
    });
    const efer = rest.nxe ? LONG_MODE.efer : LONG_MODE.efer & ~EFER.NXE;
    const { cr0, pkru, ac, access } = rest;
    const regs = {
      ...LONG_MODE,
      cr4: rest.features.reduce((all, flag) => all | flag, CR4.PAE),
      cr3: 0x1000n,
      cr0,
      efer,
      pkru,
      pkrs: pkru,
      ac,
    };
    return { memory, regs: { ...regs, maxphyaddr: 40 }, access };
  }

  it("the A policy changes no outcome, a fault changes no table, a repeat writes nothing", () => {
    fc.assert(
      fc.property(scene, (shape) => {
        const { memory, regs, access } = build(shape);
        const before = memory.words();
        const first = translate(memory, regs, NATIVE, 0x238n, access);
        if (!first.ok) expect(memory.words()).toEqual(before);
        memory.writes = 0;
        expect(translate(memory, regs, NATIVE, 0x238n, access)).toEqual(first);
        expect(memory.writes).toBe(0);
        const eager = build(shape);
        expect(translate(eager.memory, regs, NATIVE, 0x238n, access, EAGER)).toEqual(first);
        if (first.ok) expect(eager.memory.words()).toEqual(memory.words());
      }),
      { seed: 1, numRuns: 2000 },
    );
  });
});

describe("one-gigabyte pages", () => {
  it("take the offset's 30 bits from the address", () => {
    const { memory, regs, gva, hpa } = buildWorld({ levels: 4, leafLevel: 3 });
    expect(translate(memory, regs, NATIVE, gva | 0x3fff_f000n, READ)).toMatchObject({
      hpa: (hpa & ~(GB - 1n)) | 0x3fff_f238n,
    });
  });
});
