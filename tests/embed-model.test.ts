import { describe, expect, it } from "vitest";
import { Access, createMmu, Status } from "../src/embed/index.js";

const MIB = 1 << 20;
const PAE = 0x20;
const PGE = 0x80;
const PG_PE = 0x8000_0001;
const WP = 0x1_0000;

/** A PAE guest whose four entries lie at 0x1000, with a page of 2 MiB at 0. */
function paeGuest(technique: "native" | "ept" | "npt" | "shadow", pdpte = 0x2001n) {
  const memory = new DataView(new ArrayBuffer(4 * MIB));
  memory.setBigUint64(0x1000, pdpte, true);
  memory.setBigUint64(0x2000, 0xe3n, true);
  const mmu = createMmu({ memory, ram: { size: 4 * MIB }, technique, hypervisor: "model" });
  mmu.setCodeLong(false);
  return mmu;
}

function exitsOf(mmu: ReturnType<typeof paeGuest>): Record<string, number> {
  return Object.fromEntries(mmu.result().exits.map(({ reason, count }) => [reason, count]));
}

describe("the model's hypervisor and loads of registers", () => {
  it.each(["native", "ept", "npt", "shadow"] as const)("a load of PDPTEs ends well in %s", (technique) => {
    const mmu = paeGuest(technique);
    expect([mmu.setCr4(PAE), mmu.setCr3(0x1000), mmu.setCr0(PG_PE)]).toEqual([0, 0, 0]);
    expect(mmu.translate(0x12_3456, 0, Access.read)).toBe(Status.ok);
    expect(mmu.physical).toBe(0x12_3456);
  });

  it("under EPT it exits once for their page; the table and the page of the access exit later", () => {
    const mmu = paeGuest("ept");
    mmu.setCr4(PAE);
    mmu.setCr3(0x1000);
    expect(exitsOf(mmu)).toEqual({ write_cr4: 1 });
    mmu.setCr0(PG_PE);
    expect(exitsOf(mmu)).toEqual({ write_cr4: 1, write_cr0: 1, ept_violation: 1 });
    mmu.translate(0x12_3456, 0, Access.read);
    expect(exitsOf(mmu)).toEqual({ write_cr4: 1, write_cr0: 1, ept_violation: 3 });
  });

  it("a reserved bit in a PDPTE is a #GP under shadow paging too, whatever register's load meets it", () => {
    const mmu = paeGuest("shadow", 0x2003n);
    mmu.setCr4(PAE);
    mmu.setCr3(0x1000);
    expect(mmu.setCr0(PG_PE)).toBe(Status.generalProtection);
    expect(mmu.state().cr0 & 0x8000_0000n).toBe(0n);
    mmu.setCr3(0x1800);
    expect(mmu.setCr0(PG_PE)).toBe(Status.ok);
    expect(mmu.setCr3(0x1000)).toBe(Status.generalProtection);
    expect(mmu.state().cr3).toBe(0x1800n);
    expect([mmu.setCr4(0), mmu.setCr3(0x1000), mmu.setCr4(PAE)]).toEqual([0, 0, Status.generalProtection]);
    expect(mmu.state().cr4).toBe(0n);
  });

  it.each(["native", "ept"] as const)(
    "a reserved bit in a PDPTE is a #GP in %s, and no exit of the load",
    (technique) => {
      const mmu = paeGuest(technique, 0x2003n);
      mmu.setCr4(PAE);
      mmu.setCr3(0x1000);
      expect(mmu.setCr0(PG_PE)).toBe(Status.generalProtection);
      expect(mmu.state().cr0 & 0x8000_0000n).toBe(0n);
      expect(exitsOf(mmu)).toEqual(technique === "ept" ? { write_cr4: 1, ept_violation: 1 } : {});
    },
  );

  it("CR0.WP and CR4.PGE are the guest's own; EFER exits when it changes", () => {
    const mmu = paeGuest("ept");
    mmu.setCr0(0x11 | WP);
    mmu.setCr0(0x11);
    mmu.setCr4(PGE);
    expect(exitsOf(mmu)).toEqual({ write_cr0: 1 });
    mmu.setEfer(0x800);
    mmu.setEfer(0x800);
    expect(exitsOf(mmu)).toEqual({ write_cr0: 1, wrmsr: 1 });
  });
});
