import type { Cycles, ExitCount, Law, MachineResult, StructureCounts } from "./result.js";

/** Figures of one machine that the laws are about. */
export interface Figures {
  counters: Record<string, number>;
  references: number[][];
  walkLengths: number[];
  structures: Record<string, StructureCounts>;
  exits: ExitCount[];
  cycles: Cycles;
  /** Levels of the tables that the hardware walks, and of the second stage (0 without one). */
  levels: { guest: number; host: number };
  oracle: { mismatches: number };
}

const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0);

function equal(name: string, left: string, a: number, right: string, b: number): Law {
  return { name, holds: a === b, detail: `${left} ${a} = ${right} ${b}` };
}

/**
 * The conservation laws of design §7, for one machine: each compares figures that were counted apart from each
 * other.
 */
export function machineLaws(f: Figures): Law[] {
  const c = (name: string): number => f.counters[name] ?? 0;
  const of = (name: string): StructureCounts => f.structures[name]!;
  const laws: Law[] = [];

  laws.push(
    equal(
      "accesses by kind",
      "fetches + reads + writes",
      c("fetches") + c("reads") + c("writes"),
      "accesses",
      c("accesses"),
    ),
    equal(
      "translations",
      "accesses + page crossings + those of a kernel played",
      c("accesses") + c("pageCrossings") + c("kernelAccesses"),
      "first-level lookups and addresses refused, less faulting ones",
      of("l1d").lookups +
        of("l1i").lookups +
        of("l1s").lookups +
        c("nonCanonical") -
        c("faultsConfirmed") -
        c("faultsStale") -
        c("faultsUnconfirmed"),
    ),
  );
  for (const [name, s] of Object.entries(f.structures)) {
    if (s.lookups === 0) continue;
    const hits = s.hits4k + s.hits2m + s.hits1g;
    laws.push(equal(`${name} lookups`, "hits + misses", hits + s.misses, "lookups", s.lookups));
  }
  const firstMisses = of("l1d").misses + of("l1i").misses + of("l1s").misses;
  const second = of("l2").lookups + of("l2i").lookups;
  if (second > 0)
    laws.push(equal("second level", "second-level lookups", second, "first-level misses", firstMisses));
  const lastMisses = second > 0 ? of("l2").misses + of("l2i").misses : firstMisses;
  laws.push(
    equal(
      "walks",
      "walks",
      c("walks"),
      "misses of the last TLB + retried walks",
      lastMisses + c("walksRetried"),
    ),
    equal("walks by length", "sum by length", sum(f.walkLengths), "walks", c("walks")),
    equal("references", "sum of cells", sum(f.references.flat()), "table references", c("tableReferences")),
  );
  if (f.walkLengths.length < 64) {
    const weighted = sum(f.walkLengths.map((n, length) => n * length));
    laws.push(
      equal("references by length", "walks x length", weighted, "table references", c("tableReferences")),
    );
  }
  const lines = ["tableLinesL1", "tableLinesL2", "tableLinesL3", "tableLinesMemory"].map(c);
  if (sum(lines) > 0)
    laws.push(
      equal(
        "references by cache",
        "lines by level + hits in the page-walk cache",
        sum(lines) + c("entryCacheHits"),
        "table references",
        c("tableReferences"),
      ),
    );
  const { guest, host } = f.levels;
  const most = (guest + 1) * (host + 1) - 1;
  laws.push({
    name: "walk bound",
    holds: c("walkReferencesMax") <= most,
    detail: `longest walk ${c("walkReferencesMax")} <= (G+1)(H+1)-1 = ${most}`,
  });
  const { total, ...parts } = f.cycles;
  laws.push(
    equal("cycles", "sum of parts", sum(Object.values(parts)), "total", total),
    equal("exits by reason", "sum by reason", sum(f.exits.map((e) => e.count)), "exits", c("exits")),
    equal(
      "exit cycles",
      "sum by reason",
      sum(f.exits.map((e) => e.cycles)),
      "hardware + handlers",
      parts.exitHardware + parts.exitHandler,
    ),
    equal("oracle", "mismatches", f.oracle.mismatches, "none", 0),
  );
  return laws;
}

/** Laws across the machines of a comparison: they differ in technique and hardware, never in what the guest did. */
export function comparisonLaws(machines: readonly MachineResult[]): Law[] {
  const first = machines[0];
  if (first === undefined || machines.length < 2) return [];
  const digests = new Set(machines.map((m) => m.guestDigest));
  const sets = new Set(machines.map(({ intervals }) => intervals && JSON.stringify(intervals.workingSet)));
  return [
    {
      name: "guest digest",
      holds: digests.size === 1,
      detail: digests.size === 1 ? `all ${first.guestDigest}` : machines.map((m) => m.guestDigest).join(", "),
    },
    ...(first.intervals === undefined
      ? []
      : [
          {
            name: "working sets",
            holds: sets.size === 1,
            detail: `${sets.size} different of ${machines.length} machines`,
          },
        ]),
  ];
}
