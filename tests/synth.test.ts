import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { bytesInMemory, openTrace, RecordScanner } from "../src/trace/index.js";
import {
  generators,
  optionsOf,
  type SynthOptions,
  synthStream,
  synthTrace,
} from "../src/trace/synth/index.js";
import { Xorshift64, Zipf } from "../src/trace/synth/random.js";
import { nestwalk } from "./cli/capture.js";
import { collect } from "./fixtures/traces.js";
import { broken, machineFor, TECHNIQUES } from "./kernel/programs.js";

const called = (name: string) => generators.find((generator) => generator.name === name)!;

/** A generated trace replayed in one machine. */
function run(
  name: string,
  asked: Partial<SynthOptions>,
  technique: (typeof TECHNIQUES)[number],
  set: string[] = [],
) {
  const generator = called(name);
  const recorded = generator.tables ? {} : { tables: false };
  const machine = machineFor(technique, set, recorded);
  for (const slice of synthStream(generator, optionsOf(generator, asked))) machine.feed(slice);
  expect(machine.ended).toBe(true);
  return machine.finish();
}

describe("the published synthetic traces", () => {
  const tlb = (policy: string) => {
    const array = (entries: number, ways: number) =>
      JSON.stringify([{ pages: ["4k"], entries, ways, policy }]);
    return [
      `tlb.l1d=${array(64, 4)}`,
      `tlb.l1i=${array(64, 4)}`,
      `tlb.l2=${array(1024, 8)}`,
      "tlb.l2i=[]",
      "kernel.populate=true",
    ];
  };
  /** drcachesim, TLBSim, a list model and a C loop agree on these: misses of L1I 64 x 4, L1D 64 x 4, L2 1024 x 8. */
  it.each([
    ["g8", [1, 1937321, 1000986], [1, 1937317, 1000229]],
    ["g64", [1, 1992243, 1875224], [1, 1992233, 1875084]],
    ["gups", [1, 2999254, 2988355], [1, 2999254, 2988349]],
  ])("%s misses as published: %j under LRU, %j under FIFO", (name, lru, fifo) => {
    const machines = ["lru", "fifo"].map((policy) => machineFor("native", tlb(policy)));
    const generator = called(name);
    for (const slice of synthStream(generator, optionsOf(generator, {})))
      for (const machine of machines) machine.feed(slice);
    const results = machines.map((machine) => machine.finish());
    const misses = results.map(({ structures }) =>
      ["l1i", "l1d", "l2"].map((key) => structures[key]!.misses),
    );
    expect(misses).toEqual([lru, fifo]);
    expect(results.flatMap(broken)).toEqual([]);
  });

  it("come from xorshift64", () => {
    const random = new Xorshift64(88172645463325252n);
    let x = 88172645463325252n;
    for (let i = 0; i < 1000; i++) {
      x ^= BigInt.asUintN(64, x << 13n);
      x ^= x >> 7n;
      x ^= BigInt.asUintN(64, x << 17n);
      const n = [7, 4096, 16_777_216, 4_294_967_296, 3_000_000_019][i % 5]!;
      expect(random.below(n)).toBe(Number(x % BigInt(n)));
    }
  });
});

const SMALL: Partial<SynthOptions> = {
  instructions: 5000,
  bytes: 1 << 20,
  pages: 60,
  forks: 3,
  writes: 20,
  rate: 20_000,
};
const small = (name: string) => {
  const { takes } = called(name);
  return Object.fromEntries(
    Object.entries(SMALL).filter(([key]) => takes.includes(key as keyof SynthOptions)),
  );
};
const free = generators.filter(({ takes }) => takes.length > 0).map(({ name }) => name);

describe("every generator", () => {
  it.each(free)(
    "%s makes the same valid records twice, others from another seed, and runs alike in all machines",
    (name) => {
      const generator = called(name);
      const bytes = (asked: Partial<SynthOptions>) =>
        Buffer.concat([...synthStream(generator, optionsOf(generator, asked))]);
      const first = bytes(small(name));
      expect(first.equals(bytes(small(name)))).toBe(true);
      const scanner = new RecordScanner();
      expect(scanner.scan(new Uint8Array(first))).toBe(first.length);
      expect(scanner.ended).toBe(true);
      if (generator.takes.includes("seed"))
        expect(first.equals(bytes({ ...small(name), seed: 5n }))).toBe(false);
      const digests = TECHNIQUES.map((technique) => {
        const result = run(name, small(name), technique);
        expect(broken(result)).toEqual([]);
        expect(result.oracle.unknown).toBe(0);
        expect(result.counters.faultsUnconfirmed! + result.counters.faultsStale!).toBe(0);
        return result.guestDigest;
      });
      expect(new Set(digests).size).toBe(1);
    },
  );

  it("makes the bytes that it made when this was written", () => {
    const sums = free.map((name) => {
      const hash = createHash("sha256");
      for (const slice of synthStream(called(name), optionsOf(called(name), small(name)))) hash.update(slice);
      return `${name} ${hash.digest("hex").slice(0, 16)}`;
    });
    expect(sums).toEqual([
      "sequential 2e6cffdb1f669559",
      "strided 1fe621ea200fde2d",
      "random 88b0b9222d1214da",
      "chase c1f2f52b6c3baa2e",
      "zipf c27199ad921b9728",
      "bfs 7f789e72cbec6eab",
      "table-updates fbe4f9adcc8c65eb",
      "fork-storm 96f41c583e071781",
    ]);
  });
});

describe("shape", () => {
  it("zipf draws rank r in proportion to (r+1)^-skew", () => {
    const n = 100_000;
    for (const skew of [0, 0.5, 0.99, 2]) {
      const random = new Xorshift64(9n);
      const zipf = new Zipf(50, skew);
      const seen = new Array<number>(50).fill(0);
      for (let i = 0; i < n; i++) seen[zipf.draw(random)]!++;
      const weights = seen.map((_, r) => (r + 1) ** -skew);
      const total = weights.reduce((a, b) => a + b);
      for (const [r, weight] of weights.entries()) {
        const expected = (n * weight) / total;
        expect(Math.abs(seen[r]! - expected)).toBeLessThan(5 * Math.sqrt(expected) + 1);
      }
    }
  });

  it("chase visits every line once before any line again", () => {
    const lines = 1024;
    const result = run("chase", { instructions: lines, bytes: lines * 64 }, "native", [
      "kernel.populate=true",
    ]);
    expect(result.counters.kernelPages4k).toBe(lines / 64 + 1);
    expect(result.counters.reads).toBe(lines);
  });

  it("table updates cross shadow over nested paging: shadow wins without any, nested with many", () => {
    const set = ["caches.enabled=false"];
    const cost = (technique: "shadow" | "ept", rate: number) =>
      run("table-updates", { instructions: 200_000, pages: 4096, rate }, technique, set).cycles.total;
    expect(cost("shadow", 0)).toBeLessThan(cost("ept", 0));
    expect(cost("shadow", 50_000)).toBeGreaterThan(cost("ept", 50_000));
  });

  it("table updates make two table stores and an INVLPG each", () => {
    const { counters } = run("table-updates", { instructions: 10_000, pages: 64, rate: 5000 }, "native");
    expect([counters.tableWrites, counters.guestInvlpg]).toEqual([100, 50]);
  });

  it("a fork storm forks, and copies on write", () => {
    const { counters } = run("fork-storm", { forks: 4, pages: 100, writes: 30 }, "native");
    expect(counters.guestPageFaults).toBeGreaterThan(4 * 30);
    expect(counters.tablePagesDropped).toBe(4 * 7);
    expect(counters.cr3Loads).toBe(1 + 4 * 3);
  });
});

describe("nestwalk trace synth", () => {
  const folder = mkdtempSync(join(tmpdir(), "nestwalk-synth-"));
  afterAll(() => rmSync(folder, { recursive: true }));
  const file = join(folder, "t.nwt");
  const command = (...args: string[]) => nestwalk(["trace", "synth", ...args]);

  it("writes a trace that says how to make it again", async () => {
    const { code, stdout } = await command(
      "zipf",
      "--instructions",
      "1000",
      "--bytes",
      "1m",
      "--skew",
      "1.5",
      "-o",
      file,
    );
    expect(code).toBe(0);
    expect(stdout).toContain("no page tables: compare plays them");
    const trace = await openTrace(bytesInMemory("t", new Uint8Array(readFileSync(file))));
    expect(trace.header.recorded).toMatchObject({
      tables: false,
      addresses: "virtual",
      command: "nestwalk trace synth zipf --instructions 1000 --bytes 1m --skew 1.5 -o FILE",
    });
    const again = optionsOf(called("zipf"), { instructions: 1000, bytes: 1 << 20, skew: 1.5 });
    const bytes = await collect(synthTrace(called("zipf"), again, trace.header.recorded.command!));
    expect(Buffer.from(bytes).equals(readFileSync(file))).toBe(true);
  });

  it.each([
    [["zipff", "-o", "x"], "did you mean zipf?"],
    [[], "needs a NAME: sequential"],
    [["random"], "needs -o FILE"],
    [["g8", "--bytes", "1m", "-o", "x"], "g8 takes no --bytes; it is always the same trace"],
    [["bfs", "--skew", "1", "-o", "x"], "bfs takes no --skew; it takes --instructions"],
    [["random", "--bytes", "12q", "-o", "x"], '--bytes is "12q"'],
    [["random", "--seed", "0", "-o", "x"], '--seed is "0"'],
    [["zipf", "--skew", "99", "-o", "x"], '--skew is "99"'],
    [["chase", "--bytes", "32g", "-o", "x"], "more than chase can hold, 8g"],
    [["random", "file.nwt", "-o", "x"], "the file comes after -o"],
  ])("refuses %j in a sentence", async (args, says) => {
    const { code, stderr } = await command(...args);
    expect(code).toBe(2);
    expect(stderr).toContain(says);
    expect(stderr.trim().split("\n")).toHaveLength(1);
  });
});
