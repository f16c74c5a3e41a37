import type { MachineConfig } from "./config/index.js";
import type { Core } from "./core.js";

const KINDS = ["read", "write", "fetch"] as const;
/** `Outcome` of assembly/x86/fault.ts. */
const OUTCOMES = [
  "translated",
  "a page fault",
  "a general-protection fault",
  "an EPT violation",
  "an EPT misconfiguration",
  "a nested page fault",
  "a full page-modification log",
] as const;

const NOWHERE = 0xffff_ffff_ffff_ffffn;

/** The first access that contradicts the recording, in a sentence. */
export function mismatchText(core: Core, config: MachineConfig): string {
  const cells = core.cells(core.exports.mismatchAddress(), 7);
  const [event, va, found, recorded, kind, outcome, code] = Array.from(cells) as [
    bigint,
    bigint,
    bigint,
    bigint,
    bigint,
    bigint,
    bigint,
  ];
  const hex = (n: bigint) => `0x${n.toString(16)}`;
  const what = `event ${event}: the ${KINDS[Number(kind)]} at page ${hex(va)}`;
  const { plays, levels } = config.kernel;
  if (plays !== "none" && outcome !== 0n && recorded === NOWHERE)
    return `${what} is at no address of a program with page tables of ${levels} levels${levels === 4 ? " (kernel.levels=5 has more)" : ""}, or there is no memory left for it (guest.memoryMiB)`;
  const truth =
    recorded === NOWHERE ? "the recording has it succeed" : `the recording says frame ${hex(recorded)}`;
  if (outcome !== 0n) {
    const error = outcome === 1n ? ` with error code ${hex(code)}` : "";
    return `${what} ends in ${OUTCOMES[Number(outcome)]}${error}, but ${truth}`;
  }
  const where = found === NOWHERE ? "memory that is not the guest's" : `frame ${hex(found)}`;
  return `${what} is translated to ${where}, but ${truth}`;
}
