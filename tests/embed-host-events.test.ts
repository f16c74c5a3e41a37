import { describe, expect, it } from "vitest";
import { Access, Status } from "../src/embed/index.js";
import { A, D, Guest, P, RW, US } from "./embed/guest.js";
import { HostCache } from "./embed/host-cache.js";

/* What the model's hypervisor takes away from its guest, the host of the two must not use any longer. */

const PAGES = [0x20_0000, 0x20_1000, 0x20_2000, 0x20_3000];
const at = (i: number) => 0x40_0000n + BigInt(i) * 0x1000n;

/** A guest whose four pages its host keeps, written once. */
function kept(technique: "ept" | "npt" | "shadow"): { g: Guest; host: HostCache; uses: () => string } {
  const host = new HostCache();
  const g = new Guest({
    technique,
    hypervisor: "model",
    features: { vendor: technique === "npt" ? "amd" : "intel" },
    onInvalidate: (i) => host.drop(i),
  });
  const root = g.table();
  for (const [i, page] of PAGES.entries()) g.map(root, at(i), page, P | RW | US | A | D);
  g.start(root);
  const keep = (va: bigint, access: number) => {
    g.mmu.instruction(0x1000, 0, 8);
    expect(g.go(va, access)).toBe(Status.ok);
    host.keep(va, g.mmu.physical, g.mmu.rights, false, g.mmu.stage1Shift);
  };
  for (const i of PAGES.keys()) {
    keep(at(i), Access.read);
    keep(at(i), Access.write);
  }
  const uses = () =>
    [...PAGES.keys()]
      .map((i) =>
        host.find(at(i), Access.write) !== undefined
          ? "w"
          : host.find(at(i), Access.read) !== undefined
            ? "r"
            : "-",
      )
      .join("");
  expect(uses()).toBe("wwww");
  return { g, host, uses };
}

describe.each(["ept", "npt", "shadow"] as const)("%s", (technique) => {
  it.each(["reclaim", "share", "logStores"] as const)("after %s nothing is kept that it took", (what) => {
    const { g, uses } = kept(technique);
    g.mmu.host(what, 0x20_1000, 0x2000);
    expect(uses().slice(1, 3)).toBe("--");
    const before = g.mmu.counters();
    expect(g.go(at(1), Access.write)).toBe(Status.ok);
    expect(g.go(at(0), Access.write)).toBe(Status.ok);
    const after = g.mmu.counters();
    /* The write that copies is made again: the copy takes the mapping away once more (mmu_invalidate_retry). */
    expect(after.exits! - before.exits!).toBe(what === "share" ? 2 : 1);
  });

  it("a change of the memory slots takes everything", () => {
    const { g, uses } = kept(technique);
    g.mmu.host("memorySlots", 0, 0);
    expect(uses()).toBe("----");
    expect(g.go(at(3), Access.read)).toBe(Status.ok);
  });

  it("a piece of a page is the page, and so is its neighbour that it reaches into", () => {
    const { g, uses } = kept(technique);
    g.mmu.host("reclaim", 0x20_1fff, 2);
    expect(uses().slice(1, 3)).toBe("--");
    const before = g.mmu.counters().exits!;
    for (const i of PAGES.keys()) expect(g.go(at(i), Access.write)).toBe(Status.ok);
    expect(g.mmu.counters().exits! - before).toBe(2);
  });
});
