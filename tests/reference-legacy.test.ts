import { describe, expect, it } from "vitest";
import { bit, bits } from "./reference/bits.js";
import { CR4, EFER } from "./reference/registers.js";
import { buildWorld, FETCH, LONG_MODE, READ, USER_READ, USER_WRITE, WRITE } from "./reference/tables.js";
import { loadPdptes, PhysicalMemory, type Registers, type Stage2, translate } from "./reference/walker.js";

const P = 1n;
const RW = 2n;
const US = 4n;
const A = 0x20n;
const D = 0x40n;
const PS = 0x80n;
const XD = bit(63);
const NATIVE: Stage2 = { kind: "none" };

const LEGACY: Registers = { ...LONG_MODE, cr4: 0n, efer: 0n, cr3: 0x1000n, maxphyaddr: 36 };
const PAE: Registers = { ...LEGACY, cr4: CR4.PAE, efer: EFER.NXE };

describe("32-bit paging", () => {
  const gva = 0xc04a_b123n;
  const pde = 0x1000n + 4n * 0x301n;
  const pte = 0x2000n + 4n * 0xabn;

  function legacy(pdeValue: bigint, pteValue = 0n): PhysicalMemory {
    const memory = new PhysicalMemory();
    memory.write32(pde, pdeValue);
    memory.write32(pte, pteValue);
    return memory;
  }

  it("walks two levels of 4-byte entries and sets A and D in their own word only", () => {
    const memory = legacy(0x2000n | P | RW, 0xfedc_b000n | P | RW);
    memory.write32(pte ^ 4n, 0x1111_1111n);
    const outcome = translate(memory, LEGACY, NATIVE, gva, WRITE);
    expect(outcome).toMatchObject({ ok: true, hpa: 0xfedc_b123n, pageSize: 4096 });
    expect(outcome.references.map(({ hpa }) => hpa)).toEqual([pde, pte]);
    expect(memory.read32(pde)).toBe(0x2023n);
    expect(memory.read32(pte)).toBe(0xfedc_b063n);
    expect(memory.read32(pte ^ 4n)).toBe(0x1111_1111n);
  });

  it("has no reserved bits in a PTE or a PDE that names a table", () => {
    const memory = legacy(0x2f58n | P, 0xfedc_bf98n | P);
    expect(translate(memory, LEGACY, NATIVE, gva, READ)).toMatchObject({ ok: true, hpa: 0xfedc_b123n });
  });

  it("ignores PS unless CR4.PSE is set", () => {
    const memory = legacy(0x2000n | P | PS, 0x5000n | P);
    expect(translate(memory, LEGACY, NATIVE, gva, READ)).toMatchObject({ hpa: 0x5123n, pageSize: 4096 });
    const pse = { ...LEGACY, cr4: CR4.PSE };
    expect(translate(memory, pse, NATIVE, gva, READ)).toMatchObject({ pageSize: 2 ** 22 });
  });

  // SDM 3A Table 4-4: the frame's bits (M-1):32 stand in (M-20):13, 21:(M-19) are reserved.
  it.each([
    [32, 0n, bits(21, 13)],
    [36, bits(16, 13), bits(21, 17)],
    [39, bits(19, 13), bits(21, 20)],
    [40, bits(20, 13), bit(21)],
    [52, bits(20, 13), bit(21)],
  ])("PSE-36 with MAXPHYADDR %i", (maxphyaddr, wide, reserved) => {
    const regs = { ...LEGACY, cr4: CR4.PSE, maxphyaddr };
    const memory = legacy(0x8040_0000n | wide | P | RW | PS | bit(12));
    const outcome = translate(memory, regs, NATIVE, gva, WRITE);
    const frame = 0x8040_0000n | ((wide >> 13n) << 32n);
    expect(outcome).toMatchObject({ ok: true, hpa: frame | (gva & bits(21, 0)), pageSize: 2 ** 22 });
    expect(outcome.references).toHaveLength(1);
    expect(memory.read32(pde) & (A | D)).toBe(A | D);

    for (let position = 13; position <= 21; position++) {
      const expected = reserved & bit(position) ? { fault: "PF", errorCode: 11 } : { ok: true };
      const each = legacy(0x8040_0000n | bit(position) | P | RW | PS);
      expect(translate(each, regs, NATIVE, gva, WRITE)).toMatchObject(expected);
    }
  });

  it("without PSE-36, 21:13 of a 4-MByte PDE are reserved", () => {
    const regs = { ...LEGACY, cr4: CR4.PSE, pse36: false };
    expect(translate(legacy(P | PS | bit(13)), regs, NATIVE, gva, READ)).toMatchObject({ errorCode: 9 });
  });

  it("has neither keys nor execute-disable, so EFER.NXE alone reports no I/D", () => {
    const regs = { ...LEGACY, efer: EFER.NXE, cr4: CR4.PKE, pkru: 3n };
    const memory = legacy(0x2000n | P | US, 0x5000n | P | US);
    expect(translate(memory, regs, NATIVE, gva, USER_READ)).toMatchObject({ ok: true });
    memory.write32(pte, 0n);
    expect(translate(memory, regs, NATIVE, gva, FETCH)).toMatchObject({ errorCode: 0 });
    const smep = { ...regs, cr4: CR4.SMEP };
    expect(translate(memory, smep, NATIVE, gva, FETCH)).toMatchObject({ errorCode: 16 });
  });

  it("under a 4-level EPT costs (2+1)(4+1)-1", () => {
    const host = { kind: "ept", levels: 4, tableLeaf: 1, dataLeaf: 1 } as const;
    const { memory, stage2, guest } = buildWorld({ levels: 4, leafLevel: 1 }, host);
    const [directory, table, page] = [4, 3, 2].map((level) => guest.get(level)!);
    const frameOf = (gpa: bigint) => gpa & ~0xfffn;
    memory.write32((directory!.hpa & ~0xfffn) + 4n * 0x301n, frameOf(table!.gpa) | P);
    memory.write32((table!.hpa & ~0xfffn) + 4n * 0xabn, frameOf(page!.gpa) | P);
    const regs = { ...LEGACY, cr3: frameOf(directory!.gpa) };
    const outcome = translate(memory, regs, stage2, gva, READ);
    expect(outcome).toMatchObject({ ok: true, hpa: (page!.hpa & ~0xfffn) | 0x123n });
    expect(outcome.references).toHaveLength(14);
  });
});

describe("PAE paging", () => {
  const gva = 0xc04a_b123n;
  const root = 0x1_2345_6fe0n & 0xffff_ffe0n;
  const pde = 0x4000n + 8n * 2n;
  const pte = 0x5000n + 8n * 0xabn;

  function pae(pdeValue: bigint, pteValue = 0n, pdpte3 = 0x4000n | P): PhysicalMemory {
    const memory = new PhysicalMemory();
    memory.write64(root + 24n, pdpte3);
    memory.write64(pde, pdeValue);
    memory.write64(pte, pteValue);
    return memory;
  }

  function load(memory: PhysicalMemory, regs = PAE): Registers {
    const loaded = loadPdptes(memory, { ...regs, cr3: root | 0x18n }, NATIVE);
    if (!loaded.ok) throw new Error("PDPTEs did not load");
    return { ...regs, cr3: root, pdptes: loaded.pdptes };
  }

  it("reads two levels behind the PDPTE registers, which memory no longer governs", () => {
    const memory = pae(0x5000n | P | RW, 0xf_fedc_b000n | P | RW);
    const regs = load(memory);
    memory.write64(root + 24n, 0n);
    const outcome = translate(memory, regs, NATIVE, gva, WRITE);
    expect(outcome).toMatchObject({ ok: true, hpa: 0xf_fedc_b123n, pageSize: 4096 });
    expect(outcome.references.map(({ hpa }) => hpa)).toEqual([pde, pte]);
    expect(memory.read64(pde)).toBe(0x5023n);
    expect(memory.read64(root + 24n)).toBe(0n);
  });

  it("maps 2 MByte with 20:13 reserved, whatever CR4.PSE", () => {
    const memory = pae(0x8040_0000n | P | PS | bit(12));
    const regs = load(memory);
    expect(translate(memory, regs, NATIVE, gva, READ)).toMatchObject({
      hpa: 0x804a_b123n,
      pageSize: 2 ** 21,
    });
    for (let position = 13; position <= 20; position++) {
      const each = pae(0x8040_0000n | P | PS | bit(position));
      expect(translate(each, regs, NATIVE, gva, READ)).toMatchObject({ errorCode: 9 });
    }
  });

  it("reserves 62:M in PDE and PTE, and 63 unless EFER.NXE", () => {
    const regs = load(pae(0n));
    for (let position = 36; position <= 63; position++) {
      const expected = position === 63 ? { ok: true } : { errorCode: 9 };
      const inPte = pae(0x5000n | P, 0x6000n | P | bit(position));
      expect(translate(inPte, regs, NATIVE, gva, READ)).toMatchObject(expected);
      const inPde = pae(0x5000n | P | bit(position), 0x6000n | P);
      expect(translate(inPde, regs, NATIVE, gva, READ)).toMatchObject(expected);
    }
    const noNxe = { ...regs, efer: 0n };
    expect(translate(pae(0x5000n | P | XD), noNxe, NATIVE, gva, FETCH)).toMatchObject({ errorCode: 9 });
    const xd = pae(0x5000n | P | XD, 0x6000n | P);
    expect(translate(xd, regs, NATIVE, gva, FETCH)).toMatchObject({ errorCode: 17 });
  });

  it("takes no rights from a PDPTE, and faults where it is not present", () => {
    const memory = pae(0x5000n | P | US | RW, 0x6000n | P | US | RW);
    expect(translate(memory, load(memory), NATIVE, gva, USER_WRITE)).toMatchObject({ ok: true });
    const outcome = translate(memory, load(memory), NATIVE, 0x4000_0000n, USER_WRITE);
    expect(outcome).toMatchObject({ fault: "PF", errorCode: 6, cr2: 0x4000_0000n, references: [] });
  });

  // SDM 3A 4.4.1: 2:1, 8:5 and 63:M; only when P is set.
  it("refuses to load a present PDPTE with a reserved bit", () => {
    const reserved = bits(2, 1) | bits(8, 5) | bits(63, 36);
    for (let position = 1; position <= 63; position++) {
      const present = loadPdptes(pae(0n, 0n, P | bit(position)), { ...PAE, cr3: root }, NATIVE);
      expect(present).toMatchObject(reserved & bit(position) ? { fault: "GP" } : { ok: true });
      const absent = loadPdptes(pae(0n, 0n, bit(position)), { ...PAE, cr3: root }, NATIVE);
      expect(absent).toMatchObject({ ok: true });
    }
  });

  it("asks for the registers when they were not loaded", () => {
    expect(() => translate(pae(0n), PAE, NATIVE, gva, READ)).toThrow(/loadPdptes/);
  });
});
