import { describe, expect, it } from "vitest";
import { Access, explanationText, Status } from "../src/embed/index.js";
import { A, D, Guest, MIB, P, RW, US } from "./embed/guest.js";

const VA = 0x7f12_3456_7000n;
const ram = (g: Guest) => Buffer.from(g.mmu.memory.buffer, g.base, 16 * MIB);

describe("a host's mmu.explain", () => {
  it("says what translate would do, and does nothing", () => {
    const fed: unknown[] = [];
    const g = new Guest({ onInvalidate: (what) => fed.push(what) }, 4 * MIB);
    const root = g.table();
    const leaf = g.map(root, VA, 0x5000);
    g.start(root);
    fed.length = 0;
    const content = Buffer.from(ram(g));
    const before = [g.mmu.counters(), g.mmu.structures(), g.mmu.cycles];
    const explained = g.mmu.explain(VA + 8n, Access.write | Access.user);
    const cold = g.mmu.explain(VA + 8n, Access.write | Access.user, { cold: true });
    expect(explained.accesses[0]!.outcome.kind).toBe("translated");
    expect(explained.totals.references).toBe(4);
    expect(cold.totals.references).toBe(4);
    expect(explained.steps.flatMap((s) => (s.kind === "flags" ? [`${s.name} ${s.set}`] : []))).toEqual([
      "PML4E A",
      "PDPTE A",
      "PDE A",
      "PTE A,D",
    ]);
    expect([g.mmu.counters(), g.mmu.structures(), g.mmu.cycles]).toEqual(before);
    expect(ram(g).equals(content)).toBe(true);
    expect(fed).toEqual([]);

    expect(g.go(VA + 8n, Access.write | Access.user)).toBe(Status.ok);
    expect(g.mmu.physical).toBe(0x5008);
    expect(ram(g).readBigUInt64LE(leaf)).toBe(0x5000n | P | RW | US | A | D);
    expect(explained.accesses[0]!.translation).toMatchObject({ gpa: "0x5008", hpa: "0x5008", dirty: true });
    expect(explanationText(g.mmu.explain(VA, Access.read)).slice(-2)).toEqual([
      "L1D TLB: hit (4k page, RWX user dirty)",
      "translated: 0x7f1234567000 -> 0x5000; page 4k; user, writable, executable, dirty",
    ]);
  });

  it("begins at the stores' own TLB where there is one", () => {
    const { mmu } = new Guest({ cpu: "golden-cove" });
    const lines = explanationText(mmu.explain(0x5000n, Access.write));
    expect(lines.filter((line) => line.includes("TLB"))).toEqual([
      "L1D TLB for stores: miss",
      "L2 TLB: miss, 7 cycles",
      "filled: L2 TLB (1g), L1D TLB for stores (1g)",
    ]);
    expect(mmu.explain(0x5000n, Access.write).accesses).toMatchObject([{ kind: "write", va: "0x5000" }]);
  });

  it("says why a fault is one", () => {
    const g = new Guest();
    const root = g.table();
    g.map(root, VA, 0x5000, P);
    g.start(root);
    const { outcome } = g.mmu.explain(VA, Access.read | Access.user).accesses[0]!;
    expect(outcome.text).toBe(
      "page fault, error code 0x5 (P, U/S): the page is the supervisor's: U/S is clear in PTE",
    );
    expect(g.go(VA, Access.read | Access.user)).toBe(Status.pageFault);
    expect(`0x${g.mmu.errorCode.toString(16)}`).toBe(outcome.errorCode!.value);
  });

  it.each(["ept", "shadow"] as const)(
    "with the model as the hypervisor of a %s guest gives no memory",
    (technique) => {
      const g = new Guest({ technique, hypervisor: "model" });
      const root = g.table();
      g.map(root, VA, 0x5000);
      g.start(root);
      g.go(VA, Access.read);
      const before = g.mmu.counters();
      const other = g.mmu.explain(VA + 0x40_0000_0000n, Access.read);
      expect(other.accesses[0]!.outcome.kind).toMatch(/pageFault|eptViolation/);
      expect(g.mmu.counters()).toEqual(before);
      expect(g.go(VA, Access.write)).toBe(Status.ok);
    },
  );
});
