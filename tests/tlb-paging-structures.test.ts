import { describe, expect, it } from "vitest";
import {
  CR4,
  D,
  DATA,
  FETCH,
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
