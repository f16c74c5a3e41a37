import { describe, expect, it } from "vitest";
import { bit, bits } from "./reference/bits.js";
import { QUALIFICATION as Q } from "./reference/ept.js";
import { CR4 } from "./reference/registers.js";
import { eptWorld, FETCH, LONG_MODE, READ, USER_FETCH, USER_WRITE, WRITE } from "./reference/tables.js";
import { translate } from "./reference/walker.js";

const R = 1n;
const W = 2n;
const X = 4n;
const XU = bit(10);
const PS = bit(7);
const RIGHTS = R | W | X | XU;
const GUEST_P = 1n;
const GUEST_RW = 2n;
const GUEST_US = 4n;
const GUEST_D = 0x40n;

const FINAL = Q.GLA_VALID | Q.FINAL;

/** Host shapes and the level of each entry on the data page's path in them. */
const PLACES = ([4, 5] as const).flatMap((levels) =>
  [1, 2, 3].flatMap((dataLeaf) =>
    [5, 4, 3, 2, 1]
      .filter((level) => level <= levels && level >= dataLeaf)
      .map((level) => ({ levels, dataLeaf, level })),
  ),
);

describe("EPT rights", () => {
  const OPERATIONS = [READ, WRITE, FETCH];

  // Rights, then what a read, a write and a fetch give: 0 allowed, else qualification bits 6:0.
  it.each([
    ["none", 0n, [0x01, 0x02, 0x04]],
    ["R", R, [0, 0x0a, 0x0c]],
    ["RW", R | W, [0, 0, 0x1c]],
    ["X", X, [0x21, 0x22, 0]],
    ["RX", R | X, [0, 0x2a, 0]],
    ["RWX", R | W | X, [0, 0, 0]],
  ])("%s, at any level", (_, rights, expected) => {
    for (const { level, ...shape } of PLACES) {
      for (const [index, access] of OPERATIONS.entries()) {
        const { run, edit, hpa, gpa, gva } = eptWorld({}, shape);
        edit(level, (entry) => (entry & ~RIGHTS) | rights);
        const outcome = run(access);
        if (expected[index] === 0) expect(outcome).toMatchObject({ ok: true, hpa });
        else {
          const qualification = expected[index]! | FINAL;
          expect(outcome).toMatchObject({ exit: "EPT_VIOLATION", qualification, gpa, gla: gva });
        }
      }
    }
  });

  // As above; fetches from a supervisor page, then from a user page.
  it.each([
    ["none", 0n, [0x01, 0x02, 0x04, 0x04]],
    ["R", R, [0, 0x0a, 0x0c, 0x0c]],
    ["RW", R | W, [0, 0, 0x1c, 0x1c]],
    ["XS", X, [0x21, 0x22, 0, 0x24]],
    ["XU", XU, [0x41, 0x42, 0x44, 0]],
    ["XS XU", X | XU, [0x61, 0x62, 0, 0]],
    ["R XS", R | X, [0, 0x2a, 0, 0x2c]],
    ["R XU", R | XU, [0, 0x4a, 0x4c, 0]],
    ["R XS XU", R | X | XU, [0, 0x6a, 0, 0]],
    ["RW XS", R | W | X, [0, 0, 0, 0x3c]],
    ["RW XU", R | W | XU, [0, 0, 0x5c, 0]],
    ["RW XS XU", R | W | X | XU, [0, 0, 0, 0]],
  ])("%s under mode-based execute control, at any level", (_, rights, expected) => {
    for (const { level, ...shape } of PLACES) {
      for (const [index, access] of [READ, WRITE, FETCH, FETCH].entries()) {
        const { run, edit, editGuest } = eptWorld({ mbec: true }, shape);
        edit(level, (entry) => (entry & ~RIGHTS) | rights);
        // The page's mode decides: both fetches are the supervisor's.
        if (index !== 3) editGuest(1, (entry) => entry & ~GUEST_US);
        const outcome = run(access);
        if (expected[index] === 0) expect(outcome).toMatchObject({ ok: true });
        else expect(outcome).toMatchObject({ qualification: expected[index]! | FINAL });
      }
    }
  });

  it("are those of all levels together", () => {
    const { run, edit } = eptWorld();
    edit(4, (entry) => entry & ~W);
    edit(2, (entry) => entry & ~X);
    expect(run(WRITE)).toMatchObject({ qualification: 0x0a | FINAL });
    expect(run(FETCH)).toMatchObject({ qualification: 0x0c | FINAL });
  });

  it("report advanced information on the final access alone", () => {
    for (const [flags, expected] of [
      [GUEST_P, 0],
      [GUEST_P | GUEST_RW, Q.GUEST_WRITABLE],
      [GUEST_P | GUEST_US, Q.GUEST_USER],
      [GUEST_P | GUEST_US | GUEST_RW | bit(63), Q.GUEST_USER | Q.GUEST_WRITABLE | Q.GUEST_XD],
    ] as const) {
      const { run, edit, editGuest } = eptWorld({ advancedInformation: true });
      editGuest(1, (entry) => (entry & bits(51, 12)) | flags);
      edit(1, () => 0n);
      expect(run(READ)).toMatchObject({ qualification: Q.READ | FINAL | expected });
      edit(1, () => 0n, 2);
      expect(run(READ)).toMatchObject({ qualification: Q.READ | Q.GLA_VALID });
    }
    const unpaged = eptWorld({ advancedInformation: true });
    const outcome = translate(unpaged.memory, { ...LONG_MODE, cr0: 1n }, unpaged.ept, 0x5000n, READ);
    const expected = Q.READ | FINAL | Q.GUEST_USER | Q.GUEST_WRITABLE;
    expect(outcome).toMatchObject({ qualification: expected, gla: 0x5000n });
  });

  it("name a shadow-stack access", () => {
    const { run, edit, regs, editGuest } = eptWorld();
    regs.cr4 |= CR4.CET;
    editGuest(1, (entry) => (entry & bits(51, 12)) | GUEST_P | GUEST_D);
    edit(1, (entry) => entry & ~W);
    const outcome = run({ ...WRITE, shadowStack: true });
    expect(outcome).toMatchObject({ qualification: 0x2a | FINAL | Q.SHADOW_STACK });
  });
});

describe("EPT misconfigurations", () => {
  const MISCONFIG = { ok: false, exit: "EPT_MISCONFIG" };

  it.each([
    ["W", W, {}],
    ["WX", W | X, {}],
    ["X without the capability", X, { executeOnly: false }],
    ["W under MBEC", W, { mbec: true }],
    ["W XU under MBEC", W | XU, { mbec: true }],
    ["XU under MBEC, without the capability", XU, { mbec: true, executeOnly: false }],
    ["XS XU under MBEC, without the capability", X | XU, { mbec: true, executeOnly: false }],
  ])("%s, at any level", (_, rights, settings) => {
    for (const { level, ...shape } of PLACES) {
      for (const access of [READ, WRITE, FETCH]) {
        const { run, edit, gpa } = eptWorld(settings, shape);
        edit(level, (entry) => (entry & ~RIGHTS) | rights);
        const { references, ...outcome } = run(access);
        expect(outcome).toEqual({ ...MISCONFIG, gpa });
        expect(references.at(-1)).toMatchObject({ guestLevel: 0, hostLevel: level });
      }
    }
  });

  function reservedAt(level: number, leaf: boolean): bigint {
    const high = bits(51, 46);
    if (level >= 4) return high | bits(7, 3);
    if (!leaf) return high | bits(6, 3);
    return high | (level === 3 ? bits(29, 12) : level === 2 ? bits(20, 12) : 0n);
  }

  it("each reserved bit in a present entry; in an absent one it is a violation", () => {
    for (const { level, ...shape } of PLACES) {
      const leaf = level === shape.dataLeaf;
      const reserved = reservedAt(level, leaf);
      for (let position = 3; position <= 51; position++) {
        if ((reserved & bit(position)) === 0n) continue;
        const { run, edit } = eptWorld({}, shape);
        edit(level, (entry) => entry | bit(position));
        expect(run(READ)).toMatchObject(MISCONFIG);
        edit(level, (entry) => entry & ~RIGHTS);
        expect(run(READ)).toMatchObject({ exit: "EPT_VIOLATION", qualification: Q.READ | FINAL });
      }
    }
  });

  it("XU alone does not make an entry present without MBEC", () => {
    for (const mbec of [false, true]) {
      const { run, edit } = eptWorld({ mbec });
      edit(2, (entry) => (entry & ~RIGHTS) | XU | bit(50));
      expect(run(READ)).toMatchObject(mbec ? MISCONFIG : { qualification: Q.READ | FINAL });
    }
  });

  it("not by a bit that is ignored", () => {
    const ignored = [8, 9, 10, 11, ...Array.from({ length: 12 }, (_, index) => 52 + index)];
    for (const { level, ...shape } of PLACES) {
      for (const position of ignored) {
        const { run, edit, hpa } = eptWorld({}, shape);
        edit(level, (entry) => entry ^ bit(position));
        expect(run(READ)).toMatchObject({ ok: true, hpa });
      }
    }
  });

  it("leaf memory types 2, 3 and 7", () => {
    for (const dataLeaf of [1, 2, 3]) {
      for (const memoryType of [0, 1, 2, 3, 4, 5, 6, 7]) {
        const { run, edit } = eptWorld({}, { dataLeaf });
        edit(dataLeaf, (entry) => (entry & ~bits(5, 3)) | (BigInt(memoryType) << 3n));
        const expected = [2, 3, 7].includes(memoryType) ? MISCONFIG : { ok: true };
        expect(run(READ)).toMatchObject(expected);
      }
    }
  });

  it("PS where 1-GByte pages do not exist", () => {
    expect(eptWorld({ gbPages: false }, { dataLeaf: 3 }).run(READ)).toMatchObject(MISCONFIG);
  });

  it("below goes before missing rights above", () => {
    const { run, edit } = eptWorld();
    edit(4, (entry) => entry & ~W);
    edit(1, (entry) => entry | bits(5, 3));
    expect(run(WRITE)).toMatchObject(MISCONFIG);
  });

  it("above goes before an absent entry below, and the other way round", () => {
    const { run, edit } = eptWorld();
    edit(3, (entry) => entry | bit(50));
    edit(1, () => 0n);
    expect(run(READ)).toMatchObject(MISCONFIG);
    edit(4, () => 0n);
    expect(run(READ)).toMatchObject({ exit: "EPT_VIOLATION" });
  });
});

describe("guest faults and EPT exits", () => {
  it("a table's EPT fault comes before the entry in it is looked at", () => {
    const { run, edit, memory, guest } = eptWorld();
    memory.write64(guest.get(1)!.hpa, 0n);
    edit(1, () => 0n, 1);
    const { gpa } = guest.get(1)!;
    expect(run(READ)).toMatchObject({ exit: "EPT_VIOLATION", gpa, qualification: Q.READ | Q.GLA_VALID });
  });

  it("an absent or reserved guest entry comes before the table below it", () => {
    for (const [value, errorCode] of [
      [0n, 2],
      [0x4000_1007n | PS, 11],
    ] as const) {
      const { run, edit, memory, guest } = eptWorld();
      edit(1, () => 0n, 1);
      memory.write64(guest.get(4)!.hpa, value);
      expect(run(WRITE)).toMatchObject({ fault: "PF", errorCode });
    }
  });

  it("a guest permission fault comes before the final gpa", () => {
    const { run, edit, editGuest } = eptWorld();
    edit(1, () => 0n);
    editGuest(1, (entry) => entry & ~GUEST_RW);
    expect(run(USER_WRITE)).toMatchObject({ fault: "PF", errorCode: 7 });
    expect(run(USER_FETCH)).toMatchObject({ exit: "EPT_VIOLATION" });
  });

  it("a non-canonical address comes before everything", () => {
    const { memory, regs, ept } = eptWorld({ root: 0n });
    expect(translate(memory, regs, ept, bit(47), READ)).toEqual({ ok: false, fault: "GP", references: [] });
  });

  it("a gpa wider than 48 bits is a violation under 4-level EPT, and an address under 5-level", () => {
    for (const levels of [4, 5] as const) {
      const { run, gpa, hpa, editGuest } = eptWorld({ maxphyaddr: 52 }, { levels });
      // Bits 47:0 name a page that is mapped.
      editGuest(1, (entry) => entry | bit(48));
      const outcome = run(READ);
      if (levels === 5) expect(outcome).toMatchObject({ ok: true, hpa });
      else {
        const wide = gpa | bit(48);
        expect(outcome).toMatchObject({ exit: "EPT_VIOLATION", qualification: Q.READ | FINAL, gpa: wide });
        expect(outcome.references).toHaveLength(20);
      }
    }
  });
});
