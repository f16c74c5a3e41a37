import { BareCore, parametersOf } from "../bare/core.js";
import type { Registers, Stage2 } from "../bare/types.js";
import type { VectorCase } from "./case.js";
import type { SystemUnderTest } from "./check.js";

const CR4_PAE = 1n << 5n;
const CR4_LA57 = 1n << 12n;

export function registersOf(vector: VectorCase): Registers {
  const { cr0, cr3, cr4, efer, pkru, ac, maxphyaddr, follows } = vector;
  return { cr0, cr3, cr4, efer, pkru, pkrs: 0n, ac, maxphyaddr, vendor: follows };
}

export function stage2Of(vector: VectorCase): Stage2 {
  if (!vector.nested) return { kind: "none" };
  const { ncr3, levels, hostEfer } = vector.nested;
  const hostCr4 = CR4_PAE | (levels === 5 ? CR4_LA57 : 0n);
  return { kind: "npt", root: ncr3, levels, maxphyaddr: vector.maxphyaddr, hostEfer, hostCr4 };
}

/** The core behind the vectors' interface. */
export function coreUnderTest(nonleafAccessed: SystemUnderTest["nonleafAccessed"]): SystemUnderTest {
  let mmu: BareCore;
  let vector: VectorCase;
  return {
    nonleafAccessed,
    setup(next) {
      vector = next;
      const regs = registersOf(vector);
      const stage2 = stage2Of(vector);
      const eagerAccessed = nonleafAccessed === "eager" ? 1 : 0;
      mmu = BareCore.with(parametersOf(regs, stage2, { eagerAccessed }));
      for (const { entries } of [vector, ...(vector.nested?.paths ?? [])]) {
        for (const { hpa, before } of entries) mmu.write(hpa, before);
      }
      mmu.setState(regs, stage2);
    },
    access: () => mmu.walk(vector.gva, { kind: vector.kind, user: vector.cpl === 3, implicit: false }),
    readBack: (hpa) => mmu.read(hpa),
  };
}
