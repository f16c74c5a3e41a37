import { describe, expect, it } from "vitest";
import type { Registers } from "../src/conform/bare/types.js";
import { A, CR0, CR4, D, EFER, LONG, NO_FLUSH, P, READ, RW, TlbMachine, US } from "./tlb/machine.js";

const LEGACY: Partial<Registers> = { cr0: CR0.PE | CR0.PG | CR0.WP, cr4: 0n, efer: 0n, codeLong: false };
const PAE: Partial<Registers> = { ...LEGACY, cr4: CR4.PAE };
const PCIDS: Partial<Registers> = { cr4: LONG.cr4 | CR4.PCIDE };
const UNPAGED: Partial<Registers> = { cr0: CR0.PE, cr4: CR4.PAE, efer: EFER.LME, codeLong: false };

type Row = [
  name: string,
  regs: Partial<Registers>,
  register: "cr0" | "cr3" | "cr4" | "efer" | "pkrs",
  value: bigint,
  result: "ok" | "GP",
];

const cr4 = LONG.cr4;
const rows: Row[] = [
  ["CR0.PG without CR0.PE", LEGACY, "cr0", CR0.PG, "GP"],
  ["CR0.NW without CR0.CD", {}, "cr0", LONG.cr0 | CR0.NW, "GP"],
  ["CR0.NW with CR0.CD", {}, "cr0", LONG.cr0 | CR0.NW | CR0.CD, "ok"],
  ["CR0 above bit 31", {}, "cr0", LONG.cr0 | (1n << 32n), "GP"],
  ["CR0.PG into IA-32e mode with PAE", UNPAGED, "cr0", CR0.PE | CR0.PG, "ok"],
  ["CR0.PG into IA-32e mode without PAE", { ...UNPAGED, cr4: 0n }, "cr0", CR0.PE | CR0.PG, "GP"],
  ["CR0.PG into IA-32e mode from CS.L", { ...UNPAGED, codeLong: true }, "cr0", CR0.PE | CR0.PG, "GP"],
  ["CR0.PG cleared in 64-bit mode", {}, "cr0", CR0.PE, "GP"],
  ["CR0.PG cleared in compatibility mode", { codeLong: false }, "cr0", CR0.PE, "ok"],
  ["CR0.PG cleared under CR4.PCIDE", { ...PCIDS, codeLong: false }, "cr0", CR0.PE, "GP"],
  ["CR0.PG cleared in 32-bit paging", LEGACY, "cr0", CR0.PE, "ok"],
  ["CR0.WP cleared", {}, "cr0", LONG.cr0 & ~CR0.WP, "ok"],
  ["CR0.WP cleared under CR4.CET", { cr4: cr4 | CR4.CET }, "cr0", LONG.cr0 & ~CR0.WP, "GP"],
  ["CR4.CET without CR0.WP", { cr0: LONG.cr0 & ~CR0.WP }, "cr4", cr4 | CR4.CET, "GP"],
  ["CR4.CET with CR0.WP", {}, "cr4", cr4 | CR4.CET, "ok"],
  ["CR4.PAE cleared in IA-32e mode", {}, "cr4", cr4 & ~CR4.PAE, "GP"],
  ["CR4.PAE cleared outside of it", PAE, "cr4", 0n, "ok"],
  ["CR4.LA57 set in IA-32e mode", {}, "cr4", cr4 | CR4.LA57, "GP"],
  ["CR4.LA57 cleared in IA-32e mode", { cr4: cr4 | CR4.LA57 }, "cr4", cr4, "GP"],
  ["CR4.LA57 set with paging off", UNPAGED, "cr4", CR4.PAE | CR4.LA57, "ok"],
  ["CR4.PCIDE set in IA-32e mode", {}, "cr4", cr4 | CR4.PCIDE, "ok"],
  ["CR4.PCIDE set with CR3[11:0] not 0", { cr3: 0x8n }, "cr4", cr4 | CR4.PCIDE, "GP"],
  ["CR4.PCIDE set outside of IA-32e mode", PAE, "cr4", CR4.PAE | CR4.PCIDE, "GP"],
  ["CR4.PCIDE kept with a PCID", { ...PCIDS, cr3: 0x8n }, "cr4", cr4 | CR4.PCIDE | CR4.SMEP, "ok"],
  ["CR4 bit 15", {}, "cr4", cr4 | (1n << 15n), "GP"],
  ["CR4 bit 63", {}, "cr4", cr4 | (1n << 63n), "GP"],
  ["CR3 within MAXPHYADDR", {}, "cr3", 1n << 45n, "ok"],
  ["CR3 beyond MAXPHYADDR", {}, "cr3", 1n << 46n, "GP"],
  ["CR3 bit 63 without PCIDs", {}, "cr3", NO_FLUSH | 0x1000n, "GP"],
  ["CR3 bit 63 with PCIDs", PCIDS, "cr3", NO_FLUSH | 0x1005n, "ok"],
  ["CR3 bit 62 with PCIDs", PCIDS, "cr3", (1n << 62n) | 0x1000n, "GP"],
  ["CR3 bit 52", PCIDS, "cr3", (1n << 52n) | 0x1000n, "GP"],
  ["CR3 outside of IA-32e mode: 32 bits are loaded", LEGACY, "cr3", (1n << 50n) | 0x1000n, "ok"],
  ["EFER.LME cleared under paging", {}, "efer", EFER.NXE, "GP"],
  ["EFER.LME set under paging", LEGACY, "efer", EFER.LME, "GP"],
  ["EFER.LME set with paging off", { ...UNPAGED, efer: 0n }, "efer", EFER.LME, "ok"],
  ["EFER.NXE toggled", {}, "efer", EFER.LME, "ok"],
  ["a reserved bit of EFER", {}, "efer", LONG.efer | 2n, "GP"],
  ["IA32_PKRS above bit 31", {}, "pkrs", 1n << 32n, "GP"],
  ["IA32_PKRS", {}, "pkrs", 0xffff_ffffn, "ok"],
];

describe("loads of the paging registers", () => {
  it.each(rows)("%s", (_, regs, register, value, result) => {
    const { mmu } = new TlbMachine(regs);
    const before = mmu.state();
    expect(mmu.load(register, value)).toBe(result);
    if (result === "GP") expect(mmu.state()).toEqual(before);
    else expect(mmu.state()[register]).not.toBe(before[register]);
  });

  it("do not store CR3's bit 63, and load 32 bits outside of IA-32e mode", () => {
    const { mmu } = new TlbMachine(PCIDS);
    mmu.load("cr3", NO_FLUSH | 0x1005n);
    expect(mmu.state().cr3).toBe(0x1005n);
    const legacy = new TlbMachine(LEGACY);
    legacy.mmu.load("cr3", (1n << 40n) | 0x2000n);
    expect(legacy.mmu.state().cr3).toBe(0x2000n);
  });

  it("EFER.LMA follows CR0.PG and EFER.LME, whatever is written to it", () => {
    const { mmu } = new TlbMachine(UNPAGED);
    mmu.load("efer", EFER.LME | EFER.LMA);
    expect(mmu.state().efer).toBe(EFER.LME);
    mmu.load("cr0", CR0.PE | CR0.PG);
    expect(mmu.state().efer).toBe(EFER.LME | EFER.LMA);
    mmu.load("efer", EFER.LME | EFER.NXE);
    expect(mmu.state().efer).toBe(EFER.LME | EFER.LMA | EFER.NXE);
    mmu.load("cr0", CR0.PE);
    expect(mmu.state().efer).toBe(EFER.LME | EFER.NXE);
  });
});

describe("INVPCID", () => {
  it.each([
    ["type 4", {}, 4, 0n, 0n, "GP"],
    ["bits 63:12 of the descriptor", PCIDS, 1, 0x1000n, 0n, "GP"],
    ["bits 63:12 of the descriptor, type 2", PCIDS, 2, 1n << 63n, 0n, "GP"],
    ["type 0, a non-canonical address", PCIDS, 0, 1n, 1n << 47n, "GP"],
    ["type 0, an address canonical with 5 levels", { cr4: cr4 | CR4.LA57 }, 0, 0n, 1n << 47n, "ok"],
    ["type 1 does not look at the address", PCIDS, 1, 1n, 1n << 47n, "ok"],
    ["type 0 of a PCID without CR4.PCIDE", {}, 0, 1n, 0n, "GP"],
    ["type 1 of a PCID without CR4.PCIDE", {}, 1, 1n, 0n, "GP"],
    ["type 0 of PCID 0 without CR4.PCIDE", {}, 0, 0n, 0n, "ok"],
    ["type 1 of PCID 0 without CR4.PCIDE", {}, 1, 0n, 0n, "ok"],
    ["type 2 with a PCID without CR4.PCIDE", {}, 2, 1n, 0n, "ok"],
    ["type 3", {}, 3, 0n, 0n, "ok"],
    ["type 0", PCIDS, 0, 0xfffn, 0xffff_8000_0000_0000n, "ok"],
  ] as const)("%s", (_, regs, type, descriptor, gva, result) => {
    expect(new TlbMachine(regs).mmu.invpcid(type, descriptor, gva)).toBe(result);
  });
});

describe("INVVPID and INVEPT", () => {
  const m = new TlbMachine({}, {});
  const eptp = m.ept();

  it.each([
    [0, 1n, 0n, "ok"],
    [0, 0n, 0n, "VMfail"],
    [0, 0x1_0000n, 0n, "VMfail"],
    [0, 1n, 1n << 47n, "VMfail"],
    [1, 1n, 1n << 47n, "ok"],
    [1, 0n, 0n, "VMfail"],
    [1, 1n << 63n, 0n, "VMfail"],
    [2, 0n, 0n, "ok"],
    [2, 0x1_0000n, 0n, "VMfail"],
    [3, 0xffffn, 0n, "ok"],
    [3, 0n, 0n, "VMfail"],
    [4, 1n, 0n, "VMfail"],
  ] as const)("INVVPID %i of %x, address %x: %s", (type, descriptor, gva, result) => {
    expect(m.mmu.invvpid(type, descriptor, gva)).toBe(result);
  });

  it.each([
    ["single-context", 1, eptp, 0n, "ok"],
    ["global, which does not look at the EPTP", 2, 0x123n, 0n, "ok"],
    ["type 0", 0, eptp, 0n, "VMfail"],
    ["type 3", 3, eptp, 0n, "VMfail"],
    ["the reserved half of the descriptor", 2, 0n, 1n, "VMfail"],
    ["single-context with an EPTP that is none", 1, eptp | 0x80n, 0n, "VMfail"],
  ] as const)("INVEPT %s", (_, type, pointer, high, result) => {
    expect(m.mmu.invept(type, pointer, high)).toBe(result);
  });
});

describe("EPTP validity", () => {
  const root = 0x5000_0000n;
  it.each([
    ["write-back, 4 levels", root | 0x1en, "ok"],
    ["uncacheable", root | 0x18n, "ok"],
    ["accessed and dirty flags", root | 0x5en, "ok"],
    ["memory type 1", root | 0x19n, "VMfail"],
    ["memory type 7", root | 0x1fn, "VMfail"],
    ["3 levels", root | 0x16n, "VMfail"],
    ["5 levels, which the CPU has not", root | 0x26n, "VMfail"],
    ["bit 7", root | 0x9en, "VMfail"],
    ["bit 11", root | 0x81en, "VMfail"],
    ["an address beyond the host's width", (1n << 46n) | 0x1en, "VMfail"],
  ] as const)("%s", (_, eptp, result) => {
    expect(new TlbMachine({}, {}).mmu.enter(eptp)).toBe(result);
  });

  it("5 levels, where the CPU has them", () => {
    const { mmu } = new TlbMachine({}, { levels: 5 });
    expect(mmu.enter(root | 0x26n)).toBe("ok");
    expect(mmu.enter(root | 0x1en)).toBe("ok");
    expect(mmu.enter(root | 0x2en)).toBe("VMfail");
  });
});

describe("PAE: the level-3 entries are loaded by MOV CR, and checked then", () => {
  const world = (ept?: object) => {
    const m = new TlbMachine(PAE, ept);
    const eptp = ept ? m.ept() : 0n;
    if (ept) m.mmu.enter(eptp);
    const pdpt = m.table() | 0x20n;
    const pd = m.table();
    const pt = m.table();
    const DATA32 = 0x3000_0000n;
    m.mmu.write(pdpt, pd | P);
    m.mmu.write(pd, pt | P | RW | US | A);
    m.mmu.write(pt + 8n, DATA32 | P | RW | US | A | D);
    return { m, eptp, pdpt, pd, DATA32 };
  };

  it("a walk uses the registers, whatever memory says later", () => {
    const { m, pdpt, DATA32 } = world();
    expect(m.mmu.load("cr3", pdpt)).toBe("ok");
    m.mmu.write(pdpt, 0n);
    expect(m.touch(0x1000n)).toMatchObject({ ok: true, hpa: DATA32, references: 2 });
    expect(m.mmu.load("cr3", pdpt)).toBe("ok");
    expect(m.touch(0x1000n)).toMatchObject({ fault: "PF", errorCode: 0, references: 0 });
  });

  it.each([1n, 2n, 5n, 6n, 7n, 8n, 46n, 51n, 52n, 62n, 63n])(
    "reserved bit %i in a present one is #GP at the load",
    (bit) => {
      const { m, pdpt, DATA32 } = world();
      m.mmu.load("cr3", pdpt);
      const before = m.mmu.state();
      m.mmu.write(pdpt + 0x18n, (1n << bit) | P);
      expect(m.mmu.load("cr3", pdpt)).toBe("GP");
      expect(m.mmu.state()).toEqual(before);
      expect(m.touch(0x1000n)).toMatchObject({ ok: true, hpa: DATA32 });
      m.mmu.write(pdpt + 0x18n, 1n << bit);
      expect(m.mmu.load("cr3", pdpt)).toBe("ok");
    },
  );

  it.each([3n, 4n, 9n, 11n])("bit %i is not reserved", (bit) => {
    const { m, pdpt } = world();
    m.mmu.write(pdpt, m.mmu.read(pdpt) | (1n << bit));
    expect(m.mmu.load("cr3", pdpt)).toBe("ok");
  });

  it("CR0.PG, CD and NW, and CR4.PAE, PGE, PSE and SMEP load them; other bits do not", () => {
    for (const [register, bit, loads] of [
      ["cr0", CR0.CD, true],
      ["cr0", CR0.WP, false],
      ["cr4", CR4.PGE, true],
      ["cr4", CR4.PSE, true],
      ["cr4", CR4.SMEP, true],
      ["cr4", CR4.SMAP, false],
    ] as const) {
      const { m, pdpt } = world();
      m.mmu.load("cr3", pdpt);
      m.mmu.write(pdpt, 2n | P);
      expect(m.mmu.load(register, m.mmu.state()[register] ^ bit)).toBe(loads ? "GP" : "ok");
    }
    const { m, pdpt } = world();
    m.mmu.setState({ ...LONG, ...PAE, cr3: pdpt, cr0: CR0.PE });
    expect(m.mmu.load("cr0", CR0.PE | CR0.PG)).toBe("ok");
    expect(m.mmu.state().pdptes[0]).toBe(m.mmu.read(pdpt));
    m.mmu.setState({ ...LONG, ...PAE, cr4: 0n, cr3: pdpt });
    m.mmu.write(pdpt, 2n | P);
    expect(m.mmu.load("cr4", CR4.PAE)).toBe("GP");
    expect(m.mmu.state().cr4).toBe(0n);
  });

  it.each([false, true])(
    "under EPT (A/D %s) a refused load is a read without a linear address, and sets no dirty flag",
    (accessedDirty) => {
      const { m, eptp: plain, pdpt, DATA32 } = world({ accessedDirty });
      const eptp = plain | (accessedDirty ? 0x40n : 0n);
      m.mmu.enter(eptp);
      const before = m.mmu.state();
      const leaf = m.entryAt(eptp & ~0xfffn, 0n, 3);
      const was = m.mmu.read(leaf);
      m.mmu.write(leaf, 0n);
      expect(m.mmu.load("cr3", pdpt)).toEqual({ exit: "EPT_VIOLATION", qualification: 1, gpa: pdpt });
      expect(m.mmu.state()).toEqual(before);
      m.mmu.write(leaf, (was & ~7n) | 6n);
      expect(m.mmu.load("cr3", pdpt)).toEqual({ exit: "EPT_MISCONFIG", gpa: pdpt });
      m.mmu.write(leaf, (was & ~7n) | 1n);
      expect(m.mmu.load("cr3", pdpt)).toBe("ok");
      expect(m.mmu.read(leaf) & 0x300n).toBe(accessedDirty ? 0x100n : 0n);
      m.mmu.write(leaf, was);
      expect(m.mmu.load("cr3", pdpt)).toBe("ok");
      expect(m.touch(0x1000n)).toMatchObject({ ok: true, hpa: DATA32 });
    },
  );
});

describe("canonicality comes before any table", () => {
  it.each([
    [LONG.cr4, 47n, 0],
    [LONG.cr4 | CR4.LA57, 56n, 0],
  ])("cr4 %x: bit %i", (value, bit) => {
    const m = new TlbMachine({ cr4: value });
    m.mmu.load("cr3", m.table());
    for (const gva of [
      1n << bit,
      BigInt.asUintN(64, -1n << (bit + 1n)),
      BigInt.asUintN(64, (-1n << bit) ^ (1n << 63n)),
    ]) {
      expect(m.touch(gva)).toEqual({ ok: false, fault: "GP", references: 0 });
    }
    for (const gva of [(1n << bit) - 1n, BigInt.asUintN(64, -1n << bit)]) {
      expect(m.touch(gva)).toMatchObject({ fault: "PF", errorCode: 0, cr2: gva });
    }
  });

  it("outside of IA-32e mode there is none", () => {
    const m = new TlbMachine(LEGACY);
    m.mmu.load("cr3", m.table());
    expect(m.touch(0x8000_0000n, READ)).toMatchObject({ fault: "PF" });
  });
});
