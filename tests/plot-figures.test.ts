import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, it } from "vitest";
import { type Explanation, explainTrace } from "../src/explain/index.js";
import type { Intervals } from "../src/intervals.js";
import { openFile } from "../src/node/files.js";
import {
  crossingsOf,
  crossoverFigure,
  cyclesFigure,
  exitsFigure,
  explainedWalkFigure,
  type Figure,
  intervalsFigure,
  linesFigure,
  machineNames,
  pageColors,
  palette,
  referencesFoundFigure,
  resultFigures,
  type Sweep,
  tableUpdateRate,
  techniqueStyle,
  template,
  tlbHitRate,
  uniqueIds,
  varyFigures,
  walkGridFigure,
  walkLengthsFigure,
  withoutTitle,
  withTheme,
} from "../src/plot/index.js";
import { merged } from "../src/plot/intervals.js";
import type { Result } from "../src/result.js";
import { openTrace } from "../src/trace/index.js";
import { configOf, fixtureResult, updatesResult } from "./plot/results.js";

type Trace = Record<string, unknown> & { x: number[]; y: never[]; name: string; customdata: number[] };
const traces = (figure: Figure) => figure.data as Trace[];
const named = (figure: Figure, name: string) => traces(figure).find((trace) => trace.name === name)!;

let guest: Result;
let five: Result;
beforeAll(async () => {
  guest = await fixtureResult("redis");
  five = await fixtureResult("la57-fork", ["native", "ept"], "host.levels=5");
});

describe("where the cycles go", () => {
  it("stacks each machine's parts per access, without those of issuing", () => {
    const figure = cyclesFigure(guest);
    const walks = named(figure, "page walks");
    expect(walks.y).toEqual(["native", "shadow", "ept", "npt"]);
    expect(walks.x).toEqual(guest.machines.map((m) => m.cycles.walk / m.counters.accesses!));
    expect(walks.customdata).toEqual(guest.machines.map((m) => m.cycles.walk));
    expect(traces(figure).map(({ name }) => name)).toEqual([
      "second-level TLB",
      "page walks",
      "exits, hardware",
      "exits, hypervisor",
    ]);
    expect(figure.table.rows.map((row) => row.slice(0, 3))).toEqual(
      guest.machines.map((m, i) => [
        ["native", "shadow", "ept", "npt"][i],
        m.cycles.total,
        m.cycles.total / m.counters.accesses!,
      ]),
    );
  });

  it("stacks every part in percent of native's cycles when asked to", () => {
    const figure = cyclesFigure(guest, { parts: "all" });
    const native = guest.machines[0]!.cycles.total;
    for (const [i, machine] of guest.machines.entries()) {
      const sum = traces(figure).reduce((total, { x }) => total + x[i]!, 0);
      expect(sum).toBeCloseTo((100 * machine.cycles.total) / native, 9);
    }
    expect(named(figure, "issue").customdata).toEqual(guest.machines.map((m) => m.cycles.issue));
  });

  it("says what is seen in its title", () => {
    const [native, shadow, ept] = guest.machines.map((m) => m.cycles.total) as [number, number, number];
    const { title } = cyclesFigure(guest);
    expect(title).toContain(`${(shadow / native).toFixed(2)}×`);
    expect(title).toContain(`${(ept / native).toFixed(2)}×`);
    expect(cyclesFigure({ ...guest, machines: guest.machines.slice(1, 2) }).title).toMatch(
      /^shadow: \d+\.\d\d cycles per access$/,
    );
  });
});

describe("references per walk", () => {
  it("is the share of walks by length, for each machine", () => {
    const figure = walkLengthsFigure(guest);
    for (const machine of guest.machines) {
      const name = machine.format ?? machine.technique;
      expect(named(figure, name).customdata).toEqual(machine.walkLengths);
      const walks = machine.counters.walks!;
      expect(named(figure, name).y).toEqual(machine.walkLengths.map((n) => (100 * n) / walks));
    }
    expect(figure.table.rows.map(([n]) => n)).toEqual(figure.table.rows.map((_, i) => i));
  });
});

describe("the grid of a walk", () => {
  it("has five guest levels and five host levels where the guest and the host have them", () => {
    const ept = five.machines[1]!;
    const [heat] = walkGridFigure(ept).data as { z: (number | null)[][]; customdata: number[][] }[];
    expect(heat!.z.map((row) => row.length)).toEqual([6, 6, 6, 6, 6, 6]);
    expect(heat!.customdata.map((row) => [...row].reverse()).reverse()).toEqual(ept.references);
    expect(heat!.z[5]![5]).toBeNull();
    expect(heat!.z[0]![5]).toBe(ept.references[5]![0]! / ept.counters.walks!);
  });

  it("is one column where there is no second stage", () => {
    const [heat] = walkGridFigure(guest.machines[0]!).data as { z: number[][] }[];
    expect(heat!.z).toEqual(
      [4, 3, 2, 1].map((g) => [guest.machines[0]!.references[g]![0]! / guest.machines[0]!.counters.walks!]),
    );
  });
});

describe("where references were found", () => {
  it("sums to the references per walk", () => {
    const figure = referencesFoundFigure(guest);
    for (const [i, { counters }] of guest.machines.entries()) {
      const sum = traces(figure).reduce((total, { customdata }) => total + customdata[i]!, 0);
      expect(sum).toBe(counters.tableReferences);
      expect(named(figure, "L1D").x[i]).toBe(counters.tableLinesL1! / counters.walks!);
    }
  });

  it("is left out where caches are not modelled", async () => {
    const flat = await fixtureResult("redis", ["ept"], "caches.enabled=false");
    expect(resultFigures(flat).map(({ id }) => id)).toEqual(["cycles", "exits", "walk-lengths", "walk-ept"]);
  });
});

describe("exits by reason", () => {
  it("has a bar for each reason of each machine, counts and cycles", () => {
    const figure = exitsFigure(guest);
    for (const machine of guest.machines.slice(1)) {
      const own = traces(figure).filter(({ name }) => name === (machine.format ?? machine.technique));
      const happened = machine.exits.filter(({ count }) => count > 0);
      const by = (values: number[], reasons: unknown[]) =>
        Object.fromEntries(reasons.map((reason, i) => [reason, values[i]]));
      expect(by(own[0]!.x, own[0]!.customdata)).toEqual(
        Object.fromEntries(happened.map(({ reason, count }) => [reason, count])),
      );
      expect(by(own[1]!.x, own[1]!.customdata)).toEqual(
        Object.fromEntries(happened.map(({ reason, cycles }) => [reason, cycles])),
      );
    }
  });

  it("says so when there are none", () => {
    const native = { ...guest, machines: guest.machines.slice(0, 1) };
    expect(exitsFigure(native)).toMatchObject({ title: "No VM exits", data: [], table: { rows: [] } });
    expect(resultFigures(native).map(({ id }) => id)).not.toContain("exits");
  });
});

describe("varied keys", () => {
  it("are the x axis; another key makes figures of its own", () => {
    const at = (entries: number, page: string) => ({
      at: { "tlb.l2.0.entries": entries, "host.page": page },
      result: guest,
    });
    const sweep: Sweep = {
      axes: [
        { key: "tlb.l2.0.entries", values: [64, 512, 4096] },
        { key: "host.page", values: ["4k", "2m"] },
      ],
      points: [at(64, "4k"), at(64, "2m"), at(512, "4k"), at(512, "2m"), at(4096, "4k"), at(4096, "2m")],
    };
    const figures = varyFigures(sweep);
    expect(figures.map(({ id }) => id)).toEqual(["vary-tlb-l2-0-entries", "vary-tlb-l2-0-entries-2"]);
    const cost = traces(figures[0]!)[2]!;
    expect([cost.name, cost.x]).toEqual(["ept", [64, 512, 4096]]);
    const ept = guest.machines[2]!;
    expect(cost.y).toEqual([1, 2, 3].map(() => ept.cycles.total / ept.counters.accesses!));
    expect(figures[0]!.layout.xaxis).toMatchObject({ type: "log", tickvals: [64, 512, 4096] });
    expect(figures[0]!.table.rows).toHaveLength(12);
    expect(figures[1]!.alt).toContain("host.page=2m");
  });

  it("that are names stand side by side", () => {
    const points = ["4k", "2m"].map((page) => ({ at: { "host.page": page }, result: guest }));
    const [figure] = varyFigures({ axes: [{ key: "host.page", values: ["4k", "2m"] }], points });
    expect(figure!.layout.xaxis).toMatchObject({ type: "category" });
    expect(traces(figure!)[0]!.x).toEqual(["4k", "2m"]);
  });

  it("count a TLB hit at either level", () => {
    const { structures } = guest.machines[0]!;
    const first = structures.l1d!.lookups + structures.l1i!.lookups;
    expect(tlbHitRate(guest.machines[0]!)).toBe(
      100 * (1 - (structures.l2!.misses + structures.l2i!.misses) / first),
    );
  });
});

describe("shadow against nested paging", () => {
  it("is drawn by the rate at which the guest changed its tables", async () => {
    const results = [];
    for (const rate of [20_000, 0, 5_000])
      results.push(await updatesResult(rate, ["native", "shadow", "ept"]));
    const figure = crossoverFigure(results);
    const rates = results.map(({ machines }) => tableUpdateRate(machines[0]!)).sort((a, b) => a - b);
    expect(figure.table.rows.map(([rate]) => rate)).toEqual(rates);
    const sorted = [results[1]!, results[2]!, results[0]!];
    expect(named(figure, "shadow").y).toEqual(
      sorted.map(({ machines }) => machines[1]!.cycles.total / machines[1]!.counters.accesses!),
    );
  });

  it("crosses where straight lines between the points do", () => {
    expect(crossingsOf([0, 10, 20], [1, 2, 9], [2, 3, 5])).toEqual([{ x: 12, after: 1, share: 0.2 }]);
    expect(crossingsOf([0, 10], [1, 2], [2, 3])).toEqual([]);
    expect(crossingsOf([0, 10], [1, null], [2, 3])).toEqual([]);
  });
});

describe("one walk", () => {
  const reference = (source: string, cycles: number) => ({
    kind: "reference",
    name: "PDE",
    address: "0x1000",
    value: "0x67",
    source,
    cycles,
  });
  const access = {
    state: { technique: "nested", format: "npt", hostLevels: 1 },
    accesses: [{ va: "0x401000", kind: "fetch", firstStep: 0, lastStep: 4 }],
    steps: [{ kind: "walk", cycles: 0 }, reference("L2", 14), reference("memory", 200), reference("L1D", 4)],
    walks: [
      {
        firstStep: 0,
        references: 3,
        cycles: 218,
        outcome: "nestedPageFault",
        grid: [
          { guestLevel: 2, cells: [1, 0].map((hostLevel) => ({ hostLevel, skippedBy: "PDE cache" })) },
          {
            guestLevel: 1,
            cells: [
              { hostLevel: 1, step: 1, order: 1 },
              { hostLevel: 0, step: 2, order: 2 },
            ],
          },
          { guestLevel: 0, cells: [{ hostLevel: 1, step: 3, order: 3 }] },
        ],
      },
    ],
  } as unknown as Explanation;

  it("shows in which order entries were read and where each was found", () => {
    const figure = explainedWalkFigure(access);
    expect(figure.title).toBe("npt: fetch of 0x401000, walked in 3 references and 218 cycles");
    expect(figure.subtitle).toContain("The walk ends in a nested page fault.");
    const [heat] = figure.data as { z: (number | null)[][]; text: string[][] }[];
    expect(heat!.text).toEqual([
      ["", ""],
      ["<b>1</b><br>L2, 14", "<b>2</b><br>memory, 200"],
      ["<b>3</b><br>L1D, 4", ""],
    ]);
    expect(heat!.z).toEqual([
      [0, 0],
      [0.5, 1],
      [0.25, null],
    ]);
    expect(figure.layout.annotations).toHaveLength(2);
    expect(figure.table.rows.map((row) => [row[0], row[1], row[2], row[6], row[7]])).toEqual([
      [1, "guest L1", "host L1", "L2", 14],
      [2, "guest L1", "guest entry", "memory", 200],
      [3, "final address", "host L1", "L1D", 4],
    ]);
  });

  it("has the references of the walk that was explained, and their cycles", async () => {
    const trace = await openTrace(
      await openFile(fileURLToPath(new URL("fixtures/redis.nwt", import.meta.url))),
    );
    const [explanation] = await explainTrace(trace, configOf("ept"), { at: 1, next: "walk" });
    const walk = explanation!.walks.at(-1)!;
    const { table } = explainedWalkFigure(explanation!);
    expect(table.rows.map(([turn]) => turn)).toEqual(
      Array.from({ length: walk.references }, (_, i) => i + 1),
    );
    expect(walk.references).toBeGreaterThan(4);
    const read = explanation!.steps.filter(
      (step) => step.kind === "reference" && step.walk === walk.attempt - 1,
    );
    expect(table.rows.map(([, , , , address]) => address)).toEqual(
      read.map((step) => (step.kind === "reference" ? step.address : "")),
    );
  });

  it("must be one that was made", () => {
    expect(() => explainedWalkFigure(access, { walk: 1 })).toThrow("made 1 walk; there is no walk 1");
    expect(() => explainedWalkFigure({ ...access, walks: [] })).toThrow(
      "the access to 0x401000 made no walk",
    );
  });
});

describe("intervals", () => {
  const columns = (n: number): Intervals => {
    const all = (value: (i: number) => number) => Array.from({ length: n }, (_, i) => value(i));
    return {
      every: 100,
      end: all((i) => 100 * (i + 1)),
      accesses: all(() => 100),
      workingSet: all((i) => i % 7),
      misses: { l1d: all(() => 9), l1i: all(() => 1), l2: all((i) => i) },
      walks: all((i) => i + 1),
      references: all((i) => 2 * i),
      exits: { npf: all(() => 1), cpuid: all((i) => i % 2) },
      exitCycles: { npf: all(() => 1000), cpuid: all(() => 0) },
      cycles: { total: all((i) => 150 + i), issue: all(() => 100) },
    };
  };
  const sampled = (intervals: Intervals): Result => ({
    ...guest,
    machines: guest.machines.slice(1, 3).map((machine) => ({ ...machine, intervals })),
  });

  it("are steps over the accesses, each for its access or for a thousand", () => {
    const figure = intervalsFigure(sampled(columns(3)));
    const at = (yaxis: string) => traces(figure).find((trace) => trace.yaxis === yaxis)!;
    expect(at("y")).toMatchObject({ name: "shadow", x: [0, 100, 200, 300], y: [1.5, 1.51, 1.52, 1.52] });
    expect(at("y2").y).toEqual([0, 10, 20, 20]);
    expect(at("y3").y).toEqual([10, 20, 30, 30]);
    expect(at("y4").y).toEqual([10, 20, 10, 10]);
    expect(at("y5")).toMatchObject({ name: "guest", y: [0, 1, 2, 2] });
    expect(figure.table.rows.map((row) => row.slice(0, 4))).toEqual([
      [100, 100, 150, 0],
      [200, 100, 151, 1],
      [300, 100, 152, 2],
    ]);
  });

  it("are those that were asked for", () => {
    const figure = intervalsFigure(sampled(columns(2)), { metrics: ["references"] });
    expect(traces(figure).map(({ name, y }) => [name, y])).toEqual([
      ["shadow", [0, 20, 20]],
      ["ept", [0, 20, 20]],
    ]);
    expect(() => intervalsFigure(guest)).toThrow("the result holds no intervals");
  });

  it("have the markers that ended them", () => {
    const figure = intervalsFigure(sampled({ ...columns(3), every: "markers", markers: [7, 8, null] }));
    const shapes = figure.layout.shapes as { xref: string; x0: number }[];
    expect(shapes.filter(({ xref }) => xref === "x").map(({ x0 }) => x0)).toEqual([100, 200]);
    expect(figure.layout.annotations).toEqual(
      expect.arrayContaining([expect.objectContaining({ x: 100, text: "7" })]),
    );
  });

  it("are drawn with their neighbours where they are too many, and lose nothing", () => {
    const many = columns(3001);
    const few = merged(many, 1500);
    const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);
    expect(few.end).toHaveLength(1001);
    expect([few.every, few.end.at(-1)]).toEqual([300, 300_100]);
    for (const key of ["accesses", "walks", "references"] as const)
      expect(sum(few[key])).toBe(sum(many[key]));
    expect(sum(few.cycles.total!)).toBe(sum(many.cycles.total!));
    expect(few.workingSet.slice(0, 3)).toEqual([2, 5, 6]);
    expect(traces(intervalsFigure(sampled(many)))[0]!.x).toHaveLength(1002);
  });
});

describe("lines", () => {
  const lines = (...ends: number[]) =>
    linesFigure({
      id: "l",
      title: "t",
      alt: "a",
      x: { title: "x", ticks: [8, 32] },
      y: { title: "y", range: [0, 100] },
      series: ends.map((end, i) => ({ name: `s${i}`, x: [8, 32], y: [50, end] })),
      height: 100,
    });
  interface Label {
    text: string;
    yshift: number;
  }
  const labels = (figure: Figure) =>
    (figure.layout.annotations as Label[]).filter(({ text }) => text.startsWith("s"));

  it("are named at their ends, apart from each other, each beside a piece of itself", () => {
    const figure = lines(90, 0, 1, 50);
    expect(labels(figure).map(({ text, yshift }) => [text, yshift])).toEqual([
      ["s1", 4],
      ["s2", 20],
      ["s3", 50],
      ["s0", 90],
    ]);
    const samples = figure.layout.shapes as { y0: number; line: { color: string; dash: string } }[];
    expect(samples.map(({ y0, line }) => [y0, line.dash])).toEqual([
      [4, "dash"],
      [20, "dot"],
      [50, "dashdot"],
      [90, "solid"],
    ]);
  });

  it("keep their names within the panel", () => {
    expect(labels(lines(100, 100, 99)).map(({ yshift }) => yshift)).toEqual([68, 84, 100]);
  });

  it("that lie under others are wider and paler", () => {
    const look = (figure: Figure) =>
      figure.data.map(({ line, marker, opacity }) => [
        (line as { width: number }).width,
        (marker as { size: number }).size,
        opacity,
      ]);
    expect(look(lines(20, 20, 80))).toEqual([
      [5, 13, 0.45],
      [2, 8, undefined],
      [2, 8, undefined],
    ]);
  });

  it("are marked at their values where these are far enough apart", () => {
    expect((lines(1).layout.xaxis as { tickvals: number[] }).tickvals).toEqual([8, 32]);
  });
});

describe("every figure", () => {
  it("breaks its title into lines of about the same length", () => {
    const { layout } = linesFigure(
      {
        id: "l",
        title: "Below 2,717 table updates per million accesses shadow is cheaper, above it ept",
        alt: "a",
        x: { title: "x" },
        y: { title: "y" },
        series: [{ name: "s", x: [1], y: [2] }],
      },
      { width: 700 },
    );
    expect((layout.title as { text: string }).text).toBe(
      "<b>Below 2,717 table updates per million<br>accesses shadow is cheaper, above it ept</b>",
    );
  });

  const all = () => [
    ...resultFigures(guest),
    ...resultFigures(five),
    cyclesFigure(guest, { parts: "all" }),
    linesFigure({
      id: "l",
      title: "t",
      alt: "a",
      x: { title: "x" },
      y: { title: "y" },
      series: [{ name: "s", x: [1], y: [2] }],
    }),
  ];

  it("is plain data, the same each time", () => {
    for (const [i, figure] of all().entries()) {
      expect(JSON.parse(JSON.stringify(figure))).toEqual(figure);
      expect(JSON.stringify(all()[i])).toBe(JSON.stringify(figure));
    }
  });

  it("has an id, a title, a text alternative and its numbers as a table", () => {
    for (const { id, title, alt, table } of all()) {
      expect(id).toMatch(/^[a-z0-9-]+$/);
      expect(title).not.toBe("");
      expect(alt).not.toBe("");
      for (const row of table.rows) expect(row).toHaveLength(table.columns.length);
    }
    expect(uniqueIds([...all(), ...all()]).map(({ id }) => id)).toHaveLength(
      new Set(uniqueIds([...all(), ...all()]).map(({ id }) => id)).size,
    );
  });

  it("changes its layout with theme and width, never its data", () => {
    for (const make of [cyclesFigure, exitsFigure, walkLengthsFigure, referencesFoundFigure]) {
      const plain = make(guest);
      const other = make(guest, { theme: "dark", width: 340 });
      expect(other.data).toEqual(plain.data);
      expect(other.layout).toMatchObject({ width: 340, template: template("dark") });
      expect(withTheme(plain, "dark").layout).toEqual(make(guest, { theme: "dark" }).layout);
    }
  });

  it("can do without its title", () => {
    const figure = cyclesFigure(guest);
    const bare = withoutTitle(figure);
    expect(bare.layout.title).toBeUndefined();
    expect(bare.layout.height).toBeLessThan(figure.layout.height as number);
    expect(bare.data).toBe(figure.data);
  });
});

describe("the visual language", () => {
  const luminance = (hex: string) =>
    [1, 3, 5]
      .map((at) => Number.parseInt(hex.slice(at, at + 2), 16) / 255)
      .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
      .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i]!, 0);
  const contrast = (a: string, b: string) => {
    const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y) as [number, number];
    return (high + 0.05) / (low + 0.05);
  };

  it("has colours that stand out from light and from dark paper", () => {
    for (const { paper, ink, muted, accent, good, bad } of Object.values(pageColors)) {
      for (const color of palette) expect(contrast(color, paper)).toBeGreaterThanOrEqual(3);
      for (const color of [ink, muted, accent, good, bad])
        expect(contrast(color, paper)).toBeGreaterThanOrEqual(4.5);
    }
  });

  it("tells techniques apart without colour", () => {
    const styles = ["native", "shadow", "ept", "npt", "direct"].map((name) => techniqueStyle(name));
    for (const key of ["color", "dash", "symbol", "pattern"] as const)
      expect(new Set(styles.map((style) => style[key])).size).toBe(styles.length);
  });

  it("names machines of one technique by what sets them apart", () => {
    const [native, , ept] = guest.machines as [
      (typeof guest.machines)[0],
      unknown,
      (typeof guest.machines)[0],
    ];
    const large = { ...ept, config: { ...ept.config, host: { ...ept.config.host, page: "2m" as const } } };
    expect(machineNames([native, ept, large])).toEqual(["native", "ept 4k", "ept 2m"]);
    const windowed = { ...large, config: { ...large.config, clock: { ...ept.config.clock, window: 64 } } };
    expect(machineNames([ept, large, windowed])).toEqual([
      "ept 4k clock.window=1",
      "ept 2m clock.window=1",
      "ept 2m clock.window=64",
    ]);
    expect(machineNames([ept, ept])).toEqual(["ept #1", "ept #2"]);
  });
});
