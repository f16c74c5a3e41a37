import type { Core } from "../../core.js";
import { errorFamilies, tracepoints } from "../../generated/declarations.js";

/** What KVM counts, by its own names. Zero is left out, as in the reference. */
export interface Figures {
  readonly exits: Record<string, number>;
  readonly counters: Record<string, number>;
  readonly tracepoints: Record<string, number>;
  /** Absolute, at the beginning and the end of the phase. */
  readonly gauges: Record<string, [before: number, after: number]>;
}

/** Exit reasons of the model by the names of SVM's exit codes. */
const exitNames: Record<string, string> = {
  page_fault: "PF",
  npf: "NPF",
  write_cr3: "WRITE_CR3",
  invlpg: "INVLPG",
  write_cr0: "WRITE_CR0",
  write_cr4: "WRITE_CR4",
  wrmsr: "MSR",
};

/** Counters of KVM that the model keeps. */
const counterNames = [
  "pf_taken",
  "pf_fixed",
  "pf_emulate",
  "pf_spurious",
  "pf_fast",
  "pf_mmio_spte_created",
  "pf_guest",
  "tlb_flush",
  "remote_tlb_flush_requests",
  "invlpg",
  "insn_emulation",
  "mmu_shadow_zapped",
  "mmu_pte_write",
  "mmu_pde_zapped",
  "mmu_flooded",
  "mmu_recycled",
  "mmu_cache_miss",
] as const;

export const gaugeNames = [
  "pages_4k",
  "pages_2m",
  "pages_1g",
  "mmu_unsync",
  "max_mmu_rmap_size",
  "max_mmu_page_hash_collisions",
] as const;

const ERROR_CODES = 32;

/** Everything as it stands now. */
export function takeFigures(core: Core): Figures {
  const all = core.counters();
  const exits: Record<string, number> = {};
  for (const { reason, count } of core.exits()) {
    const name = exitNames[reason];
    if (name !== undefined) exits[name] = count;
  }
  const points: Record<string, number> = {};
  const cells = core.cells(core.exports.tracepointsAddress(), tracepoints.length);
  for (const point of tracepoints) points[point.name] = Number(cells[point.value]);
  const codes = core.cells(core.exports.errorCodesAddress(), errorFamilies.length * ERROR_CODES * 2);
  for (const family of errorFamilies) {
    for (let i = 0; i < ERROR_CODES; ++i) {
      const at = (family.value * ERROR_CODES + i) * 2;
      if (codes[at + 1] === 0n) continue;
      points[`${family.name}${codes[at]!.toString(16)}`] = Number(codes[at + 1]);
    }
  }
  return {
    exits,
    counters: Object.fromEntries(counterNames.map((name) => [name, all[name]!])),
    tracepoints: points,
    gauges: Object.fromEntries(gaugeNames.map((name) => [name, [all[name]!, all[name]!]])),
  };
}

function less(after: Record<string, number>, before: Record<string, number>): Record<string, number> {
  const out: Record<string, number> = {};
  for (const [name, value] of Object.entries(after)) {
    const moved = value - (before[name] ?? 0);
    if (moved !== 0) out[name] = moved;
  }
  return out;
}

/** What a phase moved. */
export function subtract(after: Figures, before: Figures): Figures {
  return {
    exits: less(after.exits, before.exits),
    counters: less(after.counters, before.counters),
    tracepoints: less(after.tracepoints, before.tracepoints),
    gauges: Object.fromEntries(
      gaugeNames.map((name) => [name, [before.gauges[name]![1], after.gauges[name]![1]]]),
    ),
  };
}
