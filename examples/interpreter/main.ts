import { isDeepStrictEqual } from "node:util";
import { Machine, type MachineOptions, type Outcome } from "./machine.js";

/** Runs the guest in five machines, and says what each one paid. */

const machines: Record<string, MachineOptions> = {
  native: { technique: "native" },
  ept: { technique: "ept" },
  npt: { technique: "npt" },
  "ept, own hypervisor": { technique: "ept", hypervisor: "host" },
  shadow: { technique: "shadow" },
};

let first: Outcome | undefined;
for (const [name, options] of Object.entries(machines)) {
  const machine = new Machine(options);
  const outcome = machine.run();
  const { walks, tableReferences } = machine.mmu.counters();
  const exits =
    machine.hypervisor?.violations ?? machine.mmu.result().exits.reduce((sum, { count }) => sum + count, 0);
  console.log(
    `${name.padEnd(20)} ${outcome.stopped} after ${outcome.instructions} instructions, ${outcome.faults.length} exceptions; ` +
      `${walks} walks, ${tableReferences} references, ${exits} exits`,
  );
  first ??= outcome;
  if (!isDeepStrictEqual(outcome, first)) {
    console.error(`${name}: the guest saw something else than natively`);
    process.exitCode = 1;
  }
}
if (first) {
  const { primes, demandSum, beforeInvlpg, afterInvlpg } = first.results;
  console.log(
    `the guest counted ${primes} primes and summed ${demandSum} over pages it was given on demand;`,
  );
  console.log(`a changed entry showed ${beforeInvlpg} before INVLPG and ${afterInvlpg} after`);
}
