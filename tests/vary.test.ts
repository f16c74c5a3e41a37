import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import type { Result } from "../src/result.js";
import { bytesInMemory, openSynth, openTrace } from "../src/trace/index.js";
import { combinations, parseAxes } from "../src/vary/axes.js";
import { type VaryResult, varyResult } from "../src/vary/index.js";
import { nestwalk } from "./cli/capture.js";
import { collect } from "./fixtures/traces.js";

const trace = fileURLToPath(new URL("./fixtures/redis.nwt", import.meta.url));
const dir = mkdtempSync(join(tmpdir(), "nestwalk-vary-"));
afterAll(() => rmSync(dir, { recursive: true }));

const vary = async (...args: string[]) => {
  const run = await nestwalk(["compare", ...args, "--jobs", "1", "--json", "-"]);
  expect([run.code, run.stderr]).toEqual([0, ""]);
  return JSON.parse(run.stdout) as VaryResult;
};

describe("the axes of --vary", () => {
  const axes = (...texts: string[]) => parseAxes(texts, "synth:table-updates");

  it("are keys with values as the configuration has them, between commas outside of brackets and quotes", () => {
    expect(axes("clock.window=1,64", "host.page=4k, 2m", "caches.data=true,false")).toMatchObject([
      { key: "clock.window", values: [1, 64] },
      { key: "host.page", values: ["4k", "2m"] },
      { key: "caches.data", values: [true, false] },
    ]);
    const list = '[{"pages":["4k","2m"],"entries":64,"ways":4}]';
    expect(axes(`tlb.l2=[],${list}`)).toMatchObject([{ key: "tlb.l2", values: ["[]", list] }]);
    expect(axes("trace.rate=0,1000")).toMatchObject([{ key: "trace.rate", values: [0, 1000] }]);
  });

  it("are combined with the last one fastest", () => {
    expect(combinations(axes("clock.window=1,64", "host.page=4k,2m,1g"))).toEqual([
      [0, 0],
      [0, 1],
      [0, 2],
      [1, 0],
      [1, 1],
      [1, 2],
    ]);
    const results = Array.from({ length: 6 }, (_, i) => ({ nth: i }) as unknown as Result);
    const { points } = varyResult(axes("clock.window=1,64", "host.page=4k,2m,1g"), results);
    expect(points.map(({ at, result }) => [at["clock.window"], at["host.page"], result])).toEqual([
      [1, "4k", { nth: 0 }],
      [1, "2m", { nth: 1 }],
      [1, "1g", { nth: 2 }],
      [64, "4k", { nth: 3 }],
      [64, "2m", { nth: 4 }],
      [64, "1g", { nth: 5 }],
    ]);
  });

  it.each<[string[], string]>([
    [
      ["host.page"],
      "--vary host.page is not key.path=value,value,..., as in --vary tlb.l2.0.entries=768,1536,3072",
    ],
    [
      ["host.page=4k,"],
      "--vary host.page=4k, is not key.path=value,value,..., as in --vary tlb.l2.0.entries=768,1536,3072",
    ],
    [["host.pag=4k"], '--vary host.pag=4k: "host.pag" is not a key; did you mean "host.page"?'],
    [["host.page=4k,4k"], "--vary host.page names 4k twice"],
    [["host.page=4k", "host.page=2m"], "--vary host.page is given twice; give all its values at once"],
    [
      ["technique=native,shadow"],
      "--vary technique would compare techniques; --technique does, side by side",
    ],
    [
      [
        `clock.window=${Array.from({ length: 40 }, (_, i) => i + 1)}`,
        `seed=${Array.from({ length: 40 }, (_, i) => i)}`,
      ],
      "the varied keys make 1600 combinations; at most 1000 are run at once: give fewer values",
    ],
  ])("are refused in a sentence: %j", (texts, sentence) => {
    expect(() => axes(...texts)).toThrow(sentence);
  });
});

describe("compare --vary", () => {
  it("gives for each setting what compare gives with --set", async () => {
    const sweep = await vary(
      trace,
      "-t",
      "native,ept",
      "--vary",
      "tlb.l2.0.entries=96,1536",
      "--vary",
      "host.page=4k,2m",
      "--interval",
      "100000",
    );
    expect(sweep.axes).toEqual([
      { key: "tlb.l2.0.entries", values: [96, 1536] },
      { key: "host.page", values: ["4k", "2m"] },
    ]);
    expect(sweep.config.vary).toEqual(["tlb.l2.0.entries=96,1536", "host.page=4k,2m"]);
    expect(sweep.points).toHaveLength(4);
    for (const { at, result } of sweep.points) {
      const set = Object.entries(at).flatMap(([key, value]) => ["--set", `${key}=${value}`]);
      const alone = await nestwalk([
        "compare",
        trace,
        "-t",
        "native,ept",
        "--interval",
        "100000",
        ...set,
        "--json",
        "-",
      ]);
      expect(result).toEqual(JSON.parse(alone.stdout));
    }
  });

  it.each<[string, (m: Result["machines"][number]) => number]>([
    ["tlb.l2.0.entries=12,1536", (m) => m.structures.l2!.misses],
    ["psc.pde.place=none,own", (m) => m.counters.tableReferences!],
    ["host.page=4k,2m", (m) => m.counters.exits!],
    ["exits.hardwareCycles=100,1000", (m) => m.cycles.exitHardware],
    ["cpu=zen4,skylake-sp", (m) => m.cycles.total],
  ])("moves what %s is about", async (text, figure) => {
    const { points } = await vary(trace, "-t", "ept", "--vary", text);
    const [a, b] = points.map(({ result }) => figure(result.machines[0]!));
    expect(a).not.toBe(b);
  });

  it("prints a line for each setting and technique", async () => {
    const run = await nestwalk([
      "compare",
      trace,
      "-t",
      "native,ept",
      "--vary",
      "host.page=4k,2m",
      "--jobs",
      "1",
      "-q",
    ]);
    expect(run.stdout).toBe("");
    const table = await nestwalk([
      "compare",
      trace,
      "-t",
      "native,ept",
      "--vary",
      "host.page=4k,2m",
      "--jobs",
      "1",
    ]);
    const lines = table.stdout.split("\n");
    expect(lines[0]).toContain("redis.nwt: 250,002 accesses, 2 settings");
    expect(lines[2]).toBe("host.page  technique  walks  TLB hits  refs/walk  exits  cycles/access  overhead");
    expect(lines[3]).toMatch(/^ {7}4k {2}native +812 +99\.675 % +\d\.\d\d +0 +\d\.\d{3} +-$/);
    expect(lines[4]).toMatch(/^ {11}ept +[\d,]+ +\d+\.\d{3} % +\d\.\d\d +[\d,]+ +\d\.\d{3} +\+\d+\.\d %$/);
    expect(lines.at(-2)).toBe("Conservation laws: all 86 hold. Oracle: 0 mismatches.");
  });

  it.each<[string[], string]>([
    [
      [trace, "--vary", "tlb.l2.0.entries=768,1000"],
      "--vary tlb.l2.0.entries=1000: tlb.l2.0.ways is 12, which does not divide its 1000 entries; the number of sets must be a power of two, so ways may be 125, 250, 500, 1000 or 0 (fully associative)",
    ],
    [[trace, "--vary", "host.page=4k,3m"], 'host.page is "3m"; it must be 4k, 2m or 1g'],
    [
      ["-", "--vary", "host.page=4k,2m"],
      "--vary replays the trace several times, and standard input is read once; name a file",
    ],
    [[trace, "--jobs", "2"], "--jobs is about --vary; without it there is one replay"],
    [
      [trace, "--vary", "host.page=4k,2m", "--jobs", "0"],
      '--jobs is "0"; it must be a whole number from 1, such as 100000 or 2M',
    ],
    [
      [trace, "--cpu", "zen4", "--vary", "cpu=zen4,zen5"],
      "--cpu and --vary cpu both choose the CPU; leave one out",
    ],
    [
      [trace, "--host-page", "2m", "--vary", "host.page=4k,2m"],
      "--host-page and --vary host.page both choose the host's pages; leave one out",
    ],
    [
      [trace, "--set", "clock.window=8", "--vary", "clock.window=1,8"],
      "--set clock.window=8 and --vary clock.window both give clock.window; leave one out",
    ],
    [
      [trace, "--vary", "trace.rate=1,2"],
      `--vary trace.rate varies how a trace is computed, and ${trace} is a file; take a computed one, such as synth:table-updates`,
    ],
    [
      ["synth:table-updates", "--vary", "trace.rat=1"],
      '"rat" in synth:table-updates,rat=1 is no option; did you mean rate?',
    ],
    [
      ["synth:gups", "--vary", "trace.rate=1"],
      "gups takes no rate; it is always the same trace, and random is its general form",
    ],
  ])("refuses %j", async (args, sentence) => {
    const run = await nestwalk(["compare", ...args]);
    expect([run.code, run.stdout, run.stderr]).toEqual([2, "", `nestwalk: ${sentence}\n`]);
  });

  it("says that a trace does not exist", async () => {
    const run = await nestwalk([
      "compare",
      join(dir, "none.nwt"),
      "--vary",
      "host.page=4k,2m",
      "--jobs",
      "1",
    ]);
    expect([run.code, run.stderr]).toEqual([
      1,
      `nestwalk: ${join(dir, "none.nwt")} does not exist; check the path\n`,
    ]);
  });
});

describe("a computed trace", () => {
  it("is what trace synth writes", async () => {
    const file = join(dir, "updates.nwt");
    await nestwalk([
      "trace",
      "synth",
      "table-updates",
      "--instructions",
      "20000",
      "--rate",
      "3000",
      "-o",
      file,
    ]);
    const named = await openSynth("synth:table-updates,instructions=20000,rate=3000");
    const written = await openTrace(bytesInMemory("updates.nwt", readFileSync(file)));
    expect(named.header.recorded).toEqual(written.header.recorded);
    expect(await collect(named.records())).toEqual(await collect(written.records()));
    expect(await named.sha256()).toBe(await written.sha256());
  });

  it("gives the crossover of shadow and nested paging by the rate of table updates", async () => {
    const sweep = await vary(
      "synth:table-updates,instructions=100000,pages=512",
      "-t",
      "native,shadow,ept",
      "--vary",
      "trace.rate=0,20000",
    );
    const cycles = sweep.points.map(({ result }) => result.machines.map((m) => m.cycles.total));
    const [native, shadow, ept] = [0, 1, 2];
    expect(cycles[0]![shadow]! - cycles[0]![native]!).toBeLessThan(cycles[0]![ept]! - cycles[0]![native]!);
    expect(cycles[1]![shadow]).toBeGreaterThan(cycles[1]![ept]!);
    expect(sweep.points.map(({ result }) => result.trace.file)).toEqual([
      "synth:table-updates,instructions=100000,pages=512,rate=0",
      "synth:table-updates,instructions=100000,pages=512,rate=20000",
    ]);
  });

  it.each([
    ["synth:nothing", '"nothing" is no generator; there are sequential'],
    ["synth:randon", '"randon" is no generator; did you mean random?'],
    [
      "synth:random,bytes",
      '"bytes" in synth:random,bytes is not option=value, as in synth:table-updates,rate=5000',
    ],
    ["synth:random,byte=1m", '"byte" in synth:random,byte=1m is no option; did you mean bytes?'],
    ["synth:random,bytes=1", 'bytes is "1"; it must be 4096 to 68719476736 bytes, such as 64m'],
    ["synth:random,rate=5", "random takes no rate; it takes instructions, bytes, store-every, seed"],
  ])("%s is refused", async (name, sentence) => {
    await expect(openSynth(name)).rejects.toThrow(sentence);
  });
});

describe("workers", () => {
  const main = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));
  const cli = (...args: string[]) => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [main, ...args], {
      encoding: "utf8",
      maxBuffer: 1 << 28,
    });
    return { status, stdout, stderr };
  };

  it("give the same bytes however many they are", () => {
    const args = [
      "compare",
      trace,
      "-t",
      "native,ept",
      "--vary",
      "clock.window=1,16,64",
      "--vary",
      "host.page=4k,2m",
      "--json",
      "-",
    ];
    const one = cli(...args, "--jobs", "1");
    expect([one.status, one.stderr]).toEqual([0, ""]);
    for (const jobs of ["2", "5"]) expect(cli(...args, "--jobs", jobs)).toEqual(one);
  });

  it("say the first error in one sentence", () => {
    const cut = join(dir, "cut.nwt");
    writeFileSync(cut, readFileSync(trace).subarray(0, 20_000));
    const one = cli("compare", cut, "--vary", "clock.window=1,2,3,4", "--jobs", "1");
    expect(one.status).toBe(1);
    expect(one.stderr).toMatch(/^nestwalk: .*cut\.nwt .*\n$/);
    expect(cli("compare", cut, "--vary", "clock.window=1,2,3,4", "--jobs", "3")).toEqual(one);
    const short = ["compare", trace, "--warmup", "99999999", "--vary", "clock.window=1,2,3"];
    expect(cli(...short, "--jobs", "3")).toEqual(cli(...short, "--jobs", "1"));
  });
});
