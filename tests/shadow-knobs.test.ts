import { expect, it } from "vitest";
import { NESTED, type Parameters } from "./shadow/driven.js";
import { A, at, D, DATA, FRESH, KernelGuest, P, TABLE, USED } from "./shadow/kernel-guest.js";

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

it("a dirty log protects every page until its first write, under each technique", () => {
  for (const parameters of [
    {},
    { technique: NESTED },
    { technique: NESTED, tdpLegacy: 1 },
    { technique: NESTED, hostFormat: 0 },
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
