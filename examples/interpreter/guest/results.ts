/** What the guest leaves in its memory (layout.inc). */

const RESULTS = 0x20000;
const LOG = 0x21000;

const names = [
  "demandSum",
  "sharedSum",
  "primes",
  "userCalls",
  "spacesSum",
  "taggedSum",
  "beforeInvlpg",
  "afterInvlpg",
  "accessed",
  "dirty",
  "windowSum",
  "smapValue",
  "faults",
  "userInterrupts",
  "features",
  "keySum",
  "finished",
] as const;

export type Results = Record<(typeof names)[number], number>;

/** An exception as the guest's handler saw it. */
export interface Fault {
  vector: number;
  errorCode: number;
  cr2: string;
  rip: string;
}

export function resultsIn(memory: DataView): Results {
  const cell = (i: number) => Number(memory.getBigUint64(RESULTS + 8 * i, true));
  return Object.fromEntries(names.map((name, i) => [name, cell(i)])) as Results;
}

export function faultsIn(memory: DataView): Fault[] {
  const { faults } = resultsIn(memory);
  return Array.from({ length: faults }, (_, i) => {
    const cell = (n: number) => memory.getBigUint64(LOG + 32 * i + 8 * n, true);
    return {
      vector: Number(cell(0)),
      errorCode: Number(cell(1)),
      cr2: cell(2).toString(16),
      rip: cell(3).toString(16),
    };
  });
}
