import { describe, expect, it } from "vitest";
import type { Figures } from "../src/conform/kvm/figures.js";
import { modes, type Params, type RigOptions } from "../src/conform/kvm/machine.js";
import { Rig } from "../src/conform/kvm/rig.js";
import { aged, forked, lives, sparse, switched, unmapped } from "./shadow/workloads.js";

/*
 * Equalities that hold in every recorded phase, whatever the guest does. The recorded counters themselves are checked
 * by `npm run conform -- kvm`.
 */

const workloads: Record<string, [text: string, params: Params]> = {
  "the host takes pages away at once, and they are read": [unmapped(256, 0, false), {}],
  "the host takes every second page away, and they are written": [unmapped(64, 1, true), {}],
  "one page in each 2 MiB": [sparse(200), {}],
  "one page in each 2 MiB, few shadow pages": [sparse(200), { limit: 64 }],
  "accessed flags cleared, INVLPG": [aged(64, true), {}],
  "accessed flags cleared, CR3 reload": [aged(64, false), {}],
  "fork and copy on write": [forked(64), {}],
  "address spaces with PCIDs": [switched(5, 16, false), { pcid: 2 }],
  "address spaces with PCIDs that do not flush": [switched(5, 16, true), { pcid: 1 }],
  "random lives": [lives(150, 1), {}],
  "random lives on large host pages": [lives(150, 2), { thp: 1 }],
  "random lives with few shadow pages": [lives(150, 3), { limit: 64 }],
};

const machines: [string, Omit<RigOptions, "params">][] = modes.flatMap((mode) =>
  ["6.1", "6.12"].map((kernel): [string, Omit<RigOptions, "params">] => [
    `${mode} ${kernel}`,
    { mode, kernel },
  ]),
);

function sum(figures: Readonly<Record<string, number>>, pattern: RegExp): number {
  return Object.entries(figures).reduce((total, [name, n]) => (pattern.test(name) ? total + n : total), 0);
}

function checkLaws(phase: string, mode: string, { exits, counters, tracepoints, gauges }: Figures): void {
  const c = (name: string) => counters[name] ?? 0;
  const t = (name: string) => tracepoints[name] ?? 0;
  const x = (name: string) => exits[name] ?? 0;
  const law = (name: string, left: number, right: number) => expect(left, `${phase}: ${name}`).toBe(right);
  const outcomes = c("pf_fixed") + c("pf_emulate") + c("pf_spurious") + c("pf_guest");
  law("pf_taken = PF + NPF", c("pf_taken"), x("PF") + x("NPF"));
  /* Each HOSTUNMAP is an exit beside that of END; what else the host takes away is the zero page, under a retried fault. */
  law("retries", c("pf_taken") - outcomes, t("unmap_hva_range") - (x("IOIO") - 1));
  law("insn_emulation", c("insn_emulation"), x("WRITE_CR3") + x("INVLPG") + c("pf_emulate"));
  law("emulate_insn", t("emulate_insn"), c("insn_emulation"));
  law("invlpg", c("invlpg"), x("INVLPG"));
  if (mode !== "nested") law("mmu_cache_miss", c("mmu_cache_miss"), sum(tracepoints, /^sp_created_/));
  law("mmu_shadow_zapped", c("mmu_shadow_zapped"), sum(tracepoints, /^sp_zapped_/));
  law("mmu_unsync", gauges.mmu_unsync![1] - gauges.mmu_unsync![0], t("sp_unsynced_L1") - t("sp_synced_L1"));
  law("page_fault_err", sum(tracepoints, /^page_fault_err/), c("pf_taken"));
  expect(c("tlb_flush"), phase).toBeLessThanOrEqual(c("remote_tlb_flush_requests") + x("WRITE_CR3"));
  if (mode !== "shadow") return;
  law("walk_err2", t("walk_err2"), t("page_fault_err2") + c("pf_emulate"));
  law("walk_err10", t("walk_err10"), t("page_fault_err10") + c("insn_emulation"));
  law("pf_guest", c("pf_guest"), sum(tracepoints, /^walker_error_err/));
}

describe.each(Object.entries(workloads))("%s", (_, [text, params]) => {
  it.each(machines)("%s", (__, options) => {
    let phases = 0;
    new Rig({ ...options, params }).replay(text, (phase, figures) => {
      ++phases;
      checkLaws(phase, options.mode, figures);
    });
    expect(phases).toBe(text.match(/^BEGIN/gm)!.length);
  });
});

/** Figures of one phase under shadow paging. */
function figuresOf(
  text: string,
  wanted: string,
  kernel = "6.1",
  params: Params = {},
  mode: RigOptions["mode"] = "shadow",
): Figures {
  let found: Figures | undefined;
  new Rig({ mode, kernel, params }).replay(text, (phase, figures) => {
    if (phase === wanted) found = figures;
  });
  return found!;
}

it("a page that the host took away costs a read one fault, and the write after it two", () => {
  const touch = figuresOf(unmapped(64, 0, false), "touch");
  expect(touch.counters).toMatchObject({ pf_taken: 32, pf_fixed: 32 });
  const write = figuresOf(unmapped(64, 0, false), "write");
  expect(write.counters).toMatchObject({ pf_taken: 64, pf_fixed: 32, remote_tlb_flush_requests: 32 });
  expect(write.tracepoints).toMatchObject({ page_fault_err3: 32, page_fault_err2: 32, unmap_hva_range: 32 });
});

it.each([
  ["6.1", "fast_page_fault_err7"],
  ["6.12", "fast_page_fault_err100000007"],
])("Linux %s names the fault of the zero page %s under nested paging", (kernel, name) => {
  const write = figuresOf(unmapped(64, 0, false), "write", kernel, {}, "nested");
  expect(write.counters).toMatchObject({ pf_taken: 64, pf_fixed: 32 });
  expect(write.counters).not.toHaveProperty("pf_fast");
  expect(write.tracepoints).toMatchObject({
    [name]: 32,
    page_fault_err100000007: 32,
    page_fault_err100000006: 32,
  });
});

it("a fork costs one fault for each page that the child copies, reflected into it", () => {
  const child = figuresOf(forked(64), "child");
  expect(child.counters).toMatchObject({ pf_guest: 64, invlpg: 64 });
});

it("a limit makes every pass over many tables recycle", () => {
  const second = figuresOf(sparse(200), "t2", "6.1", { limit: 64 });
  expect(second.counters.mmu_recycled).toBeGreaterThan(150);
  expect(figuresOf(sparse(200), "t2").counters).toEqual({});
});
