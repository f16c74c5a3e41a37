import type { VectorCase } from "../../src/conform/vectors/case.js";
import type { SystemUnderTest } from "../../src/conform/vectors/check.js";
import { CR4 } from "./registers.js";
import {
  type Access,
  type Options,
  PhysicalMemory,
  type Registers,
  type Stage2,
  translate,
} from "./walker.js";

/** The reference walker behind the vectors' interface. */
export function walkerUnderTest(nonleafAccessed: Options["nonleafAccessed"]): SystemUnderTest {
  let memory = new PhysicalMemory();
  let vector: VectorCase;
  return {
    nonleafAccessed,
    setup(next) {
      vector = next;
      memory = new PhysicalMemory();
      const paths = [vector, ...(vector.nested?.paths ?? [])];
      for (const { entries } of paths) {
        for (const { hpa, before } of entries) memory.write64(hpa, before);
      }
    },
    access() {
      const access: Access = { kind: vector.kind, user: vector.cpl === 3, implicit: false };
      return translate(memory, registersOf(vector), stage2Of(vector), vector.gva, access, {
        nonleafAccessed,
      });
    },
    readBack: (hpa) => memory.read64(hpa),
  };
}

export function registersOf(vector: VectorCase): Registers {
  const { cr0, cr3, cr4, efer, pkru, ac, cpl, maxphyaddr, follows } = vector;
  return { cr0, cr3, cr4, efer, pkru, pkrs: 0n, ac, cpl, maxphyaddr, vendor: follows };
}

export function stage2Of(vector: VectorCase): Stage2 {
  if (!vector.nested) return { kind: "none" };
  const { ncr3, levels, hostEfer } = vector.nested;
  const hostCr4 = CR4.PAE | (levels === 5 ? CR4.LA57 : 0n);
  return { kind: "npt", root: ncr3, levels, maxphyaddr: vector.maxphyaddr, hostEfer, hostCr4 };
}
