import { describe, expect, it } from "vitest";
import { resolveConfig } from "../src/config/index.js";
import { ablations } from "../src/conform/silicon/ablations.js";
import { chase } from "../src/conform/silicon/chase.js";
import { armOf } from "../src/conform/silicon/experiments.js";

const machine = (set: readonly string[] = []) =>
  resolveConfig({ cpu: "zen5", set: ["technique=nested", "format=npt", ...set] });

function cycles(experiment: string, column: string, n: number, set: readonly string[] = []): number {
  const arm = armOf(experiment, column);
  if (typeof arm !== "object") throw new Error(`${experiment} ${column} is not replayed`);
  const { points, broken } = chase(arm, [n], machine(set));
  expect(broken).toEqual([]);
  return points[0]!.cycles;
}

/**
 * Cycles per access of the replay that the preset's structures come from, a model apart from this one, at the point
 * of each column where it is furthest from the measurement.
 */
const reference: [experiment: string, column: string, n: number, cycles: number][] = [
  ["exp1w", "2m", 18803, 87.8],
  ["exp1w", "4k_rand", 3945, 20.9],
  ["exp1w", "dense", 18803, 26.9],
  ["exp2w", "s2m_jit", 12035, 127.7],
  ["exp2w", "s32k_jit", 3945, 31.7],
  ["exp2w", "s4k", 4931, 36.7],
  ["exp4", "aliasret_s2m_jit", 7703, 152.3],
  ["exp4", "aliasret_s32k_jit", 1035, 37.4],
  ["exp4", "aliasret_s4k", 2525, 80.9],
  ["exp2w", "s1g_jit", 3945, 38.9],
  ["exp2", "s512g_jit", 25, 13.9],
  ["exp2t", "pde_T16384", 1906, 86],
  ["exp2t", "pde_T8192", 7065, 120.3],
  ["exp2t", "pdpte_T16384", 12821, 270.2],
  ["exp2t", "pdpte_T8192", 8192, 173.1],
  ["exp2t", "pml4e_T16384", 62, 280],
  ["exp2t", "pml4e_T8192", 175, 193],
  ["exp3", "stride2^12", 3245, 20.9],
  ["exp3", "stride2^13", 2064, 21.6],
  ["exp3", "stride2^14", 1646, 49.2],
  ["exp3", "stride2^15", 533, 24.5],
  ["exp3", "stride2^16", 272, 26.4],
  ["exp3", "stride2^17", 217, 48.3],
  ["exp3", "stride2^18", 140, 59.4],
  ["exp3", "stride2^19", 112, 68.9],
  ["exp3", "stride2^20", 4070, 118],
  ["exp3", "stride2^21", 6400, 164.1],
  ["exp3", "stride2^22", 140, 73.8],
  ["exp3", "stride2^24", 4070, 168.9],
  ["exp3", "stride2^27", 6400, 203.4],
  ["exp3", "stride2^30", 112, 115.1],
  ["exp1f", "4k_rand", 104, 10.9],
  ["exp2h", "compact2m", 16384, 18.4],
  ["exp2h", "huge1g", 15043, 75.8],
  ["exp2h", "huge2m", 90, 4],
  ["exp2w", "compact2m", 7703, 6.4],
  ["exp6", "2m", 32658, 46.1],
  ["exp1f", "4k_seq", 7168, 59.8],
];

/** Cycles per access that were measured on Zen 5 (minimum of all runs). */
const measured: typeof reference = [
  ["exp1f", "4k_rand", 96, 4.0],
  ["exp1f", "4k_rand", 104, 10.9],
  ["exp1f", "4k_rand", 4096, 21.6],
  ["exp1w", "2m", 2020, 21.19],
  ["exp1w", "dense", 1035, 13.9],
  ["exp2w", "compact2m", 2020, 3.98],
  ["exp2w", "s4k", 2020, 20.9],
  ["exp2w", "s4k", 36_722, 73.16],
  ["exp2w", "s2m_jit", 1616, 21.73],
  ["exp4", "aliasret_s4k", 58, 24.9],
  ["exp4", "aliasret_s4k", 1293, 30.9],
  ["exp4", "aliasret_s4k", 3156, 82.4],
];

describe("Zen 5 under nested paging", () => {
  it.each(reference)(
    "%s %s at N = %d takes the %d cycles of the reference replay",
    (experiment, column, n, its) => {
      expect(Math.abs(cycles(experiment, column, n) / its - 1)).toBeLessThan(0.025);
    },
  );

  it.each(measured)(
    "%s %s at N = %d takes the %d cycles that were measured",
    (experiment, column, n, its) => {
      expect(Math.abs(cycles(experiment, column, n) / its - 1)).toBeLessThan(0.04);
    },
  );

  it("has the walk's published cost: 52 cycles, 41 with a 2 MiB leaf, 38 with a 1 GiB leaf", () => {
    const costs = [
      cycles("exp2w", "s4k", 45_902) - 20.9,
      cycles("exp2h", "huge2m", 112) - 11,
      cycles("exp2h", "huge1g", 112) - 11,
    ];
    for (const [i, its] of [52, 41, 38].entries()) expect(Math.abs(costs[i]! - its)).toBeLessThan(2);
  });
});

/** Where a missing mechanism shows: by how much cycles per access differ from the whole machine's. */
const shown: [ablation: string, experiment: string, column: string, n: number, least: number][] = [
  ["l2-lru", "exp2w", "s4k", 4931, 0.7],
  ["l2-lru", "exp1f", "4k_rand", 4352, 0.7],
  ["pde-in-l2", "exp2w", "s1g_jit", 3945, 0.5],
  ["pde-in-l2", "exp2w", "s2m_jit", 3945, 0.5],
  ["pdpte-apart", "exp3", "stride2^30", 663, 0.15],
  ["pdpte-apart", "exp3", "stride2^27", 2525, 0.1],
  ["walker-past-l1", "exp2h", "huge2m", 112, 0.3],
  ["walker-past-l1", "exp4", "aliasret_s4k", 4931, 0.1],
  ["plain-l2-index", "exp3", "stride2^21", 1293, 0.15],
  ["plain-l2-index", "exp3", "stride2^22", 1293, 0.15],
];

describe("without one of its mechanisms", () => {
  it("is tried for each of them", () => {
    expect([...new Set(shown.map(([name]) => name))]).toEqual(Object.keys(ablations));
  });

  it.each(shown)("%s: %s %s at N = %d is another curve", (name, experiment, column, n, least) => {
    const whole = cycles(experiment, column, n);
    expect(Math.abs(cycles(experiment, column, n, ablations[name]) / whole - 1)).toBeGreaterThan(least);
  });
});
