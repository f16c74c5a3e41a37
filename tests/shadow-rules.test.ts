import { describe, expect, it } from "vitest";
import { NESTED, READ, WRITE } from "./shadow/driven.js";
import { A, at, CODE, D, DATA, FRESH, KernelGuest, P, PS, TABLE, U, USED, W } from "./shadow/kernel-guest.js";

/* Rules of KVM's shadow MMU that the recorded counters do not decide (paging_tmpl.h, mmu.c of Linux 6.1 and 6.12). */

const page = (i: number) => DATA + BigInt(i) * 0x1000n;

describe("write flooding", () => {
  it("drops a table at the third store without a walk through it", () => {
    const g = new KernelGuest();
    const { pml4, pdpt } = g.space();
    g.cr3(pml4);
    g.touch();
    const moved = g.moved(() => {
      for (let i = 4; i < 7; ++i) g.store(pdpt, i, g.table() | TABLE);
    });
    expect(moved).toMatchObject({
      pf_emulate: 3,
      mmu_pte_write: 3,
      mmu_pde_zapped: 2,
      mmu_flooded: 1,
      sp_zapped_L3: 1,
    });
  });

  it("counts an upper entry that is replaced by another even where nothing was mapped, and none that is cleared", () => {
    const g = new KernelGuest();
    const { pml4, pdpt } = g.space();
    g.cr3(pml4);
    g.touch();
    expect(g.moved(() => g.store(pdpt, 5, g.table() | TABLE))).toMatchObject({ mmu_pde_zapped: 1 });
    expect(g.moved(() => g.store(pdpt, 0, 0n))).not.toHaveProperty("mmu_pde_zapped");
  });

  it("is not waited for when a store is not of whole entries, unless it is one byte of an entry's beginning", () => {
    const store = (bytes: number, offset: bigint) => {
      const g = new KernelGuest();
      const { pml4, pdpt } = g.space();
      g.cr3(pml4);
      g.touch();
      g.machine.instruction(CODE, bytes);
      return g.moved(() => g.write(0xffff_ffff_8000_0000n + pdpt + offset)).mmu_flooded ?? 0;
    };
    expect(store(8, 8n)).toBe(0);
    expect(store(4, 12n)).toBe(0);
    expect(store(1, 8n)).toBe(0);
    expect(store(1, 9n)).toBe(1);
    expect(store(2, 8n)).toBe(1);
    expect(store(8, 12n)).toBe(1);
    expect(store(16, 16n)).toBe(1);
  });

  it("is forgotten when a fault walks through the table", () => {
    const g = new KernelGuest();
    const { pml4, pdpt, pt } = g.space();
    g.store(pt, 1, page(1) | USED);
    g.cr3(pml4);
    g.read(at(0, 0, 0, 1));
    const moved = g.moved(() => {
      g.store(pdpt, 4, g.table() | TABLE);
      g.store(pdpt, 5, g.table() | TABLE);
      g.read(at(0, 4, 0, 0));
      g.store(pt, 9, page(9) | USED);
      g.read(at(0, 0, 0, 9));
      g.store(pdpt, 6, g.table() | TABLE);
    });
    expect(moved).not.toHaveProperty("mmu_flooded");
  });

  it("is forgotten when a store reaches the table through itself, and not when it comes through the kernel's window", () => {
    const g = new KernelGuest();
    const { pml4 } = g.space();
    g.store(pml4, 8, pml4 | TABLE);
    g.cr3(pml4);
    const self = at(8, 8, 8, 8);
    g.read(self);
    const through = g.moved(() => {
      for (let i = 20; i < 26; ++i) {
        expect(g.write(self + BigInt(i * 8))).toBe(pml4 + BigInt(i * 8));
        g.machine.store(pml4 + BigInt(i * 8), 0n);
      }
    });
    expect(through).toMatchObject({ pf_emulate: 6 });
    expect(through).not.toHaveProperty("mmu_flooded");
    const window = g.moved(() => {
      for (let i = 20; i < 23; ++i) g.store(pml4, i, 0n);
    });
    expect(window.mmu_flooded).toBeGreaterThan(0);
  });

  it("of a root is forgotten by a switch back to it, and not by a reload of the current one", () => {
    const floods = (between: (g: KernelGuest, own: bigint, other: bigint) => void) => {
      const g = new KernelGuest();
      const own = g.space().pml4;
      const other = g.space().pml4;
      g.cr3(own);
      g.cr3(other);
      g.store(own, 20, 0n);
      g.store(own, 21, 0n);
      between(g, own, other);
      return g.moved(() => g.store(own, 22, 0n)).mmu_flooded ?? 0;
    };
    expect(floods((g, _, other) => g.machine.load("cr3", other))).toBe(1);
    expect(
      floods((g, own, other) => {
        g.machine.load("cr3", own);
        g.machine.load("cr3", other);
      }),
    ).toBe(0);
  });

  it("of a root is forgotten when its page is found again in the cache", () => {
    const g = new KernelGuest({ shadowPreviousRoots: 0 });
    const own = g.space().pml4;
    g.cr3(own);
    g.cr3(0x1000n);
    g.store(own, 20, 0n);
    g.store(own, 21, 0n);
    expect(g.moved(() => g.machine.load("cr3", own))).toMatchObject({ sp_reused_L4: 1 });
    g.machine.load("cr3", 0x1000n);
    expect(g.moved(() => g.store(own, 22, 0n))).not.toHaveProperty("mmu_flooded");
  });
});

it("a writable entry that is made anew loses its dirty flag, which costs a flush, once", () => {
  const g = new KernelGuest();
  const [first, second] = [g.space().pml4, g.space().pml4];
  /* The code page is mapped already; the fault only links the kernel's tables below the new root. */
  g.machine.load("cr3", first);
  expect(g.moved(() => g.touchCode())).toMatchObject({
    pf_fixed: 1,
    set_spte_L1: 1,
    remote_tlb_flush_requests: 1,
  });
  g.machine.load("cr3", second);
  const again = g.moved(() => g.touchCode());
  expect(again).toMatchObject({ pf_spurious: 1, spte_requested_L1: 1 });
  expect(again).not.toHaveProperty("set_spte_L1");
});

describe("pages out of sync", () => {
  /** A guest whose page table maps `page(0)` at address 0 and was stored to since: it now maps `page(1)`, unflushed. */
  function unsynced(parameters = {}) {
    const g = new KernelGuest(parameters);
    const space = g.space();
    g.store(space.pt, 0, page(0) | USED);
    g.cr3(space.pml4);
    expect(g.read(0n)).toBe(page(0));
    expect(g.moved(() => g.store(space.pt, 0, page(1) | USED))).toMatchObject({
      sp_unsynced_L1: 1,
      pf_fixed: 1,
    });
    return { g, ...space };
  }

  it("are made fresh when a second entry comes to lead to them, though the first may still be stale", () => {
    const { g, pd, pt } = unsynced();
    g.store(pd, 1, pt | TABLE);
    const moved = g.moved(() => {
      g.read(at(0, 0, 1, 511));
      expect(g.read(at(0, 0, 1, 0))).toBe(page(1));
    });
    expect(moved).toMatchObject({ sp_reused_L1: 1 });
    expect(moved).not.toHaveProperty("sp_synced_L1");
    expect(moved).not.toHaveProperty("mmu_unsync");
  });

  it("are synchronized before the table above them is linked a second time", () => {
    const { g, pdpt, pd } = unsynced();
    g.store(pdpt, 1, pd | TABLE);
    const moved = g.moved(() => {
      g.read(at(0, 1, 0, 511));
      expect(g.read(at(0, 1, 0, 0))).toBe(page(1));
    });
    expect(moved).toMatchObject({ sp_reused_L2: 1, sp_synced_L1: 1 });
  });

  it("go when their frame becomes an upper table", () => {
    const { g, pdpt, pt } = unsynced();
    g.store(pt, 9, DATA | PS | USED);
    g.store(pdpt, 3, pt | TABLE);
    const moved = g.moved(() => expect(g.read(at(0, 3, 9, 0))).toBe(DATA));
    expect(moved).toMatchObject({ sp_zapped_L1: 1, sp_synced_L1: 1, sp_created_L2: 1 });
  });

  it("go with a page above them that is zapped, and others stay", () => {
    const { g, pdpt } = unsynced();
    const moved = g.moved(() => {
      for (let i = 4; i < 7; ++i) g.store(pdpt, i, 0n);
    });
    expect(moved).toMatchObject({ mmu_flooded: 1, sp_zapped_L3: 1, sp_zapped_L1: 1, mmu_shadow_zapped: 2 });
  });

  it("are the only ones that INVLPG looks at", () => {
    const g = new KernelGuest({ shadowKernel: 601 });
    const { pml4, pd, pt } = g.space();
    const other = g.table();
    g.store(pd, 1, other | TABLE);
    g.store(pt, 0, page(0) | USED);
    g.store(other, 0, page(1) | USED);
    g.cr3(pml4);
    g.read(at(0, 0, 0, 0));
    g.read(at(0, 0, 1, 0));
    g.store(other, 9, page(9) | USED);
    expect(g.moved(() => g.invlpg(at(0, 0, 0, 0)))).not.toHaveProperty("remote_tlb_flush_requests");
    expect(g.moved(() => g.invlpg(at(0, 0, 1, 0)))).toMatchObject({ remote_tlb_flush_requests: 1 });
  });

  it("are what INVLPG installs anew in Linux 6.1, and only drops in 6.12", () => {
    const old = unsynced({ shadowKernel: 601 });
    expect(old.g.moved(() => old.g.invlpg(0n))).toMatchObject({ set_spte_L1: 1, tlb_flush: 1 });
    expect(old.g.moved(() => expect(old.g.read(0n)).toBe(page(1)))).not.toHaveProperty("pf_taken");
    const recent = unsynced();
    expect(recent.g.moved(() => recent.g.invlpg(0n))).not.toHaveProperty("set_spte_L1");
    expect(recent.g.moved(() => expect(recent.g.read(0n)).toBe(page(1)))).toMatchObject({
      pf_taken: 1,
      pf_fixed: 1,
    });
  });

  it("make 6.1 drop the entry of a fault that it reflects", () => {
    const flushes = (shadowKernel: number) => {
      const g = new KernelGuest({ shadowKernel });
      const { pml4, pt } = g.space();
      g.store(pt, 0, page(0) | USED);
      g.cr3(pml4);
      g.write(0n);
      g.store(pt, 0, page(0) | P | U | A | D);
      g.invlpg(0n);
      const moved = g.moved(() => g.write(0n));
      expect(moved).toMatchObject({ pf_guest: 1, walker_error_err3: 1 });
      return moved.remote_tlb_flush_requests ?? 0;
    };
    expect(flushes(601)).toBe(1);
    expect(flushes(612)).toBe(0);
  });

  it("cost 6.1 a second flush when their entries were used, and 6.12 none where the access is unchanged", () => {
    const flushes = (shadowKernel: number) => {
      const g = new KernelGuest({ shadowKernel });
      const { pml4, pt } = g.space();
      g.store(pt, 0, page(0) | USED);
      g.cr3(pml4);
      g.read(0n);
      g.store(pt, 9, page(9) | USED);
      return g.moved(() => g.machine.load("cr3", pml4)).remote_tlb_flush_requests;
    };
    expect(flushes(601)).toBe(2);
    expect(flushes(612)).toBe(1);
  });

  it("are synchronized thirteen at a time under one tree of four levels, with a flush for each round", () => {
    const flushes = (tables: number) => {
      const g = new KernelGuest();
      const { pml4, pd } = g.space();
      const pts = Array.from({ length: tables }, () => g.table());
      for (const [i, pt] of pts.entries()) {
        g.store(pd, i + 1, pt | TABLE);
        g.store(pt, 0, page(i) | P | U | A);
      }
      g.cr3(pml4);
      for (let i = 0; i < tables; ++i) g.read(at(0, 0, i + 1, 0));
      for (const pt of pts) g.store(pt, 9, page(99) | USED);
      const moved = g.moved(() => g.machine.load("cr3", pml4));
      expect(moved.sp_synced_L1).toBe(tables);
      return moved.remote_tlb_flush_requests!;
    };
    expect(flushes(14) - flushes(13)).toBe(1);
    expect(flushes(13) - flushes(2)).toBe(0);
  });
});

describe("prefetch", () => {
  function prefetched(entries: readonly bigint[], parameters = {}): Record<string, number> {
    const g = new KernelGuest(parameters);
    const { pml4, pt } = g.space();
    for (const [i, entry] of entries.entries()) g.store(pt, i, entry);
    g.cr3(pml4);
    return g.moved(() => g.read(0n));
  }

  it("ends at the first entry that is not accessed or not present", () => {
    const used = (i: number) => page(i) | USED;
    expect(prefetched([0, 1, 2, 3, 4, 5, 6, 7].map(used)).set_spte_L1).toBe(8);
    expect(prefetched([used(0), used(1), page(2) | FRESH, used(3)]).set_spte_L1).toBe(2);
    expect(prefetched([used(0), used(1), 0n, used(3)]).set_spte_L1).toBe(2);
  });

  it("maps a page table read-only, so that the first store to it still faults", () => {
    const g = new KernelGuest();
    const { pml4, pt } = g.space();
    g.store(pt, 0, page(0) | USED);
    g.store(pt, 1, pt | USED);
    g.cr3(pml4);
    expect(g.moved(() => g.read(0n))).toMatchObject({ set_spte_L1: 2 });
    expect(g.moved(() => g.read(at(0, 0, 0, 1)))).not.toHaveProperty("pf_taken");
    expect(g.moved(() => g.write(at(0, 0, 0, 1)))).toMatchObject({ page_fault_err3: 1, sp_unsynced_L1: 1 });
  });

  it("leaves the accessed flag of the leaf clear: its loss is no reason to flush", () => {
    const flushes = (touch: boolean) => {
      const g = new KernelGuest({ shadowKernel: 601 });
      const { pml4, pt } = g.space();
      g.store(pt, 8, page(8) | P | U | A);
      g.store(pt, 9, page(9) | P | U | A);
      g.cr3(pml4);
      g.read(at(0, 0, 0, 8));
      g.store(pt, 8, 0n);
      g.invlpg(at(0, 0, 0, 8));
      if (touch) g.read(at(0, 0, 0, 9));
      return g.moved(() => g.machine.load("cr3", pml4)).remote_tlb_flush_requests;
    };
    expect(flushes(false)).toBe(1);
    expect(flushes(true)).toBe(2);
  });
});

describe("large pages", () => {
  it("of the guest on small host pages are split by direct pages that allow what the leaf allowed", () => {
    const g = new KernelGuest();
    const { pml4, pd } = g.space();
    g.store(pd, 0, DATA | PS | P | W | U | A);
    g.cr3(pml4);
    expect(g.moved(() => g.read(0n))).toMatchObject({ sp_created_L1d: 1, set_spte_L1: 8 });
    /* The first write makes the leaf dirty: another access, another direct page. */
    const moved = g.moved(() => g.write(0n));
    expect(moved).toMatchObject({ sp_created_L1d: 1, walker_set_D: 1 });
    expect(moved.remote_tlb_flush_requests).toBeGreaterThan(0);
    expect(g.moved(() => g.write(0x5000n))).not.toHaveProperty("pf_taken");
  });

  it("are protected when a table appears in their range, and broken up at the next store", () => {
    const g = new KernelGuest({ hostPageShift: 21 });
    const { pml4, pdpt } = g.space();
    g.cr3(pml4);
    g.read(0n);
    const pd = g.tableApart();
    const pt = g.table();
    expect(g.moved(() => g.store(pd, 0, pt | TABLE))).toMatchObject({ set_spte_L2: 1 });
    g.store(pt, 0, page(0) | USED);
    g.store(pdpt, 7, pd | TABLE);
    expect(g.moved(() => expect(g.read(at(0, 7, 0, 0))).toBe(page(0)))).not.toHaveProperty("pages_2m");
    const moved = g.moved(() => g.store(pt, 1, page(1) | USED));
    expect(moved).toMatchObject({ page_fault_err3: 1, pages_2m: -1, sp_created_L1d: 1, sp_unsynced_L1: 1 });
  });
});

describe("roots", () => {
  it("of a PCID are let go when it is loaded with a flush for another table", () => {
    const g = new KernelGuest();
    const [a, b, c] = [g.space().pml4, g.space().pml4, g.space().pml4];
    g.machine.load("cr4", 0x20020n);
    g.cr3(a | 1n);
    g.cr3(b | 2n);
    g.cr3(a | 1n | (1n << 63n));
    const kept = g.moved(() => g.machine.load("cr3", b | 2n | (1n << 63n)));
    expect(kept).not.toHaveProperty("sp_reused_L4");
    expect(kept).not.toHaveProperty("tlb_flush");
    g.cr3(c | 1n);
    expect(g.moved(() => g.machine.load("cr3", a | 1n | (1n << 63n)))).toMatchObject({ sp_reused_L4: 1 });
  });

  it("of other address spaces are reached by an INVPCID of everything", () => {
    const g = new KernelGuest();
    const own = g.space();
    const other = g.space();
    g.store(own.pt, 0, page(0) | USED);
    g.machine.load("cr4", 0x20020n);
    g.cr3(own.pml4 | 1n);
    expect(g.read(0n)).toBe(page(0));
    g.store(own.pt, 0, page(1) | USED);
    g.cr3(other.pml4 | 2n);
    g.machine.invpcid(2, 0, 0n);
    g.machine.load("cr3", own.pml4 | 1n | (1n << 63n));
    expect(g.read(0n)).toBe(page(1));
  });

  it("that were zapped count again when they are released", () => {
    const g = new KernelGuest();
    const { pml4 } = g.space();
    g.cr3(pml4);
    g.cr3(0x1000n);
    const moved = g.moved(() => {
      for (let i = 20; i < 23; ++i) g.store(pml4, i, 0n);
    });
    expect(moved).toMatchObject({ mmu_flooded: 1, sp_zapped_L4: 2, mmu_shadow_zapped: 2 });
  });
});

it("a page that is mapped more than a thousand times loses all its mappings at once", () => {
  const g = new KernelGuest();
  const { pml4, pd } = g.space();
  for (let i = 0; i < 1100; ++i) {
    const slot = 1 + Math.floor(i / 512);
    if (i % 512 === 0) g.store(pd, slot, g.table() | TABLE);
    g.store(0x1004000n + BigInt(slot - 1) * 0x1000n, i % 512, page(0) | USED);
  }
  g.cr3(pml4);
  for (let i = 0; i < 1100; ++i) expect(g.read(at(0, 0, 1 + Math.floor(i / 512), i % 512))).toBe(page(0));
  const figures = g.machine.figures();
  expect(figures.max_mmu_rmap_size).toBe(1001);
  expect(figures.pages_4k).toBeLessThan(200);
});

describe("the limit of shadow pages", () => {
  it("recycles the oldest pages, and the guest goes on", () => {
    const g = new KernelGuest({ shadowPageLimit: 64 });
    const { pml4, pd } = g.space();
    const pts = Array.from({ length: 100 }, () => g.table());
    for (const [i, pt] of pts.entries()) {
      g.store(pd, i + 1, pt | TABLE);
      g.store(pt, 0, page(i) | USED);
    }
    g.cr3(pml4);
    const moved = g.moved(() => {
      for (let round = 0; round < 2; ++round) {
        for (let i = 0; i < 100; ++i) expect(g.read(at(0, 0, i + 1, 0))).toBe(page(i));
      }
    });
    expect(moved.mmu_recycled).toBeGreaterThan(100);
    expect(moved.mmu_shadow_zapped).toBe(moved.mmu_recycled);
    expect(g.machine.figures().mmu_shadow_pages).toBeLessThanOrEqual(64);
  });
});

describe("memory that the host took away", () => {
  function taken() {
    const g = new KernelGuest();
    const { pml4, pt } = g.space();
    g.store(pt, 0, page(0) | USED);
    g.cr3(pml4);
    g.write(0n);
    const moved = g.moved(() => g.machine.host(1, Number(page(0) >> 12n), 1));
    expect(moved).toMatchObject({
      unmap_hva_range: 1,
      pages_4k: -1,
      remote_tlb_flush_requests: 1,
      tlb_flush: 1,
    });
    return g;
  }

  it("comes back as the zero page for a read, and is copied under the first write, which faults twice", () => {
    const g = taken();
    expect(g.moved(() => expect(g.read(0n)).toBe(page(0)))).toMatchObject({
      page_fault_err0: 1,
      pf_fixed: 1,
    });
    const moved = g.moved(() => expect(g.write(0n)).toBe(page(0)));
    expect(moved).toMatchObject({
      page_fault_err3: 1,
      page_fault_err2: 1,
      pf_taken: 2,
      pf_fixed: 1,
      unmap_hva_range: 1,
    });
  });

  it("comes back as a page of its own for a write", () => {
    const g = taken();
    expect(g.moved(() => g.write(0n))).toMatchObject({ page_fault_err2: 1, pf_taken: 1, pf_fixed: 1 });
  });

  it("that it made one with others is read without a copy, and copied under the first write", () => {
    const g = new KernelGuest();
    const { pml4, pt } = g.space();
    g.store(pt, 0, page(0) | USED);
    g.cr3(pml4);
    g.write(0n);
    g.machine.host(2, Number(page(0) >> 12n), 1);
    expect(g.moved(() => g.read(0n))).toMatchObject({ pf_taken: 1, pf_fixed: 1 });
    expect(g.moved(() => g.write(0n))).toMatchObject({ pf_taken: 2, pf_fixed: 1, unmap_hva_range: 1 });
  });

  it("is never prefetched", () => {
    const g = new KernelGuest();
    const { pml4, pt } = g.space();
    for (let i = 0; i < 8; ++i) g.store(pt, i, page(i) | USED);
    g.cr3(pml4);
    g.machine.host(1, Number(page(2) >> 12n), 1);
    expect(g.moved(() => g.read(0n))).toMatchObject({ set_spte_L1: 2 });
  });
});

describe("a large host page that the host took away", () => {
  const first = Number(DATA >> 12n);

  /** Eight used pages in a host page of 2 MiB, written. */
  function written() {
    const g = new KernelGuest({ hostPageShift: 21 });
    const { pml4, pt } = g.space();
    for (let i = 0; i < 8; ++i) g.store(pt, i, page(i) | USED);
    g.cr3(pml4);
    g.write(0n);
    return g;
  }

  it("in part is broken up first: what maps the rest of it goes too (__split_huge_pmd)", () => {
    const g = written();
    const moved = g.moved(() => g.machine.host(1, first, 1));
    expect(moved).toMatchObject({
      unmap_hva_range: 2,
      remote_tlb_flush_requests: 2,
      tlb_flush: 1,
      pages_4k: -8,
    });
    /* The others are there in small pages; the missing one ends the prefetch of their group. */
    expect(g.moved(() => g.read(at(0, 0, 0, 1)))).toMatchObject({ pf_fixed: 1, set_spte_L1: 1 });
    expect(g.moved(() => g.machine.host(1, first + 5, 1))).toMatchObject({ unmap_hva_range: 1 });
  });

  it("as a whole comes back as a large page for a write", () => {
    const g = written();
    expect(g.moved(() => g.machine.host(1, first, 512))).toMatchObject({ unmap_hva_range: 1, pages_4k: -8 });
    expect(g.moved(() => g.write(0n))).toMatchObject({ pf_taken: 1, pf_fixed: 1, set_spte_L1: 8 });
  });

  it("as a whole is the large zero page for reads, which the first write breaks up (do_huge_pmd_wp_page)", () => {
    const g = written();
    g.machine.host(1, first, 512);
    for (let i = 0; i < 8; ++i)
      expect(g.moved(() => g.read(at(0, 0, 0, i)))).toMatchObject({ pf_fixed: 1, set_spte_L1: 1 });
    const moved = g.moved(() => g.write(0n));
    expect(moved).toMatchObject({ pf_taken: 2, pf_fixed: 1, unmap_hva_range: 2, pages_4k: -7 });
    expect(g.moved(() => g.write(at(0, 0, 0, 1)))).toMatchObject({ pf_taken: 2, unmap_hva_range: 1 });
  });
});

describe("a change of the memory slots", () => {
  it("zaps every shadow page, and the guest goes on with a new root (kvm_mmu_zap_all_fast)", () => {
    const g = new KernelGuest();
    const { pml4, pt } = g.space();
    g.store(pt, 0, page(0) | USED);
    g.cr3(pml4);
    g.read(0n);
    /* Two roots, the kernel's L3, L2 and two direct pages, and the space's L3, L2 and L1; a zapped root counts twice. */
    const before = g.machine.figures().mmu_shadow_pages!;
    const moved = g.moved(() => g.machine.host(4, 0, 0));
    expect(moved).toMatchObject({
      mmu_shadow_zapped: before + 2,
      sp_zapped_L4: 4,
      sp_created_L4: 1,
      mmu_shadow_pages: 1 - before,
      remote_tlb_flush_requests: 2,
      tlb_flush: 1,
    });
    expect(g.machine.figures().pages_4k).toBe(0);
    expect(g.moved(() => expect(g.read(0n)).toBe(page(0)))).toMatchObject({ pf_fixed: 1, mmu_cache_miss: 3 });
  });

  it.each([
    [601, 514],
    [612, 516],
  ])("takes the second stage down too (Linux %i: tdp_mmu_zap_root)", (shadowKernel, changes) => {
    const g = new KernelGuest({ technique: NESTED, shadowKernel });
    g.read(0xffff_ffff_8000_0000n + page(0));
    const moved = g.moved(() => {
      g.machine.host(4, 0, 0);
      g.read(0xffff_ffff_8000_0000n + page(0));
    });
    expect(moved.tdp_spte_changed_L3).toBe(514);
    expect(moved.tdp_spte_changed_L2).toBe(changes);
    expect(moved).toMatchObject({ sp_zapped_L3d: 1, sp_zapped_L2d: 1, sp_created_L4d: 1 });
    expect(moved).not.toHaveProperty("tlb_flush");
  });
});

describe("CR0.WP = 0", () => {
  it("maps a read-only page writable for the supervisor, and back for the user", () => {
    const g = new KernelGuest();
    const { pml4, pt } = g.space();
    g.store(pt, 0, page(0) | P | U | A | D);
    g.cr3(pml4);
    g.machine.load("cr0", 0x80000033n);
    expect(g.write(0n)).toBe(page(0));
    g.machine.state(3, false, 0);
    expect(g.read(0n)).toBe(page(0));
    expect(g.machine.access(0n, 1)).toMatchObject({ outcome: "#PF", errorCode: 7 });
    g.machine.state(0, false, 0);
    expect(g.write(0n)).toBe(page(0));
  });
});

it.each([
  ["PKE", 1n << 22n],
  ["SMAP", 1n << 21n],
])("a page that CR0.WP = 0 made the supervisor's does not serve once %s protects the user's", (_, bit) => {
  const g = new KernelGuest();
  const { pml4, pt } = g.space();
  g.store(pt, 0, DATA | P | U | A | D);
  g.cr3(pml4);
  g.machine.load("cr0", 0x80000033n);
  /* The key 0 refuses the user's pages to everyone. */
  g.machine.state(0, false, 1);
  expect(g.write(0n)).toBe(DATA);
  g.machine.load("cr4", 0x20n | bit);
  expect(g.machine.access(0n, WRITE)).toMatchObject({ outcome: "#PF" });
  expect(g.machine.access(0n, READ)).toMatchObject({ outcome: "#PF" });
});

it("with CR0.WP = 0 and protection keys a write to a page of the user's is emulated, so that its key still counts", () => {
  const g = new KernelGuest();
  const { pml4, pt } = g.space();
  g.store(pt, 0, DATA | P | U | A | D);
  g.cr3(pml4);
  g.machine.load("cr0", 0x80000033n);
  g.machine.load("cr4", 0x400020n);
  expect(g.moved(() => g.write(0n))).toMatchObject({ pf_emulate: 1 });
  g.machine.state(0, false, 1);
  expect(g.machine.access(0n, WRITE)).toEqual({ outcome: "#PF", errorCode: 0x23 });
});

it("an emulated instruction is read at the privilege level of its access", () => {
  const read = (cpl: number) => {
    const g = new KernelGuest();
    const { pml4, pdpt, pt } = g.space();
    g.store(pt, 0, pdpt | USED);
    g.cr3(pml4);
    g.touch();
    g.machine.state(cpl, false, 0);
    const moved = g.moved(() => expect(g.write(8n)).toBe(pdpt + 8n));
    return [moved.pf_emulate, moved.walk_err10, moved.walk_err14];
  };
  expect(read(0)).toEqual([1, 1, undefined]);
  expect(read(3)).toEqual([1, undefined, 1]);
});
