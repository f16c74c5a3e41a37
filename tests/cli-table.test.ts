import { describe, expect, it } from "vitest";
import { resolveConfig, type TechniqueName, techniqueKeys } from "../src/config/index.js";
import { counted, fixed, grouped, overhead, percent } from "../src/report/numbers.js";
import { ansi } from "../src/report/style.js";
import { comparisonTable } from "../src/report/table.js";
import type { MachineResult, Result, StructureCounts } from "../src/result.js";

const structure = (lookups: number, hits4k: number, hits2m = 0): StructureCounts => ({
  lookups,
  hits4k,
  hits2m,
  hits1g: 0,
  misses: lookups - hits4k - hits2m,
  fills: 0,
  evictions: 0,
});

function machine(name: TechniqueName, walk: number, exits: [string, number, number][] = []): MachineResult {
  const keys = techniqueKeys(name);
  const exitCycles = exits.reduce((n, [, , cycles]) => n + cycles, 0);
  const cycles = {
    issue: 2_000_000,
    tlb: 9_000,
    walk,
    walkerQueue: 0,
    data: 0,
    exitHardware: 0,
    exitHandler: exitCycles,
  };
  return {
    technique: keys.technique,
    format: keys.format ?? null,
    config: { ...resolveConfig(), ...keys },
    counters: {
      accesses: 2_000_000,
      walks: 1_000,
      walksFaulted: exits.length * 5,
      tableReferences: walk / 10,
      walkReferencesMax: 4,
      exits: exits.reduce((n, [, count]) => n + count, 0),
    },
    references: [],
    walkLengths: [],
    structures: {
      l1d: structure(1_200_000, 1_100_000, 98_000),
      l1i: structure(800_000, 800_000),
      l2: structure(2_000, 1_000),
      l2i: structure(0, 0),
    },
    exits: exits.map(([reason, count, c]) => ({ reason, count, cycles: c })),
    cycles: { total: 2_009_000 + walk + exitCycles, ...cycles },
    laws: [{ name: "walks", holds: true, detail: "walks 1000 = misses 1000" }],
    oracle: { checked: 2_000_000, unknown: 0, mismatches: 0 },
    guestDigest: "0123456789abcdef",
  };
}

function result(...machines: MachineResult[]): Result {
  const digest = { name: "guest digest", holds: true, detail: "all 0123456789abcdef" };
  return {
    schema: 1,
    nestwalk: "0.0.0",
    trace: {
      file: "guest.nwt",
      sha256: "",
      streamSha256: "1".repeat(64),
      format: "nwt",
      accesses: 2_000_000,
      events: 2_000_100,
      recorded: { guest: "Debian 12", program: "sort", kernel: "Linux 6.1" },
    },
    config: {},
    machines,
    laws: machines.length > 1 ? [digest] : [],
  };
}

const native = machine("native", 20_000);
const ept = machine("ept", 100_000, [
  ["cpuid", 1, 1_500],
  ["ept_violation", 12, 24_000],
]);

describe("the comparison table", () => {
  it("puts the machines side by side", () => {
    expect(comparisonTable(result(native, ept))).toEqual([
      "guest.nwt: 2,000,000 accesses, 2,000,100 events",
      "sort (Debian 12, Linux 6.1)",
      "CPU skylake-sp, ept; host pages of 4k; page-table lines cached, data accesses not; window 1",
      "",
      "                                 native        ept",
      "accesses                      2,000,000  2,000,000",
      "TLB hits",
      "  L1D                           99.83 %    99.83 %",
      "  L1I                          100.00 %   100.00 %",
      "  L2                            50.00 %    50.00 %",
      "page walks                        1,000      1,000",
      "  faulted or exited                   0         10",
      "  per 1,000 accesses              0.500      0.500",
      "references per walk, mean          2.00      10.00",
      "references per walk, maximum          4          4",
      "VM exits                              0         13",
      "  ept_violation                       0         12",
      "  cpuid                               0          1",
      "cycles                        2,029,000  2,134,500",
      "  per access                      1.014      1.067",
      "    issue                         1.000      1.000",
      "    second-level TLB              0.004      0.004",
      "    page walks                    0.010      0.050",
      "    exits, hypervisor                 -      0.013",
      "overhead against native               -     +5.2 %",
      "",
      "Conservation laws: all 3 hold.",
      "Oracle: 2,000,000 accesses checked against the recorded mapping, 0 mismatches in every machine.",
    ]);
  });

  it("needs no second machine", () => {
    const lines = comparisonTable(result(native));
    expect(lines.some((line) => line.startsWith("overhead"))).toBe(false);
    expect(lines.at(-1)).toBe(
      "Oracle: 2,000,000 accesses checked against the recorded mapping, 0 mismatches.",
    );
  });

  it("leaves out what is nothing in every machine", () => {
    const labels = comparisonTable(result(native)).map((line) => line.slice(0, 28).trim());
    expect(labels).toContain("page walks");
    for (const nothing of ["VM exits", "faulted or exited", "exits, hypervisor", "waiting for a walker"])
      expect(labels).not.toContain(nothing);
  });

  it("shows no rate of a TLB that is not there", () => {
    const config = { ...ept.config, tlb: { ...ept.config.tlb, l2: [] } };
    const without = {
      ...ept,
      config,
      structures: { ...ept.structures, l2: structure(2_000, 0), l1i: structure(0, 0) },
    };
    const lines = comparisonTable(result(native, without));
    expect(lines.find((line) => line.startsWith("  L2 "))).toBe(
      "  L2                            50.00 %          -",
    );
    expect(lines.find((line) => line.startsWith("  L1I "))).toBe(
      "  L1I                          100.00 %          -",
    );
  });

  it("puts four techniques side by side in 80 columns", () => {
    const large = (name: TechniqueName) => {
      const one = machine(name, 20_000);
      one.cycles.total = 123_456_789;
      return one;
    };
    const four = result(large("native"), large("shadow"), large("ept"), large("npt"));
    const lines = comparisonTable(four, { width: 80 });
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(80);
    expect(lines.some((line) => /native +shadow +ept +npt$/.test(line))).toBe(true);
    expect(lines.some((line) => line.startsWith("CPU skylake-sp, ept and npt; host pages of 4k; "))).toBe(
      true,
    );
  });

  it("says what is cached", () => {
    const said = (caches: Partial<MachineResult["config"]["caches"]>) => {
      const config = { ...native.config, caches: { ...native.config.caches, ...caches } };
      return comparisonTable(result({ ...native, config }))[2];
    };
    const line = (what: string) => `CPU skylake-sp; host pages of 4k; ${what}; window 1`;
    expect(said({})).toBe(line("page-table lines cached, data accesses not"));
    expect(said({ data: true })).toBe(line("page-table lines cached, data accesses too"));
    expect(said({ enabled: false })).toBe(line("no caches, 30 cycles a reference"));
  });

  it("says what a trace is of, whatever its header holds", () => {
    const heading = (recorded: Record<string, unknown>, format = "nwt") => {
      const one = result(native);
      one.trace = { ...one.trace, file: "a\x1b[2J\nb", format, recorded };
      const lines = comparisonTable(one);
      return lines.slice(
        0,
        lines.findIndex((line) => line.startsWith("CPU")),
      );
    };
    const first = "a\\x1b[2J\\nb: 2,000,000 accesses, 2,000,100 events";
    expect(heading({})).toEqual([first]);
    expect(heading({ program: { name: "ls" }, guest: 3 })).toEqual([first, '{"name":"ls"} (3)']);
    expect(heading({ program: "l\x07s\n", kernel: "6.1" })).toEqual([first, "l\\x07s\\n (6.1)"]);
    expect(heading({ tables: false, program: "ls" }, "lackey")).toEqual([
      first,
      "ls",
      "imported from lackey",
    ]);
    expect(heading({ tables: false, source: { format: "champsim", header: {} } })).toEqual([
      first,
      "imported from champsim",
    ]);
    expect(heading({ program: "x ".repeat(5000) }).join("").length).toBeLessThan(600);
  });

  it("stays within the width, and puts what does not fit below", () => {
    const many = result(...Array.from({ length: 9 }, () => ept));
    for (const width of [60, 80, 100, 200, 0, undefined]) {
      const lines = comparisonTable(many, { width });
      expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(Math.min(width || 100, 100));
      const shown = lines.filter((line) => line.trim().startsWith("ept ") || line.trim() === "ept");
      expect(shown.join(" ").match(/\bept\b/g)).toHaveLength(9);
    }
  });

  it("names what is broken", () => {
    const bad: MachineResult = {
      ...ept,
      laws: [{ name: "walks", holds: false, detail: "walks 7 = misses 8" }],
      oracle: { checked: 5, unknown: 2, mismatches: 1, first: "event 9: the read at page 0x400000" },
    };
    const lines = comparisonTable(result(native, bad));
    expect(lines.slice(lines.indexOf("Conservation laws: 1 of 3 broken."))).toEqual([
      "Conservation laws: 1 of 3 broken.",
      "  ept: walks: walks 7 = misses 8",
      "Oracle, native: 2,000,000 accesses checked against the recorded mapping, 0 mismatches.",
      "Oracle, ept: 5 accesses checked against the recorded mapping, 1 mismatch; 2 without a recorded",
      "mapping.",
      "  first mismatch of ept: event 9: the read at page 0x400000",
    ]);
  });

  it("is the same text under its colours", () => {
    const painted = comparisonTable(result(native, ept), { paint: ansi });
    // biome-ignore lint/suspicious/noControlCharactersInRegex: escapes are what is taken away
    expect(painted.map((line) => line.replace(/\x1b\[\d+m/g, ""))).toEqual(
      comparisonTable(result(native, ept)),
    );
  });
});

describe("numbers", () => {
  it("are grouped and rounded the same everywhere", () => {
    expect([grouped(0), grouped(999), grouped(1_000), grouped(12_345_678)]).toEqual([
      "0",
      "999",
      "1,000",
      "12,345,678",
    ]);
    expect([fixed(1234.5678, 2), fixed(0.0004, 3), fixed(2, 0)]).toEqual(["1,234.57", "0.000", "2"]);
    expect([percent(1, 8), percent(0, 0), percent(1, 1)]).toEqual(["12.50 %", "-", "100.00 %"]);
    expect([
      overhead(150, 100),
      overhead(75, 100),
      overhead(100, 100),
      overhead(1, 0),
      overhead(9999, 10000),
    ]).toEqual(["+50.0 %", "-25.0 %", "0.0 %", "-", "0.0 %"]);
    expect([counted(1, "byte"), counted(2, "byte"), counted(1000, "match", "matches")]).toEqual([
      "1 byte",
      "2 bytes",
      "1,000 matches",
    ]);
  });
});
