import { describe, expect, it } from "vitest";
import { lower, resolveConfig } from "../src/config/index.js";
import { shadowProfileNames } from "../src/config/shadow.js";
import { Parameter } from "../src/generated/declarations.js";
import { NESTED, type Parameters } from "./shadow/driven.js";
import { at, DATA, KernelGuest, TABLE, USED } from "./shadow/kernel-guest.js";

/** The parameters of shadow paging that a profile comes to. */
function profile(name: string): Parameters {
  const block = lower(resolveConfig({ set: [`shadow.profile=${name}`] }));
  return Object.fromEntries(
    Object.entries(Parameter)
      .filter(([key]) => key.startsWith("shadow"))
      .map(([key, index]) => [key, block[index as number]]),
  );
}

describe("profiles of shadow paging", () => {
  it("are set before the file and the assignments, whatever the order", () => {
    expect(resolveConfig().shadow).toMatchObject({ profile: "kvm-6.1", kernel: "6.1", prefetch: 8 });
    expect(resolveConfig({ set: ["shadow.prefetch=2", "shadow.profile=xen"] }).shadow).toMatchObject({
      profile: "xen",
      prefetch: 2,
      unsyncPages: 3,
    });
    const file = { name: "file", value: { shadow: { profile: "textbook", previousRoots: 2 } } };
    expect(resolveConfig({ file }).shadow).toMatchObject({ unsync: false, previousRoots: 2 });
    expect(resolveConfig({ file, set: ["shadow.profile=kvm-6.12"] }).shadow).toMatchObject({
      profile: "kvm-6.12",
      kernel: "6.12",
      unsync: true,
      previousRoots: 2,
    });
    expect(() => resolveConfig({ set: ["shadow.profile=vmware"] })).toThrow(/shadow\.profile is "vmware"/);
  });

  it("come to the same when their result is the configuration", () => {
    for (const name of shadowProfileNames) {
      const config = resolveConfig({ set: [`shadow.profile=${name}`] });
      expect(resolveConfig({ file: { name: "again", value: config } })).toEqual(config);
    }
  });

  it("differ in nothing but the shadow keys", () => {
    for (const name of shadowProfileNames)
      expect({ ...resolveConfig({ set: [`shadow.profile=${name}`] }), shadow: 0 }).toEqual({
        ...resolveConfig(),
        shadow: 0,
      });
  });
});

/**
 * Exits of one guest page fault whose handler changes the entry of the leaf and, with `levels`, those above it: the
 * tables are shadowed already, since the guest uses them elsewhere. Worst cases of PVM (SOSP 2023), 2.2.
 */
function exitsOfFault(parameters: Parameters, levels: number, again = false): number {
  const g = new KernelGuest(parameters);
  const { pml4, pdpt, pd, pt } = g.space();
  g.cr3(pml4);
  g.touch();
  const pages = [DATA, DATA + 0x1000n];
  for (const page of pages) g.read(0xffff_ffff_8000_0000n + page);
  const fault = (slot: number, page: bigint) => {
    const va = at(levels > 3 ? 1 : 0, levels > 2 ? 1 : 0, levels > 1 ? 1 : 0, slot);
    expect(g.read(va)).toBeUndefined();
    if (levels > 3) g.store(pml4, 1, pdpt | TABLE);
    if (levels > 2) g.store(pdpt, 1, pd | TABLE);
    if (levels > 1) g.store(pd, 1, pt | TABLE);
    g.store(pt, slot, page | USED);
    expect(g.read(va)).toBe(page);
  };
  if (again) fault(100, pages[0]!);
  return g.moved(() => fault(200, pages[1]!)).exits ?? 0;
}

describe("exits of one guest page fault", () => {
  it("are n + 2 where every store to a table traps: the fault, n entries, and the fault that shadows them", () => {
    for (const n of [1, 2, 3, 4]) expect(exitsOfFault(profile("textbook"), n)).toBe(n + 2);
  });

  it("are 3 the first time and 2 from then on where the lowest table goes out of sync", () => {
    for (const name of ["kvm-6.1", "kvm-6.12", "xen"]) {
      expect(exitsOfFault(profile(name), 1)).toBe(3);
      expect(exitsOfFault(profile(name), 1, true)).toBe(2);
    }
  });

  it("are none under nested paging, and one where the page has no memory yet", () => {
    for (const hostFormat of [0, 1]) expect(exitsOfFault({ technique: NESTED, hostFormat }, 4)).toBe(0);
    const g = new KernelGuest({ technique: NESTED, hostFormat: 0 });
    const { pml4, pt } = g.space();
    g.cr3(pml4);
    g.touch();
    g.store(pt, 1, DATA | USED);
    expect(g.moved(() => g.read(at(0, 0, 0, 1)))).toMatchObject({ exits: 1, exit_ept_violation: 1 });
  });
});
