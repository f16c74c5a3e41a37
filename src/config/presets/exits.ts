import { exitReasons } from "../../generated/declarations.js";
import type { CpuConfig } from "../types.js";
import { type Cite, type Cited, cite } from "./cite.js";

/** The last round trip that was published: later generations are estimated from it. */
export const AGESEN =
  "Agesen et al., USENIX ATC 2012, table 1: Sandy Bridge 784 (Westmere 761, Nehalem 1009)";

const OPERATION = "estimate: not published; an order of magnitude, to be set from a measurement";

/**
 * Costs of exits: the hardware's round trip, and a handler by reason. `none` is the software of an exit that does
 * nothing; reasons with work of their own add to it.
 */
export function exitCosts(hardware: Cite<number>, none: Cite<number>): Cited<CpuConfig["exits"]> {
  const more = (cycles: number, what: string): Cite<number> =>
    cite(
      none.value + cycles,
      `estimate: the handler of an empty exit (${none.value}) and ${cycles} for ${what}`,
    );
  const special: Record<string, Cite<number>> = {
    page_fault: more(
      400,
      "finding what faulted; the walk, the entries and tables it writes are counted apart",
    ),
    ept_violation: more(400, "the fault path; the entries and tables it writes are counted apart"),
    ept_misconfig: more(200, "finding the device"),
    npf: more(400, "the fault path; the entries and tables it writes are counted apart"),
    hlt: more(1000, "blocking and waking the vCPU"),
    io: more(1000, "the device model"),
    interrupt: more(400, "the host's interrupt handler"),
    pml_full: more(2000, "emptying a log of 512 entries"),
  };
  return {
    hardwareCycles: hardware,
    handlerCycles: Object.fromEntries(exitReasons.map(({ name }) => [name, special[name] ?? none])),
    softwareReferenceCycles: cite(20, OPERATION),
    entryWriteCycles: cite(20, OPERATION),
    emulationCycles: cite(1000, OPERATION),
    tableAllocationCycles: cite(500, OPERATION),
  };
}
