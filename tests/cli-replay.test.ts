import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { duration, progressLine, startProgress } from "../src/cli/progress.js";
import { compare } from "../src/compare.js";
import type { MachineConfig } from "../src/config/index.js";
import type { Result } from "../src/result.js";
import { nestwalk } from "./cli/capture.js";
import { pagesGuest } from "./cli/guest.js";
import { pgrec1File } from "./fixtures/traces.js";

const dir = mkdtempSync(join(tmpdir(), "nestwalk-cli-"));
afterAll(() => rmSync(dir, { recursive: true }));
const trace = join(dir, "guest.pgrec");
writeFileSync(trace, pgrec1File(pagesGuest(10), { ram_mb: 64, fetch: "insn", meta: "sixteen pages" }));

/** The configurations that a command line leads to. */
async function configsOf(...args: string[]): Promise<MachineConfig[]> {
  let seen: readonly MachineConfig[] = [];
  const run = await nestwalk([...args, "--quiet"], {
    compare: (source, configs, options) => {
      seen = configs;
      return compare(source, configs, options);
    },
  });
  expect(run.stderr).toBe("");
  return [...seen];
}

describe("which machines are replayed", () => {
  const names = async (...args: string[]) =>
    (await configsOf(...args)).map((c) => (c.technique === "nested" ? c.format : c.technique));

  it("follows --technique, the configuration, or the default", async () => {
    expect(await names("compare", trace, "-t", "native,npt")).toEqual(["native", "npt"]);
    expect(await names("run", trace, "--technique", "native")).toEqual(["native"]);
    expect(await names("run", trace)).toEqual(["ept"]);
    expect(await names("run", trace, "--set", "format=npt")).toEqual(["npt"]);
    expect(await names("run", trace, "--cpu", "zen3")).toEqual(["npt"]);
    expect(await names("run", trace, "--set", "technique=shadow")).toEqual(["shadow"]);
  });

  it("compares native with the technique that the configuration names", async () => {
    expect(await names("compare", trace)).toEqual(["native", "shadow", "ept"]);
    expect(await names("compare", trace, "--cpu", "zen4")).toEqual(["native", "shadow", "npt"]);
    expect(await names("compare", trace, "--set", "format=npt")).toEqual(["native", "shadow", "npt"]);
    expect(await names("compare", trace, "--set", "technique=shadow")).toEqual(["native", "shadow"]);
    expect(await names("compare", trace, "--set", "technique=native")).toEqual(["native"]);
    const file = join(dir, "npt.json");
    writeFileSync(file, JSON.stringify({ technique: "nested", format: "npt" }));
    expect(await names("compare", trace, "--config", file)).toEqual(["native", "npt"]);
    expect(await names("run", trace, "--config", file)).toEqual(["npt"]);
  });

  it("refuses a technique that is given twice", async () => {
    const file = join(dir, "twice.json");
    writeFileSync(file, JSON.stringify({ format: "npt" }));
    const refused = async (...args: string[]) => {
      const run = await nestwalk(["compare", trace, "-t", "ept", ...args]);
      expect([run.code, run.stdout]).toEqual([2, ""]);
      return run.stderr;
    };
    expect(await refused("--set", "technique=native")).toBe(
      "nestwalk: --technique and --set technique=native both choose what the machine does; leave one out\n",
    );
    expect(await refused("--set", "format=npt")).toBe(
      "nestwalk: --technique and --set format=npt both choose what the machine does; leave one out\n",
    );
    expect(await refused("--config", file)).toBe(
      `nestwalk: --technique and format in ${file} both choose what the machine does; leave one out\n`,
    );
  });

  it("takes a machine of a result as a configuration", async () => {
    const file = join(dir, "machine.json");
    for (const args of [
      ["--cpu", "golden-cove", "-t", "shadow"],
      ["--cpu", "zen5", "-t", "npt", "--host-page", "2m", "--set", "clock.window=64"],
      ["--set", "caches.data=true", "-t", "native"],
    ]) {
      const first = JSON.parse((await nestwalk(["run", trace, "--json", "-", ...args])).stdout) as Result;
      writeFileSync(file, JSON.stringify(first.machines[0]!.config));
      const again = await nestwalk(["run", trace, "--json", "-", "--config", file]);
      expect([again.code, again.stderr]).toEqual([0, ""]);
      expect(JSON.parse(again.stdout).machines).toEqual(first.machines);
    }
  });

  it("puts direct options above --set, --set above the file, the file above the preset", async () => {
    const file = join(dir, "m.json");
    writeFileSync(file, JSON.stringify({ host: { page: "2m" }, clock: { walkers: 9, window: 8 } }));
    const args = ["run", trace, "--cpu", "zen3", "--config", file];
    const [a] = await configsOf(...args);
    expect([a!.cpu, a!.host.page, a!.clock.walkers, a!.clock.window]).toEqual(["zen3", "2m", 9, 8]);
    const [b] = await configsOf(
      ...args,
      "--set",
      "clock.window=16",
      "--set",
      "host.page=4k",
      "--host-page",
      "1g",
    );
    expect([b!.host.page, b!.clock.walkers, b!.clock.window]).toEqual(["1g", 9, 16]);
  });
});

describe("what is written", () => {
  const json = (text: string) => JSON.parse(text) as Result;

  it("leaves the warm-up out of the figures, and says so", async () => {
    const run = await nestwalk(["run", trace, "-t", "ept", "--warmup", "100"]);
    expect(run.code).toBe(0);
    expect(run.stdout).toContain("170 accesses");
    expect(run.stdout).toContain("the first 100 accesses not counted");
    const { stdout } = await nestwalk(["run", trace, "-t", "ept", "--warmup", "100", "--json", "-"]);
    const result = json(stdout);
    expect([result.trace.accesses, result.trace.warmup, result.config.warmup]).toEqual([170, 100, 100]);
    expect(result.machines[0]!.counters.accesses).toBe(70);
    expect(result.machines[0]!.oracle.checked).toBe(70);
    const beyond = await nestwalk(["run", trace, "--warmup", "170"]);
    expect([beyond.code, beyond.stderr]).toEqual([
      1,
      expect.stringContaining("the warm-up of 170 accesses leaves nothing to measure"),
    ]);
    const odd = await nestwalk(["run", trace, "--warmup", "1e3"]);
    expect([odd.code, odd.stderr]).toEqual([
      2,
      'nestwalk: --warmup is "1e3"; it must be a number of accesses, such as 1000000\n',
    ]);
  });

  it("has the guest memory that was recorded, unless another is asked for", async () => {
    const memory = async (...args: string[]) => {
      const { stdout } = await nestwalk(["run", trace, "-t", "ept", "--json", "-", ...args]);
      return json(stdout).machines[0]!.config.guest.memoryMiB;
    };
    expect(await memory()).toBe(64);
    expect(await memory("--set", "guest.memoryMiB=32")).toBe(32);
  });

  it("is a table and, to a file, the result", async () => {
    const path = join(dir, "out.json");
    const run = await nestwalk(["compare", trace, "-t", "native,ept", "--json", path]);
    expect([run.code, run.stderr]).toEqual([0, ""]);
    expect(run.stdout).toContain("guest.pgrec: 170 accesses");
    expect(run.stdout).toContain(
      "Oracle: 170 accesses checked against the recorded mapping, 0 mismatches in every machine.",
    );
    const result = json(readFileSync(path, "utf8"));
    expect([result.schema, result.trace.accesses, result.trace.format]).toEqual([1, 170, "pgrec1"]);
    expect(result.config).toEqual({ command: "compare", technique: ["native", "ept"] });
    expect(result.machines.map((m) => [m.technique, m.format, m.oracle.checked])).toEqual([
      ["native", null, 170],
      ["nested", "ept", 170],
    ]);
    expect(readdirSync(dir).filter((name) => name.endsWith(".tmp"))).toEqual([]);
  });

  it("is JSON and nothing else for --json -, the same bytes each time and with either core", async () => {
    const args = ["compare", trace, "-t", "native,npt", "--json", "-"];
    const run = await nestwalk(args);
    expect([run.code, run.stderr]).toEqual([0, ""]);
    expect(json(run.stdout).machines).toHaveLength(2);
    expect(run.stdout.endsWith("}\n")).toBe(true);
    expect(await nestwalk(args)).toEqual(run);
    expect(await nestwalk([...args, "--core", "scalar"])).toEqual(run);
  });

  it("is nothing for --quiet", async () => {
    expect(await nestwalk(["run", trace, "-q"])).toEqual({ code: 0, stdout: "", stderr: "" });
  });

  it("says what was asked for", async () => {
    const run = await nestwalk([
      "run",
      trace,
      "--cpu",
      "zen4",
      "--host-page",
      "2m",
      "--set",
      "seed=3",
      "--json",
      "-",
    ]);
    expect(json(run.stdout).config).toEqual({
      command: "run",
      technique: ["npt"],
      cpu: "zen4",
      set: ["seed=3"],
      hostPage: "2m",
    });
  });

  it("takes what a trace leaves open, and says so", async () => {
    const path = join(dir, "columns.txt");
    writeFileSync(path, "7;401000;R\n7;402008;W\n".repeat(40));
    const refused = await nestwalk(["run", path]);
    expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining("--columns")]);
    const run = await nestwalk([
      "run",
      path,
      "--columns",
      "pid,hex,kind",
      "--page-sizes",
      "2m",
      "--json",
      "-",
    ]);
    expect([run.code, run.stderr]).toEqual([0, ""]);
    const { config, trace: described } = json(run.stdout);
    expect(config).toEqual({ command: "run", technique: ["ept"], columns: "pid,hex,kind", pageSizes: "2m" });
    expect(described.recorded.pageSizes).toBe("2m");
  });

  it("is coloured only on a terminal that may be", async () => {
    const escapes = async (world: Parameters<typeof nestwalk>[1]) =>
      (await nestwalk(["run", trace], world)).stdout.includes("\x1b[");
    expect(await escapes({ tty: true })).toBe(true);
    expect(await escapes({})).toBe(false);
    expect(await escapes({ tty: true, env: { NO_COLOR: "1" } })).toBe(false);
    expect(await escapes({ tty: true, env: { TERM: "dumb" } })).toBe(false);
  });

  it("says before the replay when a file cannot be written", async () => {
    const refused = async (path: string) => {
      const run = await nestwalk(["run", trace, "--quiet", "--json", path], {
        compare: () => Promise.reject(new Error("the replay began")),
      });
      expect([run.code, run.stdout]).toEqual([1, ""]);
      return run.stderr;
    };
    const said = (path: string, why: string) =>
      `nestwalk: ${path} cannot be written (${why}); nothing was left behind\n`;
    const missing = join(dir, "none", "out.json");
    expect(await refused(missing)).toBe(said(missing, "its folder does not exist"));
    expect(await refused(dir)).toBe(said(dir, "it is a folder"));
    expect(await refused(`${dir}/new/`)).toBe(said(`${dir}/new/`, "it is a folder"));
    expect(await refused(`${trace}/x`)).toBe(said(`${trace}/x`, "part of its path is a file"));
  });

  it("shows what a trace says of itself without its control characters", async () => {
    const path = join(dir, "evil\x1b[31m\n.pgrec");
    const meta = "six\x1b]0;teen\x07\npages\u202e";
    writeFileSync(path, pgrec1File(pagesGuest(2), { ram_mb: 64, fetch: "insn", meta }));
    const { code, stdout, stderr } = await nestwalk(["run", path]);
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout.split("\n")[0]).toBe(
      `${dir}/evil\\x1b[31m\\n.pgrec: 34 accesses, ${stdout.match(/, (\d+) events/)![1]} events`,
    );
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not be there
    expect(stdout).not.toMatch(/[\x00-\x09\x0b-\x1f\u202e]/);
    const missing = await nestwalk(["run", join(dir, "no\nsuch\x1bfile")]);
    expect(missing.stderr).toBe(`nestwalk: ${dir}/no\\nsuch\\x1bfile does not exist; check the path\n`);
  });

  it("fails, after the result, when a law is broken or the recording contradicted", async () => {
    const spoiled = async (spoil: (result: Result) => void) => {
      const run = await nestwalk(["run", trace, "--json", "-"], {
        compare: async (...args) => {
          const result = await compare(...args);
          spoil(result);
          return result;
        },
      });
      expect([run.code, json(run.stdout).schema]).toEqual([1, 1]);
      return run.stderr;
    };
    expect(
      await spoiled((r) =>
        r.machines[0]!.laws.push({ name: "walks", holds: false, detail: "walks 1 = misses 2" }),
      ),
    ).toBe('nestwalk: ept breaks the conservation law "walks": walks 1 = misses 2\n');
    expect(
      await spoiled((r) =>
        Object.assign(r.machines[0]!.oracle, { mismatches: 2, first: "event 5: the read" }),
      ),
    ).toBe(
      "nestwalk: ept contradicts the recorded mapping in 2 of 170 accesses; the first: event 5: the read\n",
    );
  });
});

describe("an interruption", () => {
  it("exits 130 and leaves nothing", async () => {
    const interrupt = new AbortController();
    interrupt.abort();
    const out = join(dir, "interrupted.nwt");
    expect(await nestwalk(["run", trace], { signal: interrupt.signal })).toEqual({
      code: 130,
      stdout: "",
      stderr: "",
    });
    expect((await nestwalk(["trace", "convert", trace, out], { signal: interrupt.signal })).code).toBe(130);
    expect(readdirSync(dir).filter((name) => name.startsWith("interrupted"))).toEqual([]);
  });
});

describe("the progress line", () => {
  it("says share, rate and time left", () => {
    const at = { fraction: 0.25, accesses: 3_000_000 };
    expect(progressLine(at, 4, 1000)).toBe(" 25 %  12.0 M accesses/s  3 s left");
    expect(progressLine({ ...at, fraction: undefined }, 1, 2000)).toBe("3.0 M accesses  1.5 M accesses/s");
    expect([duration(0.2), duration(59.4), duration(65), duration(600)]).toEqual([
      "0 s",
      "59 s",
      "1:05 min",
      "10:00 min",
    ]);
  });

  it("appears after half a second, on a terminal only, and is taken away", () => {
    const drawn = (isTTY: boolean, quiet: boolean) => {
      const texts: string[] = [];
      let time = 0;
      const stderr = { write: (text: string) => texts.push(text), isTTY, columns: 80 };
      const io = { stdout: stderr, stderr, env: {}, signal: new AbortController().signal };
      const progress = startProgress(io, 1, quiet, () => time);
      for (time = 0; time <= 700; time += 50)
        progress.update({ fraction: time / 1000, accesses: time * 10_000 });
      progress.end();
      return texts;
    };
    expect(drawn(true, false)).toEqual([
      "\r\x1b[K 50 %  10.0 M accesses/s  1 s left",
      "\r\x1b[K 60 %  10.0 M accesses/s  0 s left",
      "\r\x1b[K 70 %  10.0 M accesses/s  0 s left",
      "\r\x1b[K",
    ]);
    expect(drawn(false, false)).toEqual([]);
    expect(drawn(true, true)).toEqual([]);
  });
});
