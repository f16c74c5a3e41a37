import { describe, expect, it } from "vitest";
import {
  A,
  CR0,
  CR4,
  D,
  DATA,
  FETCH,
  IMPLICIT_READ,
  LONG,
  P,
  RW,
  TlbMachine,
  US,
  USER_READ,
  USER_WRITE,
  WRITE,
  XD,
} from "./tlb/machine.js";
import { ANY, native, VA } from "./tlb/native.js";

describe("a page cached for one access and asked for another", () => {
  it("re-walks on the first write, to set the dirty flag, and never after", () => {
    const { m, root } = native();
    const leaf = m.map(root, VA, DATA, ANY);
    m.touch(VA);
    expect(m.touch(VA)).toMatchObject({ ok: true, references: 0 });
    expect(m.mmu.read(leaf) & D).toBe(0n);
    expect(m.touch(VA, WRITE)).toMatchObject({ ok: true, references: 1 });
    expect(m.mmu.read(leaf) & D).toBe(D);
    expect(m.touch(VA, WRITE)).toMatchObject({ ok: true, references: 0 });
  });

  it("re-walks for the second stage's dirty flag too", () => {
    const m = new TlbMachine({}, { accessedDirty: true });
    const eptp = m.ept(true);
    m.mmu.enter(eptp);
    const root = m.table();
    m.mmu.load("cr3", root);
    m.map(root, VA, DATA, ANY | D);
    const leaf = m.eptMap(eptp, DATA, DATA);
    m.touch(VA);
    expect(m.mmu.read(leaf) & 0x300n).toBe(0x100n);
    expect(m.touch(VA, WRITE)).toMatchObject({ ok: true });
    expect(m.mmu.read(leaf) & 0x300n).toBe(0x300n);
    expect(m.touch(VA, WRITE)).toMatchObject({ references: 0 });
  });

  it.each([
    ["without mode-based control", false, 3n, US, false],
    ["with it, a user page", true, 7n, US, false],
    ["with it, a supervisor page", true, 0x403n, 0n, false],
    ["with it, a page for its mode", true, 7n, 0n, true],
  ])(
    "a page that EPT lets no fetch reach does not serve one when a read has filled it: %s",
    (_, mbec, rights, user, ok) => {
      const m = new TlbMachine({}, { mbec });
      const eptp = m.ept();
      m.mmu.enter(eptp);
      const root = m.table();
      m.mmu.load("cr3", root);
      m.map(root, VA, DATA, P | RW | user | A | D);
      m.eptMap(eptp, DATA, DATA, 1, rights);
      expect(m.touch(VA)).toMatchObject({ ok: true });
      const fetched = m.touch(VA, FETCH);
      if (ok) expect(fetched).toMatchObject({ ok: true, references: 0 });
      else expect(fetched).toMatchObject({ exit: "EPT_VIOLATION", gpa: DATA });
    },
  );

  it("writes nothing where nothing changes: a page filled dirty serves writes from the TLB", () => {
    const { m, root } = native();
    const leaf = m.map(root, VA, DATA, ANY | D);
    m.touch(VA);
    m.mmu.write(leaf, m.mmu.read(leaf) & ~D);
    expect(m.touch(VA, WRITE)).toMatchObject({ ok: true, references: 0 });
    expect(m.mmu.read(leaf) & D).toBe(0n);
  });

  it("sets D in an R/W=0 leaf for a supervisor write under CR0.WP=0", () => {
    const { m, root } = native({ cr0: LONG.cr0 & ~CR0.WP });
    const leaf = m.map(root, VA, DATA, P | A);
    m.touch(VA);
    expect(m.touch(VA, WRITE)).toMatchObject({ ok: true });
    expect(m.mmu.read(leaf) & D).toBe(D);
    m.mmu.load("cr0", LONG.cr0);
    expect(m.touch(VA, WRITE)).toMatchObject({ fault: "PF", errorCode: 3 });
  });

  it("leaves the leaf alone when the write is refused", () => {
    const { m, root } = native();
    const leaf = m.map(root, VA, DATA, P | US);
    expect(m.touch(VA, WRITE)).toMatchObject({ fault: "PF", errorCode: 3, cr2: VA });
    expect(m.mmu.read(leaf)).toBe(DATA | P | US);
  });
});

describe("rights are decided at each access, by the registers as they are then", () => {
  const allowed = { ok: true, references: 0 };
  const denied = (errorCode: number) => ({ fault: "PF", errorCode });

  it("CR0.WP", () => {
    const { m, root } = native({ cr0: LONG.cr0 & ~CR0.WP });
    m.map(root, VA, DATA, P | A | D);
    m.touch(VA, WRITE);
    expect(m.touch(VA, WRITE)).toMatchObject(allowed);
    m.mmu.load("cr0", LONG.cr0);
    expect(m.touch(VA, WRITE)).toMatchObject(denied(3));
    m.touch(VA);
    m.mmu.load("cr0", LONG.cr0 & ~CR0.WP);
    expect(m.touch(VA, WRITE)).toMatchObject(allowed);
  });

  it("CR4.SMAP, EFLAGS.AC and accesses of the CPU itself", () => {
    const { m, root } = native();
    m.map(root, VA, DATA, ANY | D);
    m.touch(VA);
    const state = (cr4: bigint, ac: boolean) => {
      m.mmu.setState({ ...m.regs, cr3: root, cr4, ac });
    };
    state(LONG.cr4 | CR4.SMAP, false);
    expect(m.touch(VA)).toMatchObject(denied(1));
    m.touch(VA, USER_READ);
    state(LONG.cr4 | CR4.SMAP, true);
    expect(m.touch(VA)).toMatchObject(allowed);
    expect(m.touch(VA, IMPLICIT_READ)).toMatchObject(denied(1));
    m.touch(VA);
    state(LONG.cr4, false);
    expect(m.touch(VA, IMPLICIT_READ)).toMatchObject(allowed);
  });

  it("SMAP also guards what CR0.WP=0 would let be written", () => {
    const { m, root } = native({ cr0: LONG.cr0 & ~CR0.WP, cr4: LONG.cr4 | CR4.SMAP });
    m.map(root, VA, DATA, P | US | A);
    m.touch(VA, USER_READ);
    expect(m.touch(VA)).toMatchObject(denied(1));
    expect(m.touch(VA, WRITE)).toMatchObject(denied(3));
  });

  it("PKRU and IA32_PKRS", () => {
    const { m, root } = native({ cr4: LONG.cr4 | CR4.PKE | CR4.PKS });
    m.map(root, VA, DATA, ANY | D | (3n << 59n));
    const supervisor = VA + 0x1000n;
    m.map(root, supervisor, DATA, (ANY & ~US) | D | (3n << 59n));
    for (const va of [VA, supervisor]) m.touch(va, WRITE);
    m.mmu.load("pkru", 1n << 6n);
    expect(m.touch(VA, USER_READ)).toMatchObject(denied(0x25));
    m.touch(VA, FETCH);
    expect(m.touch(VA, FETCH)).toMatchObject(allowed);
    expect(m.touch(supervisor)).toMatchObject(allowed);
    m.mmu.load("pkru", 1n << 7n);
    m.touch(VA, USER_READ);
    expect(m.touch(VA, USER_READ)).toMatchObject(allowed);
    expect(m.touch(VA, USER_WRITE)).toMatchObject(denied(0x27));
    m.mmu.load("pkrs", 1n << 7n);
    expect(m.touch(supervisor)).toMatchObject(allowed);
    expect(m.touch(supervisor, WRITE)).toMatchObject(denied(0x23));
    m.mmu.load("pkrs", 0n);
    m.mmu.load("pkru", 0n);
    m.touch(VA);
    expect(m.touch(VA, USER_WRITE)).toMatchObject(allowed);
  });

  it("EFER.NXE", () => {
    const { m, root } = native();
    m.map(root, VA, DATA, ANY | XD);
    m.touch(VA);
    expect(m.touch(VA, FETCH)).toMatchObject(denied(0x11));
    m.mmu.load("efer", m.regs.efer & ~(1n << 11n));
    expect(m.touch(VA)).toMatchObject(denied(9));
    expect(m.touch(VA, FETCH)).toMatchObject(denied(9));
    m.mmu.load("efer", m.regs.efer);
    expect(m.touch(VA)).toMatchObject({ ok: true });
  });

  it("a shadow-stack page serves shadow-stack accesses of its own privilege from the TLB, and no write", () => {
    const { m, root } = native({ cr4: LONG.cr4 | CR4.CET });
    m.map(root, VA, DATA, P | US | A | D);
    const stack = { ...USER_WRITE, shadowStack: true };
    expect(m.touch(VA, stack)).toMatchObject({ ok: true });
    expect(m.touch(VA, stack)).toMatchObject(allowed);
    expect(m.touch(VA, USER_READ)).toMatchObject(allowed);
    expect(m.touch(VA, { ...stack, user: false })).toMatchObject(denied(0x43));
    m.touch(VA, stack);
    expect(m.touch(VA, USER_WRITE)).toMatchObject(denied(7));
    const ordinary = VA + 0x1000n;
    m.map(root, ordinary, DATA, ANY | D);
    m.touch(ordinary, USER_WRITE);
    expect(m.touch(ordinary, stack)).toMatchObject(denied(0x47));
  });
});
