import { describe, expect, it } from "vitest";
import { CR4, TlbMachine } from "./tlb/machine.js";
import { ANY, native, VA } from "./tlb/native.js";

describe("large pages", () => {
  it.each([
    [2, 21n],
    [3, 30n],
  ])("a level-%i leaf is one entry for all of its bytes", (level, shift) => {
    const { m, root } = native();
    const base = (VA >> shift) << shift;
    const frame = 0x1_4000_0000n;
    m.map(root, base, frame, ANY, level);
    m.touch(base);
    const last = base + (1n << shift) - 8n;
    expect(m.touch(last)).toMatchObject({ ok: true, hpa: frame + (1n << shift) - 8n, references: 0 });
    expect(m.touch(last + 8n)).not.toMatchObject({ ok: true });
  });

  const nested = (guestLevel: number, hostLevel: number) => {
    const m = new TlbMachine({}, {});
    const eptp = m.ept();
    m.mmu.enter(eptp);
    const root = m.table();
    m.mmu.load("cr3", root);
    const gpa = 0x1_4000_0000n;
    const hpa = 0x10_0000_0000n;
    for (const offset of [0n, 0x5000n, 0x20_0000n - 0x1000n]) {
      const size = 1n << BigInt(3 + 9 * hostLevel);
      const piece = offset & ~(size - 1n);
      m.eptMap(eptp, gpa + piece, hpa + piece, hostLevel);
    }
    const base = (VA >> BigInt(3 + 9 * guestLevel)) << BigInt(3 + 9 * guestLevel);
    const leaf = m.map(root, base, gpa, ANY, guestLevel);
    return { m, base, leaf, gpa, hpa };
  };

  it.each([2, 3])("a level-%i guest page over 4 KiB host pages is cached in 4 KiB pieces", (guestLevel) => {
    const { m, base, hpa } = nested(guestLevel, 1);
    expect(m.frameOf(base)).toBe(hpa);
    expect(m.frameOf(base + 0x5000n)).toBe(hpa + 0x5000n);
    expect(m.touch(base + 0x5fffn)).toMatchObject({ ok: true, hpa: hpa + 0x5fffn, references: 0 });
    expect(m.touch(base + 0x6000n)).toMatchObject({ exit: "EPT_VIOLATION" });
  });

  it.each([2, 3])("INVLPG of any address in a fractured level-%i page removes every piece", (guestLevel) => {
    for (const event of ["invlpg", "invpcid", "invvpid"] as const) {
      const { m, base, leaf, gpa, hpa } = nested(guestLevel, 1);
      m.touch(base);
      m.touch(base + 0x5000n);
      m.mmu.write(leaf, 0n);
      expect(m.touch(base)).toMatchObject({ ok: true, references: 0 });
      const elsewhere = base + 0x12_3456n;
      if (event === "invlpg") m.mmu.invlpg(elsewhere);
      else if (event === "invpcid") m.mmu.invpcid(0, 0n, elsewhere);
      else m.mmu.invvpid(0, 1n, elsewhere);
      expect(m.touch(base)).toMatchObject({ fault: "PF" });
      expect(m.touch(base + 0x5000n)).toMatchObject({ fault: "PF" });
      expect([gpa, hpa]).toHaveLength(2);
    }
  });

  it("INVLPG outside of a fractured page leaves its pieces", () => {
    const { m, base, leaf } = nested(2, 1);
    m.touch(base + 0x5000n);
    m.mmu.write(leaf, 0n);
    m.mmu.invlpg(base + 0x20_0000n);
    m.mmu.invlpg(base - 1n);
    expect(m.touch(base + 0x5000n)).toMatchObject({ ok: true, references: 0 });
  });

  it("a 4 KiB guest page in a 2 MiB host page is an entry of 4 KiB", () => {
    const { m, base, leaf, hpa } = nested(1, 2);
    expect(m.frameOf(base)).toBe(hpa);
    expect(m.touch(base + 0x1000n)).toMatchObject({ fault: "PF" });
    m.touch(base);
    m.mmu.write(leaf, 0n);
    m.mmu.invlpg(base + 0x1000n);
    expect(m.touch(base)).toMatchObject({ ok: true, references: 0 });
  });

  it("32-bit paging: a 4 MiB page, whole and in 2 MiB pieces", () => {
    for (const host of [undefined, 2]) {
      const m = new TlbMachine({ cr4: CR4.PSE, efer: 0n, maxphyaddr: 36 }, host ? {} : undefined);
      const eptp = host ? m.ept() : 0n;
      const root = m.table();
      const frame = 0x4000_0000n;
      if (host) {
        for (const offset of [0n, 0x20_0000n]) m.eptMap(eptp, frame + offset, 0x10_0000_0000n + offset, 2);
        m.mmu.enter(eptp);
      }
      m.mmu.load("cr3", root);
      m.mmu.write(root + 4n, frame | ANY | 0x80n, 4);
      const hpa = host ? 0x10_0000_0000n : frame;
      expect(m.touch(0x40_0000n)).toMatchObject({ ok: true, hpa });
      expect(m.touch(0x60_1234n)).toMatchObject({ ok: true, hpa: hpa + 0x20_1234n });
      m.mmu.write(root + 4n, 0n, 4);
      expect(m.touch(0x60_1234n)).toMatchObject({ ok: true, references: 0 });
      m.mmu.invlpg(0x40_0000n);
      expect(m.touch(0x60_1234n)).toMatchObject({ fault: "PF" });
      expect(m.touch(0x40_0000n)).toMatchObject({ fault: "PF" });
    }
  });
});
