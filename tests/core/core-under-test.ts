import type { SystemUnderTest, VectorCase } from "../reference/vectors.js";
import type { Options } from "../reference/walker.js";
import { registersOf, stage2Of } from "../reference/walker-under-test.js";
import { CoreWalker, parametersOf } from "./core-walker.js";

/** The core behind the vectors' interface. */
export function coreUnderTest(nonleafAccessed: Options["nonleafAccessed"]): SystemUnderTest {
  let walker: CoreWalker;
  let vector: VectorCase;
  return {
    nonleafAccessed,
    setup(next) {
      vector = next;
      const regs = registersOf(vector);
      const stage2 = stage2Of(vector);
      const eagerAccessed = nonleafAccessed === "eager" ? 1 : 0;
      walker = CoreWalker.with(parametersOf(regs, stage2, { eagerAccessed }));
      for (const { entries } of [vector, ...(vector.nested?.paths ?? [])]) {
        for (const { hpa, before } of entries) walker.write(hpa, before);
      }
      walker.setState(regs, stage2);
    },
    access: () => walker.walk(vector.gva, { kind: vector.kind, user: vector.cpl === 3, implicit: false }),
    readBack: (hpa) => walker.read(hpa),
  };
}
