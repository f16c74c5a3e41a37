import { describe, expect, it } from "vitest";
import {
  A,
  CR0,
  CR4,
  D,
  DATA,
  FETCH,
  G,
  IMPLICIT_READ,
  LONG,
  NO_FLUSH,
  P,
  READ,
  RW,
  TlbMachine,
  US,
  USER_READ,
  USER_WRITE,
  WRITE,
  XD,
} from "./tlb/machine.js";

const VA = 0x80_4020_1000n;
const ANY = P | RW | US | A;

function native(regs = {}, more = {}) {
  const m = new TlbMachine(regs, undefined, more);
  const root = m.table();
  m.mmu.load("cr3", root);
  return { m, root };
}

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

describe("paging-structure caches", () => {
  /** Walks of two paths through one page directory, with other rights above it. */
  it("two level-3 entries of different rights that share a level-2 table keep their rights apart", () => {
    const { m, root } = native();
    const writable = VA;
    const readOnly = VA + (1n << 30n);
    m.map(root, writable, DATA, ANY | D);
    const shared = m.entryAt(root, writable, 3);
    m.mmu.write(shared + 8n, (m.mmu.read(shared) & ~(RW | US)) | XD);
    for (const order of [
      [writable, readOnly],
      [readOnly, writable],
    ] as const) {
      m.mmu.flush();
      for (const va of order) m.touch(va);
      for (const page of [0n, 0x1000n]) {
        const at = m.entryAt(root, writable, 1) + (page >> 9n);
        m.mmu.write(at, (DATA + page) | ANY | D);
        expect(m.touch(writable + page, USER_WRITE)).toMatchObject({ ok: true });
        expect(m.touch(readOnly + page, WRITE)).toMatchObject({ fault: "PF", errorCode: 3 });
        m.touch(readOnly + page);
        expect(m.touch(readOnly + page, USER_READ)).toMatchObject({ fault: "PF", errorCode: 5 });
        m.touch(readOnly + page);
        expect(m.touch(readOnly + page, FETCH)).toMatchObject({ fault: "PF", errorCode: 0x11 });
        expect(m.touch(writable + page, FETCH)).toMatchObject({ ok: true });
      }
    }
  });

  it.each([
    [2, 0x1000n, 1],
    [3, 0x20_0000n, 2],
    [4, 0x4000_0000n, 3],
  ])("a walk past a cached level-%i entry begins one level below it", (_, distance, references) => {
    const { m, root } = native();
    for (const va of [VA, VA + distance]) m.map(root, va, DATA, ANY);
    expect(m.touch(VA)).toMatchObject({ references: 4 });
    expect(m.touch(VA + distance)).toMatchObject({ ok: true, hpa: DATA, references });
  });

  it("five levels: a cached level-5 entry leaves four to read", () => {
    const { m, root } = native({ cr4: LONG.cr4 | CR4.LA57 });
    for (const va of [VA, VA + (1n << 39n)]) m.map(root, va, DATA, ANY, 1, ANY, 5);
    expect(m.touch(VA)).toMatchObject({ references: 5 });
    expect(m.touch(VA + (1n << 39n))).toMatchObject({ ok: true, references: 4 });
  });

  it("keep no entry of a walk that faulted before it was allowed, nor one that is not present", () => {
    const { m, root } = native();
    m.map(root, VA, DATA, ANY);
    const pde = m.entryAt(root, VA, 2);
    const was = m.mmu.read(pde);
    m.mmu.write(pde, was & ~P);
    expect(m.touch(VA)).toMatchObject({ fault: "PF", errorCode: 0 });
    m.mmu.write(pde, was);
    expect(m.touch(VA)).toMatchObject({ ok: true });
    const leaf = m.entryAt(root, VA + 0x1000n, 1);
    expect(m.touch(VA + 0x1000n)).toMatchObject({ fault: "PF" });
    m.mmu.write(leaf, DATA | ANY);
    expect(m.touch(VA + 0x1000n)).toMatchObject({ ok: true });
  });

  it("remember that a table's page is read-only for the guest: a flag below a cached entry is not set there", () => {
    const m = new TlbMachine({}, {});
    const eptp = m.ept();
    m.mmu.enter(eptp);
    const root = m.table();
    m.mmu.load("cr3", root);
    const table = 0x1_8000_0000n;
    const host = 0x20_0000_0000n;
    m.map(root, VA, DATA, ANY);
    m.mmu.write(m.entryAt(root, VA, 2), table | ANY);
    m.eptMap(eptp, table, host, 1, 5n);
    m.eptMap(eptp, DATA, DATA);
    m.mmu.write(host + 8n, DATA | ANY);
    m.mmu.write(host + 16n, DATA | P | RW | US);
    expect(m.touch(VA)).toMatchObject({ ok: true });
    expect(m.touch(VA + 0x1000n)).toMatchObject({
      exit: "EPT_VIOLATION",
      gpa: table + 16n,
      qualification: 0xab,
    });
    expect(m.mmu.read(host + 16n)).toBe(DATA | P | RW | US);
    expect(m.touch(VA, WRITE)).toMatchObject({ exit: "EPT_VIOLATION", gpa: table + 8n, qualification: 0xab });
  });

  it("hold no large page: a 2 MiB leaf is walked whole", () => {
    const { m, root } = native();
    m.map(root, VA & ~0x1f_ffffn, DATA, ANY, 2);
    m.touch(VA);
    m.mmu.load("cr0", LONG.cr0);
    expect(m.touch(VA + (1n << 21n))).toMatchObject({ fault: "PF", references: 1 });
  });
});

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
