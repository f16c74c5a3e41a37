import { canonicalColumn } from "./experiments.js";

/**
 * Median relative errors, in percent, of the replay of Zen 5's curves that the preset's structures come from: a
 * model apart from this one. Columns of the fit and columns it had not seen.
 */
const medians: Record<string, number> = {
  "exp1w 2m": 3.5,
  "exp1w 4k_rand": 4.6,
  "exp1w dense": 0.3,
  "exp2w s2m_jit": 2.7,
  "exp2w s32k_jit": 4.3,
  "exp2w s4k": 1.4,
  "exp2w s1g_jit": 2.9,
  "exp2w compact2m": 0.4,
  "exp2 s512g_jit": 0.2,
  "exp4 aliasret_s2m_jit": 0.2,
  "exp4 aliasret_s32k_jit": 9.5,
  "exp4 aliasret_s4k": 0.1,
  "exp2t pde_T16384": 1.3,
  "exp2t pde_T8192": 2.6,
  "exp2t pdpte_T16384": 2.8,
  "exp2t pdpte_T8192": 2.5,
  "exp2t pml4e_T16384": 2.9,
  "exp2t pml4e_T8192": 5.7,
  "exp3 stride2^12": 0.3,
  "exp3 stride2^13": 0.4,
  "exp3 stride2^14": 0.7,
  "exp3 stride2^15": 0.8,
  "exp3 stride2^16": 0.9,
  "exp3 stride2^17": 0.7,
  "exp3 stride2^18": 1.8,
  "exp3 stride2^19": 1.5,
  "exp3 stride2^20": 1.4,
  "exp3 stride2^21": 1.4,
  "exp3 stride2^22": 3.0,
  "exp3 stride2^24": 2.8,
  "exp3 stride2^27": 2.2,
  "exp3 stride2^30": 4.2,
  "exp1f 4k_rand": 0.6,
  "exp1f 4k_seq": 1.8,
  "exp2h compact2m": 0.5,
  "exp2h huge1g": 0.9,
  "exp2h huge2m": 2.8,
  "exp6 2m": 0.5,
};

export function publishedMedian(cpu: string, experiment: string, column: string): number | undefined {
  if (cpu !== "zen5") return undefined;
  const percent = medians[`${experiment} ${canonicalColumn(experiment, column)}`];
  return percent === undefined ? undefined : percent / 100;
}
