import { expect, it } from "vitest";
import { NESTED, type Parameters, WRITE } from "./shadow/driven.js";
import { A, at, D, DATA, FRESH, KernelGuest, P, TABLE, U, USED } from "./shadow/kernel-guest.js";

/* Each knob of the shadow MMU moves the counter that it is for, and the guest sees the same. */

const page = (i: number) => DATA + BigInt(i) * 0x1000n;

/** Maps pages, uses them, remaps some, switches away and back, several times. */
function work(parameters: Parameters): Record<string, number> {
  const g = new KernelGuest(parameters);
  const spaces = Array.from({ length: 3 }, () => g.space());
  return g.moved(() => {
    for (const { pt } of spaces)
      for (let i = 0; i < 32; ++i) g.store(pt, i, page(i) | (i < 16 ? USED : FRESH));
    for (let round = 0; round < 3; ++round) {
      for (const { pml4, pdpt, pd, pt } of spaces) {
        g.cr3(pml4);
        for (let i = 0; i < 32; ++i)
          expect(g.read(at(0, 0, 0, i))).toBe(page((i + (i < 4 ? round * 7 : 0)) % 64));
        for (let i = 0; i < 32; ++i) g.write(at(0, 0, 0, i));
        for (let i = 0; i < 4; ++i) g.store(pt, i, page((i + (round + 1) * 7) % 64) | USED);
        g.store(pd, 10 + round, g.table() | TABLE);
        if (round === 2) for (let i = 10; i < 14; ++i) g.store(pdpt, i, g.table() | TABLE);
      }
    }
  });
}

const normal = work({});
const figure = (moved: Record<string, number>, name: string) => moved[name] ?? 0;

it("without unsync pages every store to a page table is emulated, and nothing is ever synchronized", () => {
  const moved = work({ shadowUnsync: 0 });
  expect(figure(moved, "sp_unsynced_L1")).toBe(0);
  expect(figure(moved, "sp_synced_L1")).toBe(0);
  expect(figure(moved, "pf_emulate")).toBeGreaterThan(figure(normal, "pf_emulate"));
});

it("a larger prefetch saves faults, and none costs one each", () => {
  const none = work({ shadowPrefetch: 1 });
  const more = work({ shadowPrefetch: 16 });
  expect(figure(none, "pf_fixed")).toBeGreaterThan(figure(normal, "pf_fixed"));
  expect(figure(more, "pf_fixed")).toBeLessThan(figure(normal, "pf_fixed"));
});

it("write flooding drops tables, sooner with a lower threshold and never with 0", () => {
  expect(figure(work({ shadowFlooding: 0 }), "mmu_flooded")).toBe(0);
  expect(figure(work({ shadowFlooding: 1 }), "mmu_flooded")).toBeGreaterThan(figure(normal, "mmu_flooded"));
  expect(figure(normal, "mmu_flooded")).toBeGreaterThan(0);
});

it("previous roots save the search for the page of a root", () => {
  expect(figure(work({ shadowPreviousRoots: 0 }), "sp_reused_L4")).toBeGreaterThan(
    figure(normal, "sp_reused_L4"),
  );
});

it("a limit of pages recycles", () => {
  expect(figure(normal, "mmu_recycled")).toBe(0);
  expect(figure(work({ shadowPageLimit: 12 }), "mmu_recycled")).toBeGreaterThan(0);
});

it("the default limit is a fiftieth of the guest's pages", () => {
  expect(figure(work({ guestPages: 1 }), "mmu_recycled")).toBe(0);
  const g = new KernelGuest({ guestPages: 5000 });
  const { pml4, pd } = g.space();
  g.cr3(pml4);
  for (let i = 0; i < 150; ++i) {
    const pt = g.table();
    g.store(pd, i + 1, pt | TABLE);
    g.store(pt, 0, page(i) | USED);
    g.read(at(0, 0, i + 1, 0));
  }
  expect(g.machine.figures().mmu_recycled).toBeGreaterThan(0);
  expect(g.machine.figures().mmu_shadow_pages).toBeLessThanOrEqual(100);
});

it("without the dirty trap the first write to a clean page needs no fault of its own", () => {
  const without = work({ shadowDirtyTrap: 0 });
  expect(figure(without, "pf_fixed")).toBeLessThan(figure(normal, "pf_fixed"));
  expect(figure(without, "walker_set_D")).toBeGreaterThan(0);
});

it("a CPU without decode assists has INVLPG and loads of CR3 emulated", () => {
  const moved = work({ shadowEmulateControls: 1 });
  expect(figure(moved, "insn_emulation") - figure(normal, "insn_emulation")).toBe(
    figure(normal, "exit_write_cr3"),
  );
});

it("the older nested MMU installs neighbours together, as the TDP MMU does not", () => {
  const tdp = work({ technique: NESTED });
  const legacy = work({ technique: NESTED, tdpLegacy: 1 });
  expect(figure(tdp, "set_spte_L1")).toBe(figure(tdp, "exit_npf"));
  expect(figure(legacy, "set_spte_L1")).toBeGreaterThan(figure(legacy, "exit_npf"));
  expect(figure(tdp, "mmu_cache_miss")).toBe(0);
  expect(figure(legacy, "mmu_cache_miss")).toBeGreaterThan(0);
});

it("the older direct tables install groups of 8 in either format", () => {
  const faults = (parameters: Parameters) => {
    const g = new KernelGuest({ technique: NESTED, ...parameters });
    const { pml4, pt } = g.space();
    for (let i = 0; i < 64; ++i) g.store(pt, i, page(i) | P | 2n | A | D);
    g.cr3(pml4);
    return g.moved(() => {
      for (let i = 0; i < 64; ++i) expect(g.read(at(0, 0, 0, i))).toBe(page(i));
    });
  };
  for (const hostFormat of [0, 1]) {
    expect(faults({ hostFormat })).toMatchObject({ pf_fixed: 64, pages_4k: 64 });
    expect(faults({ hostFormat, tdpLegacy: 1 })).toMatchObject({
      pf_fixed: 8,
      pages_4k: 64,
      set_spte_L1: 64,
    });
  }
});

it("a dirty log protects every page until its first write, under each technique", () => {
  for (const parameters of [
    {},
    { technique: NESTED },
    { technique: NESTED, tdpLegacy: 1 },
    { technique: NESTED, hostFormat: 0 },
    { technique: NESTED, hostFormat: 0, tdpLegacy: 1 },
  ]) {
    const g = new KernelGuest(parameters);
    const { pml4, pt } = g.space();
    g.store(pt, 0, page(0) | P | 2n | A | D);
    g.cr3(pml4);
    g.write(0n);
    g.machine.host(3, 0, 65536);
    /* Under NPT the walk itself writes to the tables. */
    g.read(0n);
    const first = g.moved(() => expect(g.write(0n)).toBe(page(0)));
    expect(first).toMatchObject({ pf_taken: 1, pf_fixed: 1 });
    expect(figure(first, "pf_fast")).toBe(parameters.technique === NESTED ? 1 : 0);
    expect(g.moved(() => g.write(0n))).not.toHaveProperty("pf_taken");
  }
});

it("a limit of tables out of sync synchronizes the oldest for each one more", () => {
  const stores = (parameters: Parameters, tables: number) => {
    const g = new KernelGuest(parameters);
    const { pml4, pd } = g.space();
    const pts = Array.from({ length: tables }, () => g.tableApart());
    for (const [i, pt] of pts.entries()) {
      g.store(pt, 0, page(i) | USED);
      g.store(pd, 16 + i, pt | TABLE);
    }
    g.cr3(pml4);
    for (const [i] of pts.entries()) g.read(at(0, 0, 16 + i, 0));
    const moved = g.moved(() => {
      for (const [i, pt] of pts.entries()) g.store(pt, 1, page(i + 8) | USED);
    });
    /* The first table is in sync again: its next store exits, unless it is still out of sync. */
    const again = g.moved(() => g.store(pts[0]!, 2, page(30) | USED));
    for (const [i] of pts.entries()) expect(g.read(at(0, 0, 16 + i, 1))).toBe(page(i + 8));
    return { moved, again };
  };
  expect(stores({}, 4).moved).toMatchObject({ sp_unsynced_L1: 4, mmu_unsync: 4 });
  expect(stores({}, 4).moved).not.toHaveProperty("sp_synced_L1");
  expect(stores({}, 4).again).not.toHaveProperty("exits");
  const limited = stores({ shadowUnsyncPages: 3 }, 4);
  expect(limited.moved).toMatchObject({ sp_unsynced_L1: 4, sp_synced_L1: 1, mmu_unsync: 3 });
  expect(limited.again).toMatchObject({ exits: 1, sp_unsynced_L1: 1, sp_synced_L1: 1 });
  expect(stores({ shadowUnsyncPages: 3 }, 3).moved).not.toHaveProperty("sp_synced_L1");
});

it("by frame number the table is synchronized whose slot is taken, not the oldest (oos_hash_add)", () => {
  const after = (shadowUnsyncByFrame: number) => {
    const g = new KernelGuest({ shadowUnsyncPages: 3, shadowUnsyncByFrame });
    const { pml4, pd } = g.space();
    /* Each first store gives host frames to a group of 8, so the frames of these modulo 3 are n, n + 2, n + 1 and n. */
    const pts = Array.from({ length: 4 }, () => g.tableApart());
    for (const pt of pts) g.store(pt, 0, page(0) | USED);
    for (const [i, pt] of pts.entries()) g.store(pd, 16 + i, pt | TABLE);
    g.cr3(pml4);
    for (const [i] of pts.entries()) g.read(at(0, 0, 16 + i, 0));
    const moved = g.moved(() => {
      for (const pt of pts) g.store(pt, 1, page(1) | USED);
    });
    expect(moved).toMatchObject({ sp_unsynced_L1: 4, sp_synced_L1: 1, mmu_unsync: 3 });
    /* Tables that a store does not exit for are still out of sync. */
    return pts.map((pt) =>
      figure(
        g.moved(() => g.store(pt, 2, page(2) | USED)),
        "exits",
      ),
    );
  };
  expect(after(0)[0]).toBe(1);
  expect(after(1).slice(0, 3)).toEqual([0, 0, 1]);
});

it("a load of CR3 synchronizes what its root leads to, or all tables out of sync (sh_resync_all)", () => {
  const stores = (parameters: Parameters) => {
    const g = new KernelGuest({ shadowUnsyncPages: 3, ...parameters });
    const [one, two] = [g.space(), g.space()];
    g.store(one.pt, 0, page(0) | USED);
    g.cr3(one.pml4);
    g.read(0n);
    g.store(one.pt, 1, page(1) | USED);
    g.cr3(two.pml4);
    return figure(
      g.moved(() => g.store(one.pt, 2, page(2) | USED)),
      "exits",
    );
  };
  expect(stores({})).toBe(0);
  expect(stores({ shadowSyncAll: 1 })).toBe(1);
});

it("INVLPG installs the new entry, or only drops the old one (sh_invlpg)", () => {
  const read = (parameters: Parameters) => {
    const g = new KernelGuest({ shadowKernel: 601, ...parameters });
    const { pml4, pt } = g.space();
    g.store(pt, 0, page(0) | USED);
    g.cr3(pml4);
    g.read(0n);
    g.store(pt, 0, page(9) | USED);
    g.invlpg(0n);
    return g.moved(() => expect(g.read(0n)).toBe(page(9)));
  };
  expect(read({})).not.toHaveProperty("exits");
  expect(read({ shadowInvlpgDrops: 1 })).toMatchObject({ exits: 1, pf_fixed: 1 });
});

it("the pool of shadow pages is KVM's share of memory, or Xen's", () => {
  const pages = (shadowPool: number) => {
    const g = new KernelGuest({ shadowPool, guestPages: 16384 });
    const { pml4, pd } = g.space();
    for (let i = 16; i < 416; ++i) {
      const pt = g.table();
      g.store(pd, i, pt | TABLE);
      g.store(pt, 0, page(0) | USED);
    }
    g.cr3(pml4);
    for (let i = 16; i < 416; ++i) g.read(at(0, 0, i, 0));
    return figure(g.machine.figures(), "mmu_shadow_pages");
  };
  /* 64 MiB: 16,384 / 50 pages, and 256 + 2 * 64. */
  expect(pages(0)).toBeLessThanOrEqual(327);
  expect(pages(1)).toBeGreaterThan(360);
  expect(pages(1)).toBeLessThanOrEqual(384);
});

it("with such a limit a table that has two shadow pages stays in sync", () => {
  const twice = (parameters: Parameters) => {
    const g = new KernelGuest(parameters);
    const { pml4, pd, pt } = g.space();
    g.store(pt, 0, page(0) | USED);
    g.store(pd, 1, pt | P | A | D);
    g.cr3(pml4);
    g.read(at(0, 0, 0, 0));
    g.read(at(0, 0, 1, 0));
    return g.moved(() => g.store(pt, 1, page(1) | USED));
  };
  expect(twice({})).toMatchObject({ sp_unsynced_L1: 2, pf_fixed: 1 });
  expect(twice({ shadowUnsyncPages: 3 })).toMatchObject({ pf_emulate: 1, mmu_pte_write: 1 });
});

it("propagated stores save the faults that would make the new entries, at the lowest level and above", () => {
  const store = (parameters: Parameters) => {
    const g = new KernelGuest({ shadowUnsync: 0, ...parameters });
    const { pml4, pdpt, pd, pt } = g.space();
    g.store(pt, 0, page(0) | USED);
    g.cr3(pml4);
    g.read(0n);
    g.store(pt, 0, page(9) | USED);
    const low = g.moved(() => expect(g.read(0n)).toBe(page(9)));
    /* The same table again, in another place. */
    g.store(pd, 0, pt | P | U | A | D);
    g.store(pd, 0, pt | TABLE);
    g.store(pdpt, 0, pd | TABLE);
    return [low, g.moved(() => expect(g.read(0n)).toBe(page(9)))];
  };
  for (const moved of store({})) expect(moved).toMatchObject({ exits: 1, pf_fixed: 1 });
  for (const moved of store({ shadowPropagate: 1 })) expect(moved).not.toHaveProperty("exits");
});

it("a prefetch of what follows ends at an entry that needs its flag, and looks at nothing before", () => {
  const faults = (parameters: Parameters, first: number, last: number, fresh: number) => {
    const g = new KernelGuest({ shadowPrefetch: 32, shadowPrefetchFollowing: 1, ...parameters });
    const { pml4, pt } = g.space();
    for (let i = 0; i < 64; ++i) g.store(pt, i, page(i) | (i === fresh ? FRESH : USED));
    g.cr3(pml4);
    g.read(at(0, 0, 0, first));
    const moved = g.moved(() => {
      for (let i = first; i <= last; ++i) g.read(at(0, 0, 0, i));
    });
    return figure(moved, "pf_fixed");
  };
  expect(faults({}, 5, 36, 63)).toBe(0);
  expect(faults({}, 5, 37, 63)).toBe(1);
  expect(faults({ shadowPrefetchFollowing: 0 }, 5, 36, 63)).toBe(1);
  /* One for the entry that was never used; what follows it comes with it. */
  expect(faults({}, 5, 36, 20)).toBe(1);
  expect(faults({ shadowPrefetchFollowing: 0 }, 0, 31, 20)).toBe(1);
  const g = new KernelGuest({ shadowPrefetch: 32, shadowPrefetchFollowing: 1 });
  const { pml4, pt } = g.space();
  for (let i = 0; i < 32; ++i) g.store(pt, i, page(i) | USED);
  g.cr3(pml4);
  g.read(at(0, 0, 0, 8));
  expect(g.moved(() => g.read(at(0, 0, 0, 7)))).toMatchObject({ pf_fixed: 1 });
});

it("two emulated stores in a row drop a table, and not with another fault between", () => {
  const stores = (parameters: Parameters, between: boolean) => {
    const g = new KernelGuest({ shadowFlooding: 0, ...parameters });
    const { pml4, pdpt, pt } = g.space();
    g.store(pt, 0, page(0) | USED);
    g.cr3(pml4);
    g.touch();
    return g.moved(() => {
      g.store(pdpt, 8, g.table() | TABLE);
      if (between) g.read(at(1, 2, 3, 4));
      g.store(pdpt, 9, g.table() | TABLE);
    });
  };
  expect(stores({}, false)).not.toHaveProperty("mmu_flooded");
  expect(stores({ shadowUnshadow: 2 }, false)).toMatchObject({ mmu_flooded: 1, sp_zapped_L3: 1 });
  expect(stores({ shadowUnshadow: 2 }, true)).not.toHaveProperty("mmu_flooded");
});

it("without a role of its own, what was mapped under EFER.NXE stays mapped without (kvm_init_shadow_mmu)", () => {
  const cleared = (shadowNxRole: number) => {
    const g = new KernelGuest({ shadowNxRole });
    const { pml4, pt } = g.space();
    g.store(pt, 0, page(0) | P | 2n | A | D | (1n << 63n));
    g.cr3(pml4);
    g.read(0n);
    g.machine.load("efer", 0x500n);
    return { seen: g.read(0n), figures: g.machine.figures() };
  };
  expect(cleared(1).seen).toBeUndefined();
  expect(cleared(0).seen).toBe(page(0));
  expect(figure(cleared(1).figures, "sp_created_L4")).toBe(figure(cleared(0).figures, "sp_created_L4") + 1);
});

it("splintered large pages take small entries", () => {
  const large = (parameters: Parameters) => {
    const g = new KernelGuest({ hostPageShift: 21, ...parameters });
    const { pml4, pd } = g.space();
    g.store(pd, 3, 0x8000000n | USED | 0x80n);
    g.cr3(pml4);
    return g.moved(() => expect(g.read(at(0, 0, 3, 7))).toBe(0x8007000n));
  };
  expect(large({})).toMatchObject({ pages_2m: 1 });
  const splintered = large({ shadowSplinter: 1 });
  expect(splintered).toMatchObject({ sp_created_L1d: 1 });
  expect(splintered).not.toHaveProperty("pages_2m");
  expect(figure(splintered, "pages_4k")).toBeGreaterThan(0);
});

it("a page fault drops what was mapped, or only where the guest's page is present (kvm_inject_emulated_page_fault)", () => {
  const after = (shadowFaultDrops: number) => {
    const g = new KernelGuest({ shadowFaultDrops });
    const { pml4, pt } = g.space();
    g.store(pt, 0, page(0) | P | A | D);
    g.cr3(pml4);
    expect(g.read(0n)).toBe(page(0));
    g.store(pt, 0, 0n);
    /* Nobody has flushed it: it may be used. The write finds a page that is not writable, and faults. */
    expect(g.read(0n)).toBe(page(0));
    expect(g.machine.access(0n, WRITE)).toEqual({ outcome: "#PF", errorCode: 2 });
    return g.read(0n);
  };
  expect(after(1)).toBeUndefined();
  expect(after(0)).toBe(page(0));
});
