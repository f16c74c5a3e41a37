import { describe, expect, it } from "vitest";
import { CR0, CR4, D, DATA, G, LONG, NO_FLUSH, READ, TlbMachine, WRITE } from "./tlb/machine.js";
import { ANY, native, VA } from "./tlb/native.js";

describe("tags", () => {
  const PCIDE = LONG.cr4 | CR4.PCIDE;
  const two = () => {
    const m = new TlbMachine({ cr4: PCIDE });
    const roots = [m.table(), m.table()] as const;
    m.map(roots[0], VA, DATA, ANY);
    m.map(roots[1], VA, DATA + 0x1000n, ANY);
    const enter = (i: 0 | 1, flush = false) =>
      m.mmu.load("cr3", roots[i] | BigInt(i + 1) | (flush ? 0n : NO_FLUSH));
    return { m, roots, enter };
  };

  it("an entry belongs to the PCID of its walk, and serves no other", () => {
    const { m, enter } = two();
    enter(0);
    expect(m.frameOf(VA)).toBe(DATA);
    enter(1);
    expect(m.frameOf(VA)).toBe(DATA + 0x1000n);
    enter(0);
    expect(m.touch(VA)).toMatchObject({ hpa: DATA, references: 0 });
  });

  it("PCID 0 with and without CR4.PCIDE is the same", () => {
    const m = new TlbMachine();
    const root = m.table();
    m.mmu.load("cr3", root);
    m.map(root, VA, DATA, ANY);
    m.touch(VA);
    m.mmu.load("cr4", PCIDE);
    expect(m.touch(VA)).toMatchObject({ ok: true, references: 0 });
  });

  it("a global page is one entry for all PCIDs; without CR4.PGE the bit means nothing", () => {
    for (const [cr4, references] of [
      [PCIDE, 0],
      [PCIDE & ~CR4.PGE, 4],
    ] as const) {
      const m = new TlbMachine({ cr4 });
      const roots = [m.table(), m.table()] as const;
      for (const root of roots) m.map(root, VA, DATA, ANY | G);
      m.mmu.load("cr3", roots[0] | 1n);
      m.touch(VA);
      m.mmu.load("cr3", roots[1] | 2n);
      expect(m.touch(VA)).toMatchObject({ ok: true, references });
    }
  });

  it("a retry after an exit is tagged as the guest's, with VPIDs and without", () => {
    for (const vpid of [0, 1]) {
      const m = new TlbMachine({}, {}, { vpid });
      const eptp = m.ept();
      m.mmu.enter(eptp, 5);
      const root = m.table();
      m.mmu.load("cr3", root);
      m.map(root, VA, DATA, ANY);
      expect(m.touch(VA)).toMatchObject({ exit: "EPT_VIOLATION", gpa: DATA });
      m.mmu.exit();
      m.eptMap(eptp, DATA, DATA);
      m.mmu.enter(eptp, 5);
      expect(m.touch(VA)).toMatchObject({ ok: true });
      expect(m.touch(VA)).toMatchObject({ ok: true, references: 0 });
      m.mmu.enter(eptp, 6);
      expect(m.touch(VA)).not.toMatchObject({ references: 0 });
    }
  });

  it("what was translated with paging off serves nothing with paging on", () => {
    const m = new TlbMachine({ cr0: CR0.PE, cr4: 0n, efer: 0n }, {});
    const eptp = m.ept();
    m.mmu.enter(eptp);
    m.eptMap(eptp, 0x4000_1000n, 0x10_0000_0000n);
    expect(m.frameOf(0x4000_1000n)).toBe(0x10_0000_0000n);
    const root = m.table();
    m.mmu.load("cr3", root);
    m.mmu.load("cr0", CR0.PE | CR0.PG);
    expect(m.touch(0x4000_1000n)).toMatchObject({ fault: "PF" });
  });
});

describe("EPT violations", () => {
  it("remove what is cached for the address: after a repair the retry needs no INVEPT", () => {
    const m = new TlbMachine({}, {});
    const eptp = m.ept();
    m.mmu.enter(eptp);
    const root = m.table();
    m.mmu.load("cr3", root);
    const leaf = m.eptMap(eptp, DATA, DATA, 1, 1n);
    m.map(root, VA, DATA, ANY | D);
    const alias = 0x100_4020_1000n;
    m.map(root, alias, DATA, ANY | D);
    m.touch(VA);
    m.touch(alias);
    m.mmu.write(leaf, m.mmu.read(leaf) | 2n);
    m.remap(leaf, DATA + 0x1000n);
    /* Read-only entries are cached for both; the write walks anew and finds the new page. */
    expect(m.frameOf(VA, WRITE)).toBe(DATA + 0x1000n);
    m.mmu.write(leaf, (m.mmu.read(leaf) & ~2n) | 1n);
    m.remap(leaf, DATA + 0x2000n);
    m.mmu.invvpid(1, 1n);
    m.mmu.invept(1, eptp);
    m.touch(alias);
    m.touch(VA);
    expect(m.touch(VA, WRITE)).toMatchObject({ exit: "EPT_VIOLATION", gpa: DATA });
    m.remap(leaf, DATA + 0x3000n);
    /* Gone: the combined entry of the address and the guest-physical one; not the combined one of the alias. */
    expect(m.frameOf(VA)).toBe(DATA + 0x3000n);
    expect(m.frameOf(alias)).toBe(DATA + 0x2000n);
  });

  it("remove the guest-physical mapping of a table page too", () => {
    const m = new TlbMachine({}, {});
    const eptp = m.ept();
    m.mmu.enter(eptp);
    const root = m.table();
    m.mmu.load("cr3", root);
    m.map(root, VA, 0x10_0000n, ANY);
    const table = 0x1_8000_0000n;
    const pde = m.entryAt(root, VA, 2);
    m.mmu.write(pde, table | ANY);
    expect(m.touch(VA)).toMatchObject({ exit: "EPT_VIOLATION", gpa: table + 8n, qualification: 0x81 });
    m.eptMap(eptp, table, 0x20_0000_0000n);
    m.mmu.write(0x20_0000_0000n + 8n, 0x10_0000n | ANY);
    expect(m.touch(VA)).toMatchObject({ ok: true, hpa: 0x10_0000n });
  });
});

describe("accesses that cross a page", () => {
  const crossing = VA + 0xffen;
  it("translate both pages, and report the one that fails", () => {
    const { m, root } = native();
    m.map(root, VA, DATA, ANY);
    expect(m.mmu.access(crossing, READ, 2)).toMatchObject({ ok: true, hpa: DATA + 0xffen });
    expect(m.mmu.access(crossing, READ, 4)).toMatchObject({ fault: "PF", errorCode: 0, cr2: VA + 0x1000n });
    m.map(root, VA + 0x1000n, DATA + 0x5000n, ANY);
    expect(m.mmu.access(crossing, WRITE, 4)).toMatchObject({ ok: true, hpa: DATA + 0xffen });
    for (const page of [VA, VA + 0x1000n]) expect(m.mmu.read(m.entryAt(root, page, 1)) & D).toBe(D);
    m.mmu.write(m.entryAt(root, VA, 1), 0n);
    m.mmu.flush();
    expect(m.mmu.access(crossing, READ, 4)).toMatchObject({ fault: "PF", cr2: crossing });
  });

  it("into the non-canonical half are #GP", () => {
    const { m, root } = native();
    m.map(root, 0x7fff_ffff_f000n, DATA, ANY);
    expect(m.mmu.access(0x7fff_ffff_fff8n, READ, 8)).toMatchObject({ ok: true });
    expect(m.mmu.access(0x7fff_ffff_fffcn, READ, 8)).toMatchObject({ fault: "GP" });
  });
});
