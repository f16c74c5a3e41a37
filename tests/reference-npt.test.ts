import { describe, expect, it } from "vitest";
import { bit } from "./reference/bits.js";
import { CR0, CR4, EFER } from "./reference/registers.js";
import {
  FETCH,
  LONG_MODE,
  mapPage,
  nptWorld,
  READ,
  USER_READ,
  USER_WRITE,
  WRITE,
} from "./reference/tables.js";
import { type Npt, PhysicalMemory, translate } from "./reference/walker.js";

const P = 1n;
const RW = 2n;
const US = 4n;
const A = 0x20n;
const D = 0x40n;
const XD = bit(63);
const ALL = P | RW | US;

describe("EXITINFO1 and EXITINFO2", () => {
  const without = (flag: bigint) => (entry: bigint) => entry & ~flag;

  it.each([
    ["not present, read", READ, without(P), 0x1_0000_0004n],
    ["not present, write", WRITE, without(P), 0x1_0000_0006n],
    ["not present, fetch", FETCH, without(P), 0x1_0000_0014n],
    ["NX, fetch", FETCH, (entry: bigint) => entry | XD, 0x1_0000_0015n],
    ["U=0", READ, without(US), 0x1_0000_0005n],
    ["read-only, write", WRITE, without(RW), 0x1_0000_0007n],
  ])("%s, at every level", (_, access, change, exitinfo1) => {
    for (const levels of [4, 5] as const) {
      for (let level = 1; level <= levels; level++) {
        const { run, edit, gpa } = nptWorld({}, levels);
        edit(level, change);
        expect(run(access)).toMatchObject({ ok: false, exit: "NPF", exitinfo1, gpa });
      }
    }
  });

  it("guest table read-only: a nested user write, whatever the access and the guest's A and D", () => {
    for (const access of [READ, WRITE, FETCH, USER_READ]) {
      for (const guestLevel of [4, 3, 2, 1]) {
        const { run, edit, memory, guest } = nptWorld();
        const { gpa, hpa } = guest.get(guestLevel)!;
        memory.write64(hpa, memory.read64(hpa) | A | D);
        edit(1, without(RW), guestLevel);
        expect(run(access)).toMatchObject({ exit: "NPF", exitinfo1: 0x2_0000_0007n, gpa });
        edit(1, without(P), guestLevel);
        expect(run(access)).toMatchObject({ exit: "NPF", exitinfo1: 0x2_0000_0006n, gpa });
      }
    }
  });

  it("guest table NX: of no interest", () => {
    const { run, edit, hpa } = nptWorld();
    for (const guestLevel of [4, 3, 2, 1]) edit(1, (entry) => entry | XD, guestLevel);
    expect(run(FETCH)).toMatchObject({ ok: true, hpa });
  });

  // kvm-unit-tests svm_npt_rsvd_bits_test: a fetch, each entry against each mix of host and guest modes.
  it.each([
    ["PML4E", 4, bit(51), 4, 0x2_0000_000fn],
    ["PML4E", 4, bit(8), 4, 0x2_0000_000fn],
    ["PML4E", 4, bit(7), 4, 0x2_0000_000fn],
    ["PDPE", 3, bit(46), 4, 0x2_0000_000fn],
    ["PDE", 2, bit(48), 0, 0x1_0000_000dn],
    ["PTE", 1, bit(51), 0, 0x1_0000_000dn],
  ])("reserved bit in the %s at level %i", (_, level, reserved, guestLevel, expected) => {
    for (let mix = 0; mix < 16; mix++) {
      const [hostNxe, hostSmep, guestNxe, guestSmep] = [1, 2, 4, 8].map((each) => (mix & each) !== 0);
      const hostEfer = EFER.LMA | EFER.LME | (hostNxe ? EFER.NXE : 0n);
      const hostCr4 = CR4.PAE | (hostSmep ? CR4.SMEP : 0n);
      const { run, edit, regs, guest, editGuest } = nptWorld({ hostEfer, hostCr4 });
      if (!guestNxe) regs.efer &= ~EFER.NXE;
      if (guestSmep) {
        regs.cr4 |= CR4.SMEP;
        editGuest(1, (entry) => entry & ~US);
      }
      edit(level, (entry) => entry | reserved, guestLevel);
      const reportsFetch = guestLevel === 0 && (hostNxe || hostSmep);
      const exitinfo1 = expected | (reportsFetch ? 0x10n : 0n);
      const gpa = guest.get(4)!.gpa;
      expect(run(FETCH)).toMatchObject({ exit: "NPF", exitinfo1, ...(guestLevel === 4 ? { gpa } : {}) });
    }
  });

  it("large-page alignment bits are reserved but for PAT", () => {
    for (const [leaf, last] of [
      [2, 20],
      [3, 29],
    ] as const) {
      for (let position = 12; position <= last; position++) {
        const { run, edit } = nptWorld({}, 4, leaf);
        edit(leaf, (entry) => entry | bit(position));
        const exitinfo1 = 0x1_0000_000dn;
        expect(run(READ)).toMatchObject(position === 12 ? { ok: true } : { exit: "NPF", exitinfo1 });
      }
    }
  });

  it("a gpa wider than the nested tables translate is not present", () => {
    // The bits that are translated name a page that is mapped.
    const { run, gpa, editGuest } = nptWorld();
    editGuest(1, (entry) => entry | bit(48));
    expect(run(READ)).toMatchObject({ exit: "NPF", exitinfo1: 0x1_0000_0004n, gpa: gpa | bit(48) });
  });
});

describe("nested rights", () => {
  it("are a user's: the host's WP, SMEP, SMAP and keys take no part, nor do the guest's", () => {
    const hostCr4 = CR4.PAE | CR4.SMEP | CR4.SMAP | CR4.PKE;
    const { run, edit, regs, hpa } = nptWorld({ hostCr4 });
    edit(1, (entry) => entry | bit(59));
    regs.pkru = 0xffff_fffcn;
    for (const access of [READ, WRITE, FETCH]) expect(run(access)).toMatchObject({ ok: true, hpa });
    regs.cr0 &= ~CR0.WP;
    edit(1, (entry) => entry & ~RW);
    expect(run(WRITE)).toMatchObject({ exitinfo1: 0x1_0000_0007n });
  });

  it("NXE is the host's: bit 63 is reserved without it, whatever the guest's", () => {
    const { run, edit } = nptWorld({ hostEfer: EFER.LMA | EFER.LME });
    edit(1, (entry) => entry | XD);
    expect(run(READ)).toMatchObject({ exitinfo1: 0x1_0000_000dn });
    const guestOff = nptWorld();
    guestOff.regs.efer &= ~EFER.NXE;
    guestOff.edit(1, (entry) => entry | XD);
    expect(guestOff.run(READ)).toMatchObject({ ok: true });
    expect(guestOff.run(FETCH)).toMatchObject({ exitinfo1: 0x1_0000_0015n });
  });

  it("come after the guest's own", () => {
    const { run, edit, editGuest } = nptWorld();
    edit(1, () => 0n);
    editGuest(1, (entry) => entry & ~RW);
    expect(run(USER_WRITE)).toMatchObject({ fault: "PF", errorCode: 7 });
    expect(run(USER_READ)).toMatchObject({ exit: "NPF", exitinfo1: 0x1_0000_0004n });
  });
});

describe("nested accessed and dirty flags", () => {
  it("A everywhere, D in the leaf of what is written; guest tables always are", () => {
    for (const [access, dirty] of [
      [READ, 0n],
      [WRITE, D],
    ] as const) {
      const world = nptWorld();
      expect(world.run(access)).toMatchObject({ ok: true });
      for (const guestLevel of [4, 3, 2, 1, 0]) {
        const leaf = guestLevel === 0 ? A | dirty : A | D;
        expect(world.entry(1, guestLevel) & (A | D)).toBe(leaf);
        for (const level of [4, 3, 2]) expect(world.entry(level, guestLevel) & (A | D)).toBe(A);
      }
    }
  });

  it("of the walk that faulted are untouched, or eagerly A above the leaf", () => {
    for (const nonleafAccessed of ["all-or-nothing", "eager"] as const) {
      const world = nptWorld();
      world.edit(1, (entry) => entry & ~RW);
      expect(world.run(WRITE, { nonleafAccessed })).toMatchObject({ exit: "NPF" });
      expect(world.entry(1) & (A | D)).toBe(0n);
      expect(world.entry(2) & (A | D)).toBe(nonleafAccessed === "eager" ? A : 0n);
      expect(world.entry(1, 1) & (A | D)).toBe(A | D);
    }
  });
});

describe("PAE", () => {
  const HOST_ROOT = 0x1_0000n;

  /** A host in PAE mode: nCR3's four PDPTEs, then 2-MByte pages that keep each gpa where it is. */
  function paeHost(gpas: bigint[]): { memory: PhysicalMemory; npt: Npt } {
    const memory = new PhysicalMemory();
    let tables = HOST_ROOT;
    for (const gpa of gpas) {
      mapPage(memory, {
        root: HOST_ROOT,
        levels: 3,
        leafLevel: 2,
        address: gpa,
        frame: gpa & ~0x1f_ffffn,
        nonleafFlags: P,
        leafFlags: ALL,
        allocate: () => {
          tables += 0x1000n;
          return tables;
        },
      });
    }
    const hostEfer = EFER.SVME | EFER.NXE;
    return {
      memory,
      npt: { kind: "npt", root: HOST_ROOT, levels: 3, maxphyaddr: 40, hostEfer, hostCr4: CR4.PAE },
    };
  }

  const UNPAGED = { ...LONG_MODE, cr0: 1n, cr4: 0n, efer: 0n, vendor: "amd" } as const;

  it("host: three levels; PDPTEs have no rights and no A, but reserved bits that fault when used", () => {
    const { memory, npt } = paeHost([0xc020_0000n]);
    const outcome = translate(memory, UNPAGED, npt, 0xc020_0123n, WRITE);
    expect(outcome).toMatchObject({ ok: true, hpa: 0xc020_0123n, pageSize: 2 ** 21 });
    expect(outcome.references).toHaveLength(2);
    const pdpte = HOST_ROOT + 24n;
    expect(memory.read64(pdpte) & 0xfffn).toBe(P);
    for (const position of [1, 2, 5, 6, 7, 8, 40, 52, 62, 63]) {
      const each = paeHost([0xc020_0000n]);
      each.memory.write64(pdpte, each.memory.read64(pdpte) | bit(position));
      const exitinfo1 = 0x1_0000_000fn;
      expect(translate(each.memory, UNPAGED, npt, 0xc020_0123n, WRITE)).toMatchObject({ exitinfo1 });
    }
  });

  it("host: a gpa above 4 GByte is not present", () => {
    const { memory, npt } = paeHost([0n]);
    const root = bit(32);
    const regs = { ...LONG_MODE, cr3: root, vendor: "amd" } as const;
    expect(translate(memory, regs, npt, 0n, READ)).toMatchObject({ exitinfo1: 0x2_0000_0006n, gpa: root });
  });

  it("guest: PDPTEs are read through the nested tables on each walk, and fault with RSVD", () => {
    const { memory, npt } = paeHost([0x40_0000n]);
    const regs = { ...UNPAGED, cr0: CR0.PG | 1n, cr4: CR4.PAE, cr3: 0x40_0020n, maxphyaddr: 40 };
    memory.write64(0x40_0038n, 0x40_1000n | P);
    memory.write64(0x40_1000n, 0x40_2000n | ALL);
    memory.write64(0x40_2000n, 0x40_5000n | ALL);
    const outcome = translate(memory, regs, npt, 0xc000_0010n, USER_WRITE);
    expect(outcome).toMatchObject({ ok: true, hpa: 0x40_5010n, stage1PageSize: 4096 });
    // Three guest entries and the data, each behind two nested levels.
    expect(outcome.references).toHaveLength(11);
    expect(memory.read64(0x40_0038n)).toBe(0x40_1000n | P);

    expect(translate(memory, regs, npt, 0x10n, READ)).toMatchObject({ fault: "PF", errorCode: 0 });
    memory.write64(0x40_0038n, 0x40_1000n | P | RW);
    expect(translate(memory, regs, npt, 0xc000_0010n, READ)).toMatchObject({ fault: "PF", errorCode: 9 });
  });
});
