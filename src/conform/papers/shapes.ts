import { join } from "node:path";
import { compare } from "../../compare.js";
import { resolveConfig } from "../../config/index.js";
import { openFile } from "../../node.js";
import type { MachineResult } from "../../result.js";
import { openTrace } from "../../trace/index.js";
import { type Check, exact } from "./check.js";

/** Orderings that papers report, on recorded guests. */

const AGILE = "Gandhi et al., Agile Paging, ISCA 2016, section VII";
const DEGREES = "Gandhi et al., Agile Paging, ISCA 2016, table II";
const SHSP = "Wang et al., SHSP, VEE 2011";
const VMWARE = "VMware, Performance Evaluation of Intel EPT Hardware Assist, 2009, and AMD RVI, 2008";
const BHARGAVA = "Bhargava et al., ASPLOS 2008";
const SAGE = "SagePTE artifact, parse_walk_stats.py";
const PVM = "Huang et al., PVM, SOSP 2023, table 2";
const FPT = "Park et al., Every Walk's a Hit, ASPLOS 2022";

const withoutHostCaches = ["hostPde", "hostPdpte", "hostPml4e", "hostPml5e"].map(
  (cache) => `psc.${cache}.place=none`,
);
const machines = {
  native: ["technique=native"],
  shadow: ["technique=shadow"],
  nested: ["technique=nested"],
  nestedLarge: ["technique=nested", "host.page=2m"],
  noNestedTlb: ["technique=nested", "psc.nested.place=none"],
  noHostCaches: ["technique=nested", "psc.nested.place=none", ...withoutHostCaches],
} as const;
type Machines = Record<keyof typeof machines, MachineResult>;

/** Guests that hardly edit their tables, that edit and switch them much, and that miss the TLB on much memory. */
const quiet = ["sqlite"];
const busy = ["pipe-pti", "forkexec", "pcid"];
const missing = ["bfs-thp", "hugepages"];

async function replay(folder: string, name: string): Promise<Machines> {
  const trace = await openTrace(await openFile(join(folder, `${name}.nwt`)));
  const configs = Object.values(machines).map((set) => resolveConfig({ set: [...set] }));
  const { machines: results } = await compare(trace, configs);
  for (const result of results)
    for (const law of result.laws)
      if (!law.holds) throw new Error(`${name}, ${result.technique}: ${law.name}: ${law.detail}`);
  return Object.fromEntries(Object.keys(machines).map((key, i) => [key, results[i]!])) as Machines;
}

const total = (m: MachineResult) => m.cycles.total;
const perWalk = (m: MachineResult) => m.counters.tableReferences! / m.counters.walks!;

/** Figures that must rise from the left to the right. */
function rising(what: string, figures: Record<string, number>, source: string): Check {
  const names = Object.keys(figures);
  const values = Object.values(figures);
  return {
    what,
    expected: names.join(" < "),
    found: Object.entries(figures)
      .map(([name, value]) => `${name} ${Number.isInteger(value) ? value : value.toFixed(2)}`)
      .join(", "),
    passed: values.every((value, i) => i === 0 || values[i - 1]! < value),
    source,
  };
}

function within(what: string, value: number, low: number, high: number, source: string): Check {
  return {
    what,
    expected: `${low} to ${high}`,
    found: value.toFixed(2),
    passed: value >= low && value <= high,
    source,
  };
}

export async function shapeChecks(folder: string): Promise<Check[]> {
  const results = new Map<string, Machines>();
  for (const name of [...quiet, ...busy, ...missing]) results.set(name, await replay(folder, name));
  const of = (name: string) => results.get(name)!;
  const checks: Check[] = [];
  for (const [name, levels] of [
    ["sqlite", 4],
    ["la57", 5],
  ] as const) {
    const found = (results.get(name) ?? (await replay(folder, name))).shadow.counters.walkReferencesMax!;
    checks.push(exact(`${name}, full shadow degree: most references of a walk`, levels, found, DEGREES));
  }
  for (const name of quiet) {
    const { native, shadow, nested } = of(name);
    const figures = { native: total(native), shadow: total(shadow), nested: total(nested) };
    checks.push(rising(`${name}, few updates of tables: cycles`, figures, AGILE));
  }
  for (const name of busy) {
    const { native, shadow, nested } = of(name);
    const figures = { native: total(native), nested: total(nested), shadow: total(shadow) };
    checks.push(rising(`${name}, many updates of tables: cycles`, figures, AGILE));
  }
  const wins = [...results.values()].filter((m) => total(m.shadow) < total(m.nested)).length;
  checks.push(
    within(
      `guests of ${results.size} on which shadow is cheaper than nested: not all, not none`,
      wins,
      1,
      results.size - 1,
      SHSP,
    ),
  );
  for (const name of missing) {
    const { native, shadow, nested, nestedLarge } = of(name);
    const figures = { shadow: perWalk(shadow), nested: perWalk(nested) };
    checks.push(rising(`${name}, many TLB misses: references of a walk`, figures, VMWARE));
    const cycles = { native: total(native), "nested on 2M": total(nestedLarge), nested: total(nested) };
    checks.push(rising(`${name}, large pages in the hypervisor too: cycles`, cycles, VMWARE));
  }
  for (const [name, m] of results) checks.push(...cachesOfTheSecondStage(name, m));
  for (const [name, m] of results) {
    checks.push(
      within(`${name}, native: references of a walk (1.5 measured)`, perWalk(m.native), 1, 2.5, FPT),
    );
    checks.push(within(`${name}, nested: references of a walk (4.4 measured)`, perWalk(m.nested), 2, 6, FPT));
  }
  for (const name of ["pipe-pti", "pcid"]) {
    const { shadow, nested } = of(name);
    const writes = (m: MachineResult) => m.exits.find((e) => e.reason === "write_cr3")?.count ?? 0;
    /* The first load is the guest's initial state. */
    const loads = shadow.counters.cr3Loads! - 1;
    const what = `${name}, page-table isolation: exits for loads of CR3`;
    checks.push(within(`${what}, shadow`, writes(shadow), loads, loads, PVM));
    checks.push(within(`${what}, nested`, writes(nested), 0, 0, PVM));
  }
  return checks;
}

function cachesOfTheSecondStage(name: string, m: Machines): Check[] {
  const walk = (result: MachineResult) => result.cycles.walk;
  const tableRows = (result: MachineResult) =>
    result.references.slice(2, 5).reduce((sum, row) => sum + row.slice(1).reduce((a, b) => a + b, 0), 0);
  const final = m.nested.references[0]!;
  return [
    rising(
      `${name}, caches of the second stage: cycles in walks`,
      { both: walk(m.nested), "no nested TLB": walk(m.noNestedTlb), none: walk(m.noHostCaches) },
      BHARGAVA,
    ),
    within(
      `${name}, share of second-stage references for guest levels 2 to 4 that a nested TLB leaves`,
      tableRows(m.nested) / tableRows(m.noNestedTlb),
      0,
      0.5,
      BHARGAVA,
    ),
    rising(
      `${name}, references of the final second-stage walk by host level`,
      { "levels 4 and 3": (final[4]! + final[3]!) / 2, "level 2": final[2]!, "level 1": final[1]! },
      SAGE,
    ),
  ];
}
