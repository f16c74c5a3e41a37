import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { machineFor } from "../src/compare.js";
import { resolveConfig, techniqueKeys, techniqueNames } from "../src/config/index.js";
import { explainTrace } from "../src/explain/index.js";
import type { Explanation, ReferenceStep } from "../src/explain/types.js";
import { openFile } from "../src/node/files.js";
import { openTrace, type RecordEncoder, type TraceSource } from "../src/trace/index.js";
import { Random } from "./core/random-world.js";
import { boot, machineOf, pages } from "./explain/guests.js";
import { collect, cutStream } from "./fixtures/traces.js";

const open = async (name: string): Promise<TraceSource> =>
  openTrace(await openFile(fileURLToPath(new URL(`./fixtures/${name}`, import.meta.url))));

const SETS: Record<string, string[]> = {
  "the default CPU": [],
  "zen5 with a window": ["clock.window=64"],
  "small structures without caches": [
    "caches.enabled=false",
    "caches.referenceCycles=7",
    "tlb.l2=[]",
    "psc.nested.place=none",
  ],
};

/** Replays with every record explained; the explanations, and the result. */
async function explained(
  name: string,
  technique: (typeof techniqueNames)[number],
  set: string[],
  records: number,
) {
  const trace = await open(name);
  const stream = cutStream(await collect(trace.records()), records);
  const keys = Object.entries(techniqueKeys(technique)).map(([key, value]) => `${key}=${value}`);
  const config = resolveConfig({ set: [...keys, ...set] });
  const plain = machineFor(trace.header.recorded, config);
  plain.feed(stream);
  const machine = machineFor(trace.header.recorded, config);
  const all: Explanation[] = [];
  machine.beginExplanation();
  machine.pauseAt({ events: 1 }, () => {
    if (machine.explainedSteps > 0) all.push(machine.takeExplanation());
    machine.beginExplanation();
    return true;
  });
  machine.feed(stream);
  all.push(machine.takeExplanation());
  return { all, result: machine.finish(), plain: plain.finish() };
}

describe.each(["redis.nwt", "pcid.nwt", "la57-fork.nwt", "loop.lackey.gz"])(
  "every record of %s explained",
  (name) => {
    describe.each(Object.entries(SETS))("on %s", (_, set) => {
      it.each(techniqueNames)(
        "adds up to the figures of the run in %s, which are those without",
        async (technique) => {
          const { all, result, plain } = await explained(name, technique, set, 4000);
          expect(result).toEqual(plain);
          const sum = (of: (e: Explanation) => number) => all.reduce((total, e) => total + of(e), 0);
          expect(sum(({ totals }) => totals.references)).toBe(result.counters.tableReferences);
          expect(sum(({ totals }) => totals.walks)).toBe(result.counters.walks);
          expect(sum(({ totals }) => totals.exits)).toBe(result.counters.exits);
          expect(sum(({ totals }) => totals.cycles.exit)).toBe(
            result.cycles.exitHandler + result.cycles.exitHardware,
          );
          const cells = result.references.map((row) => row.map(() => 0));
          const lines = { L1D: 0, L2: 0, L3: 0, memory: 0, entryCache: 0, flat: 0 };
          for (const { steps } of all)
            for (const step of steps)
              if (step.kind === "reference") {
                ++cells[step.guestLevel]![step.hostLevel]!;
                ++lines[step.source];
              }
          expect(cells).toEqual(result.references);
          const { tableLinesL1, tableLinesL2, tableLinesL3, tableLinesMemory, entryCacheHits } =
            result.counters;
          expect([lines.L1D, lines.L2, lines.L3, lines.memory, lines.entryCache]).toEqual([
            tableLinesL1,
            tableLinesL2,
            tableLinesL3,
            tableLinesMemory,
            entryCacheHits,
          ]);
        },
      );
    });
  },
);

describe("a grid", () => {
  it("has a reference or a reason in each cell, and the references in the order they were made", async () => {
    const { all } = await explained("redis.nwt", "ept", [], 4000);
    for (const { walks, steps } of all)
      for (const walk of walks) {
        const cells = walk.grid.flatMap(({ guestLevel, cells }) =>
          cells.map((cell) => ({ ...cell, guestLevel })),
        );
        const read = cells.filter(({ step }) => step !== undefined).sort((a, b) => a.order! - b.order!);
        expect(read.map(({ order }) => order)).toEqual(read.map((_, i) => i + 1));
        expect(read).toHaveLength(walk.references);
        for (const cell of read) {
          const step = steps[cell.step!] as ReferenceStep;
          expect([step.guestLevel, step.hostLevel]).toEqual([cell.guestLevel, cell.hostLevel]);
          expect(step.name).toBe(cell.name);
        }
        for (const { step, skippedBy } of cells) expect(step === undefined).toBe(skippedBy !== undefined);
        if (walk.outcome === "translated")
          expect(cells.map(({ skippedBy }) => skippedBy)).not.toContain("not reached");
      }
  });
});

/** A guest with 64 pages and random accesses to them, each a slice of its own. */
function randomGuest(seed: number, accesses: number) {
  const random = new Random(seed);
  const leaves = Object.fromEntries(
    Array.from({ length: 64 }, (_, i) => [
      i,
      (BigInt(0x10 + i) << 12n) | random.pick([0x67n, 0x27n, 0x25n, 0x07n, 0x8000_0000_0000_0067n]),
    ]),
  );
  const e = boot({ tables: pages(leaves), mode: random.pick([0, 3]) });
  const steps = Array.from({ length: accesses }, () => {
    const va = BigInt(0x400000 + random.below(64) * 4096 + random.below(512) * 8);
    const kind = random.pick(["read", "write", "fetch"] as const);
    return { va, kind };
  });
  return { encoder: e, steps };
}

describe.each(techniqueNames)("a probe in %s", (technique) => {
  it("leaves no trace, cold or not, whatever it meets", async () => {
    const trace = await open("redis.nwt");
    const stream = cutStream(await collect(trace.records()), 20_000);
    const run = (probes: boolean) => {
      const machine = machineOf(technique, ["clock.window=16", "clock.walkers=2", "caches.data=true"]);
      const random = new Random(7);
      machine.pauseAt({ accesses: 100 }, () => {
        if (!probes || !random.chance(0.02)) return true;
        const va = random.chance(0.5)
          ? 0xffffffff81000000n + BigInt(random.below(1 << 24))
          : BigInt(random.below(1 << 30)) << BigInt(random.below(18));
        const access = {
          kind: random.pick(["read", "write", "fetch"] as const),
          user: random.chance(0.5),
          shadowStack: random.chance(0.1),
        };
        machine.explain(va, access, { cold: random.chance(0.3) });
        return true;
      });
      machine.feed(stream);
      return machine.finish();
    };
    expect(run(true)).toEqual(run(false));
  });

  it("says what the access then does, up to its first exit or fault", () => {
    for (let seed = 1; seed <= 8; ++seed) {
      const { encoder, steps } = randomGuest(seed, 40);
      const machine = machineOf(technique, seed % 2 ? [] : ["ept.pml=true", "psc.nestedData=true"]);
      machine.feed(encoder.take());
      let user = false;
      for (const { va, kind } of steps) {
        const probed = machine.explain(va, { kind });
        const again = machine.explain(va, { kind });
        expect(again).toEqual(probed);
        user = probed.accesses[0]!.user;
        machine.beginExplanation();
        machine.feed(recordOf(encoder, va, kind));
        const happened = machine.takeExplanation();
        expect(happened.accesses[0]!.user).toBe(user);
        const end = probed.steps.findIndex(({ kind }) => kind === "walkEnd");
        const first = end < 0 ? probed.steps : probed.steps.slice(0, end + 1);
        expect(happened.steps.slice(0, first.length)).toEqual(first);
        if (probed.accesses[0]!.outcome.kind === "translated") {
          expect(happened.steps).toEqual(probed.steps);
          expect(happened.accesses).toEqual(probed.accesses);
        }
      }
    }
  });
});

function recordOf(encoder: RecordEncoder, va: bigint, kind: "read" | "write" | "fetch"): Uint8Array {
  if (kind === "fetch") encoder.fetch(va, 1);
  else encoder[kind](va, 1);
  return encoder.take();
}

describe("the accesses that explainTrace finds", () => {
  const config = (name: (typeof techniqueNames)[number]) =>
    resolveConfig({ set: Object.entries(techniqueKeys(name)).map(([k, v]) => `${k}=${v}`) });

  it("are the one that is named, the next that walks, and so many of them", async () => {
    const trace = await open("redis.nwt");
    const [one] = await explainTrace(trace, config("ept"), { at: 5000 });
    expect(one!.at).toMatchObject({ access: 5000, isAccess: true });
    const walks = await explainTrace(trace, config("ept"), { at: 5000, next: "walk", count: 5 });
    expect(walks).toHaveLength(5);
    for (const { totals, at } of walks) {
      expect(totals.walks).toBeGreaterThan(0);
      expect(at!.access).toBeGreaterThanOrEqual(5000);
    }
    const [exit] = await explainTrace(trace, config("shadow"), { next: "exit", at: 5000 });
    expect(exit!.totals.exits).toBeGreaterThan(0);
  });

  it("are found inside a record of many fetches", async () => {
    const e = boot({ tables: pages({ 0: 0x10067n, 1: 0x11067n }) });
    e.fetch(0x400000, 4).fetchRun(20).read(0x401000, 8);
    const { bytesInMemory } = await import("../src/trace/bytes.js");
    const { pgrec1File } = await import("./fixtures/traces.js");
    const trace = await openTrace(bytesInMemory("run.pgrec", pgrec1File(e.end().take())));
    const [inside] = await explainTrace(trace, config("native"), { at: 7 });
    expect(inside!.at).toEqual({ access: 21, event: 9 + 1, isAccess: true });
    expect(inside!.accesses[0]!.va).toBe("0x400000");
    const [after] = await explainTrace(trace, config("native"), { at: 22 });
    expect(after!.accesses[0]!.va).toBe("0x401000");
  });

  it("are the same from the SIMD and the scalar core", async () => {
    const trace = await open("pcid.nwt");
    const run = (core: "simd" | "scalar" | WebAssembly.Module) =>
      explainTrace(trace, config("shadow"), { at: 100, next: "exit", count: 20, core });
    const debug = new WebAssembly.Module(
      readFileSync(fileURLToPath(new URL("../build/core-debug.wasm", import.meta.url))),
    );
    const simd = await run("simd");
    expect(await run("scalar")).toEqual(simd);
    expect(await run(debug)).toEqual(simd);
  });
});
