import { describe, expect, it } from "vitest";
import { bit, bits } from "./reference/bits.js";
import { CR0, CR4, EFER } from "./reference/registers.js";
import {
  buildPage,
  FETCH,
  LONG_MODE,
  READ,
  USER_FETCH,
  USER_READ,
  USER_WRITE,
  WRITE,
} from "./reference/tables.js";
import { type Access, type Registers, translate } from "./reference/walker.js";

const P = 1n;
const RW = 2n;
const US = 4n;
const D = 0x40n;
const XD = bit(63);

function errorCodeOf(
  regs: Partial<Registers>,
  leaf: bigint,
  access: Access,
  upper = P | RW | US,
): number | "ok" {
  const page = buildPage(leaf, upper);
  const outcome = translate(page.memory, { ...page.regs, ...regs }, { kind: "none" }, page.gva, access);
  if (outcome.ok) return "ok";
  if (!("fault" in outcome) || outcome.fault !== "PF") throw new Error("neither translated nor #PF");
  expect(outcome.cr2).toBe(page.gva);
  return outcome.errorCode;
}

const cr4 = (...flags: bigint[]) => ({ cr4: flags.reduce((all, flag) => all | flag, CR4.PAE) });
const NO_WP = { cr0: CR0.PG | 1n };

describe("rights and error codes", () => {
  it("not present: P=0, the rest describes the access", () => {
    expect(errorCodeOf({}, 0n, READ)).toBe(0);
    expect(errorCodeOf({}, 0n, USER_WRITE)).toBe(6);
    expect(errorCodeOf({}, 0n, USER_FETCH)).toBe(20);
  });

  it("U/S, R/W and XD at any level", () => {
    expect(errorCodeOf({}, P | RW, USER_READ)).toBe(5);
    expect(errorCodeOf({}, P | RW | US, USER_READ, P | RW)).toBe(5);
    expect(errorCodeOf({}, P | US, USER_WRITE)).toBe(7);
    expect(errorCodeOf({}, P | US | RW, USER_WRITE, P | US)).toBe(7);
    expect(errorCodeOf({}, P | US | XD, USER_FETCH)).toBe(21);
    expect(errorCodeOf({}, P, FETCH, P | RW | XD)).toBe(17);
    expect(errorCodeOf({}, P, READ)).toBe("ok");
  });

  it("CR0.WP decides for supervisor writes alone", () => {
    expect(errorCodeOf({}, P, WRITE)).toBe(3);
    expect(errorCodeOf(NO_WP, P, WRITE)).toBe("ok");
    expect(errorCodeOf(NO_WP, P | US, USER_WRITE)).toBe(7);
  });

  it("I/D is reported for a fetch only with NXE or SMEP", () => {
    const efer = LONG_MODE.efer & ~EFER.NXE;
    expect(errorCodeOf({ efer }, 0n, FETCH)).toBe(0);
    expect(errorCodeOf({ efer, ...cr4(CR4.SMEP) }, 0n, FETCH)).toBe(16);
    expect(errorCodeOf({}, 0n, FETCH)).toBe(16);
  });

  it("XD without NXE is reserved, for every access", () => {
    const efer = LONG_MODE.efer & ~EFER.NXE;
    expect(errorCodeOf({ efer }, P | RW | US | XD, USER_READ)).toBe(13);
    expect(errorCodeOf({ efer }, P | RW | US | XD, FETCH)).toBe(9);
    expect(errorCodeOf({ efer, ...cr4(CR4.SMEP) }, P | RW | US | XD, FETCH)).toBe(25);
  });

  it("SMEP: no supervisor fetch from a user page", () => {
    expect(errorCodeOf({}, P | US, FETCH)).toBe("ok");
    expect(errorCodeOf(cr4(CR4.SMEP), P | US, FETCH)).toBe(17);
    expect(errorCodeOf(cr4(CR4.SMEP), P | US, USER_FETCH)).toBe("ok");
    expect(errorCodeOf(cr4(CR4.SMEP), P | US, FETCH, P | RW)).toBe("ok");
  });

  it("SMAP: EFLAGS.AC lifts it for explicit accesses only", () => {
    const smap = cr4(CR4.SMAP);
    const implicit = { ...READ, implicit: true };
    expect(errorCodeOf(smap, P | US, READ)).toBe(1);
    expect(errorCodeOf({ ...smap, ac: true }, P | US, READ)).toBe("ok");
    expect(errorCodeOf({ ...smap, ac: true }, P | US, implicit)).toBe(1);
    expect(errorCodeOf({ ac: true }, P | US, implicit)).toBe("ok");
    expect(errorCodeOf({ ...smap, ac: true }, P | US | RW, { ...WRITE, implicit: true })).toBe(3);
    expect(errorCodeOf(smap, P | US, FETCH)).toBe("ok");
    expect(errorCodeOf(smap, P | US, USER_READ)).toBe("ok");
    expect(errorCodeOf({ ...smap, ...NO_WP }, P | US, READ)).toBe(1);
    expect(errorCodeOf({ ...smap, ...NO_WP, ac: true }, P | US, WRITE)).toBe("ok");
  });

  it("an implicit access is a supervisor one, at CPL 3 too", () => {
    const implicit = { ...USER_READ, implicit: true };
    expect(errorCodeOf({ cpl: 3 }, P, implicit)).toBe("ok");
    expect(errorCodeOf({ cpl: 3 }, 0n, implicit)).toBe(0);
  });

  const key = (number: number) => BigInt(number) << 59n;

  it("PKU: user pages, data, whoever asks", () => {
    const ad = { ...cr4(CR4.PKE), pkru: bit(2 * 9) };
    const wd = { ...cr4(CR4.PKE), pkru: bit(2 * 9 + 1) };
    const leaf = P | RW | US | key(9);
    expect(errorCodeOf(ad, leaf, USER_READ)).toBe(37);
    expect(errorCodeOf(ad, leaf, READ)).toBe(33);
    expect(errorCodeOf({ ...ad, ...NO_WP }, leaf, WRITE)).toBe(35);
    expect(errorCodeOf(ad, leaf, USER_FETCH)).toBe("ok");
    expect(errorCodeOf(wd, leaf, USER_READ)).toBe("ok");
    expect(errorCodeOf(wd, leaf, USER_WRITE)).toBe(39);
    expect(errorCodeOf(wd, leaf, WRITE)).toBe(35);
    expect(errorCodeOf({ ...wd, ...NO_WP }, leaf, WRITE)).toBe("ok");
    expect(errorCodeOf({ ...wd, ...NO_WP }, leaf, USER_WRITE)).toBe(39);
    expect(errorCodeOf(ad, P | RW | key(9), READ)).toBe("ok");
    expect(errorCodeOf({ pkru: bits(31, 0) }, leaf, USER_READ)).toBe("ok");
    // The key of the leaf counts, not that of the entries above it.
    expect(errorCodeOf(ad, P | US | key(8), USER_READ, P | RW | US | key(9))).toBe("ok");
  });

  it("PK is reported beside other denials, but not with reserved bits or P=0", () => {
    const ad = { ...cr4(CR4.PKE, CR4.SMAP), pkru: 1n, maxphyaddr: 40 };
    expect(errorCodeOf(ad, P | US, USER_WRITE)).toBe(39);
    expect(errorCodeOf(ad, P | US, READ)).toBe(33);
    expect(errorCodeOf(ad, P | US | bit(41), USER_WRITE)).toBe(15);
    expect(errorCodeOf(ad, US, USER_WRITE)).toBe(6);
  });

  it("PKS: supervisor pages, IA32_PKRS", () => {
    const ad = { ...cr4(CR4.PKS), pkrs: bit(2 * 5), pkru: 0n };
    const wd = { ...cr4(CR4.PKS), pkrs: bit(2 * 5 + 1) };
    const leaf = P | RW | key(5);
    expect(errorCodeOf(ad, leaf, READ)).toBe(33);
    expect(errorCodeOf(ad, leaf, { ...READ, implicit: true })).toBe(33);
    expect(errorCodeOf(ad, leaf, FETCH)).toBe("ok");
    expect(errorCodeOf(wd, leaf, READ)).toBe("ok");
    expect(errorCodeOf(wd, leaf, WRITE)).toBe(35);
    expect(errorCodeOf({ ...wd, ...NO_WP }, leaf, WRITE)).toBe("ok");
    expect(errorCodeOf(ad, leaf | US, READ)).toBe("ok");
    // U/S=0 anywhere on the path makes a supervisor-mode address: PKRS rules it, not PKRU.
    expect(errorCodeOf(ad, leaf | US, READ, P | RW)).toBe(33);
    expect(errorCodeOf({ pkrs: bits(31, 0) }, leaf, READ)).toBe("ok");
  });

  describe("shadow stacks", () => {
    const cet = cr4(CR4.CET);
    const read = { ...READ, shadowStack: true };
    const write = { ...WRITE, shadowStack: true };
    const userRead = { ...USER_READ, shadowStack: true };
    const userWrite = { ...USER_WRITE, shadowStack: true };

    it("are pages with R/W=0 and D=1 under writable tables", () => {
      expect(errorCodeOf(cet, P | D, read)).toBe("ok");
      expect(errorCodeOf(cet, P | D, write)).toBe("ok");
      expect(errorCodeOf(cet, P | US | D, userWrite)).toBe("ok");
      expect(errorCodeOf(cet, P, read)).toBe(65);
      expect(errorCodeOf(cet, P | RW | D, write)).toBe(67);
      expect(errorCodeOf(cet, P | D, write, P | US)).toBe(67);
      expect(errorCodeOf(cet, 0n, userWrite)).toBe(70);
      expect(errorCodeOf({}, P | D, read)).toBe(65);
    });

    it("belong to the one mode their U/S names", () => {
      expect(errorCodeOf(cet, P | US | D, read)).toBe(65);
      expect(errorCodeOf(cet, P | D, userRead)).toBe(69);
      expect(errorCodeOf(cet, P | US | D, userRead, P | RW)).toBe(69);
    });

    it("are read-only pages to ordinary accesses, and data to the keys", () => {
      expect(errorCodeOf(cet, P | D, READ)).toBe("ok");
      expect(errorCodeOf(cet, P | D, WRITE)).toBe(3);
      const pke = { ...cr4(CR4.CET, CR4.PKE), pkru: 2n };
      expect(errorCodeOf(pke, P | US | D, userRead)).toBe("ok");
      expect(errorCodeOf(pke, P | US | D, userWrite)).toBe(103);
    });
  });
});
