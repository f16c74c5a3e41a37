import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parquetReadObjects } from "hyparquet";
import { afterAll, beforeEach, describe, expect, it } from "vitest";
import { besides } from "../src/cli/outputs.js";
import type { Result } from "../src/result.js";
import { describeInChromium } from "./browser/chromium.js";
import { nestwalk } from "./cli/capture.js";
import { pagesGuest } from "./cli/guest.js";
import { pgrec1File } from "./fixtures/traces.js";

const home = mkdtempSync(join(tmpdir(), "nestwalk-outputs-"));
afterAll(() => rmSync(home, { recursive: true }));
const trace = join(home, "guest.pgrec");
writeFileSync(trace, pgrec1File(pagesGuest(10)));

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(home, "run-"));
});
const compare = (...args: string[]) => nestwalk(["compare", trace, "-t", "native,ept", ...args]);
const bytes = (path: string) => {
  const file = readFileSync(path);
  return file.buffer.slice(file.byteOffset, file.byteOffset + file.length) as ArrayBuffer;
};

describe("what compare writes", () => {
  it("is a report, and says where", async () => {
    const path = join(dir, "report.html");
    const run = await compare("--html", path);
    expect([run.code, run.stderr]).toEqual([0, ""]);
    expect(run.stdout.trimEnd().split("\n").at(-1)).toBe(`Report: ${path}`);
    const page = readFileSync(path, "utf8");
    expect(page).toContain("<h1>");
    expect(page.length).toBeLessThan(6e6);
    expect(readdirSync(dir)).toEqual(["report.html"]);
    expect((await compare("--html", path, "--quiet")).stdout).toBe("");
    expect(readFileSync(path, "utf8")).toBe(page);
  });

  it("is a report whose command gives it again", async () => {
    const file = join(dir, "machine.json");
    writeFileSync(file, JSON.stringify({ technique: "nested", format: "npt", cpu: "zen4" }));
    for (const args of [
      ["compare", trace],
      ["compare", trace, "-t", "shadow,npt", "--cpu", "zen5", "--warmup", "10", "--interval", "50"],
      ["compare", trace, "--set", "technique=shadow", "--set", "clock.window=8", "--host-page", "2m"],
      ["compare", trace, "--set", "format=npt", "--vary", "tlb.l2.0.entries=384,768"],
      ["run", trace, "--config", file],
      ["run", "synth:random,instructions=500", "--vary", "trace.seed=1,2"],
    ]) {
      const [first, again] = [join(dir, "first.html"), join(dir, "again.html")];
      const here = args.includes("--vary") ? ["--jobs", "1", "--quiet"] : ["--quiet"];
      expect(await nestwalk([...args, ...here, "--html", first])).toEqual({
        code: 0,
        stdout: "",
        stderr: "",
      });
      const [, code] = /<pre><code>(.*?)<\/code>/.exec(readFileSync(first, "utf8"))!;
      const [npx, name, ...words] = code!.replace(/<[^>]*>/g, "").split(" ");
      expect([npx, name]).toEqual(["npx", "nestwalk"]);
      const run = await nestwalk([...words, ...here, "--html", again]);
      expect([run.code, run.stderr]).toEqual([0, ""]);
      expect(readFileSync(again).equals(readFileSync(first))).toBe(true);
    }
  });

  it("is the same rows as CSV and as Parquet, and the figures of the result", async () => {
    const [csv, parquet, json] = ["o.csv", "o.parquet", "o.json"].map((name) => join(dir, name)) as [
      string,
      string,
      string,
    ];
    expect((await compare("--csv", csv, "--parquet", parquet, "--json", json)).code).toBe(0);
    const result = JSON.parse(readFileSync(json, "utf8")) as Result;
    const [head, ...lines] = readFileSync(csv, "utf8").trimEnd().split("\n");
    expect(head).toBe("trace,machine,technique,cpu,hostPage,group,metric,value,unit");
    expect(lines).toContain(
      `${trace},1,ept,skylake-sp,4k,counters,walks,${result.machines[1]!.counters.walks},walks`,
    );
    const rows = await parquetReadObjects({ file: bytes(parquet) });
    expect(rows.map((row) => Object.values(row).join(","))).toEqual(lines);
  });

  it("has intervals in files beside", async () => {
    await compare("--interval", "50", "--csv", join(dir, "o.csv"), "--parquet", join(dir, "o.parquet"));
    expect(readdirSync(dir).sort()).toEqual(["o.csv", "o.intervals.csv", "o.intervals.parquet", "o.parquet"]);
    const [head, first] = readFileSync(join(dir, "o.intervals.csv"), "utf8").split("\n");
    expect(head).toBe(
      "trace,machine,technique,cpu,hostPage,interval,start,end,marker,group,metric,value,unit",
    );
    expect(first).toBe(`${trace},0,native,skylake-sp,4k,0,0,50,,counters,accesses,50,accesses`);
    expect([besides("a.b/c", "intervals"), besides("a/.csv", "x"), besides("a.tar.gz", "x")]).toEqual([
      "a.b/c.intervals",
      "a/.csv.x",
      "a.tar.x.gz",
    ]);
  });

  it("is CSV and nothing else for --csv -", async () => {
    const run = await compare("--csv", "-");
    expect([run.code, run.stderr]).toEqual([0, ""]);
    expect(run.stdout.split("\n")[0]).toBe("trace,machine,technique,cpu,hostPage,group,metric,value,unit");
    expect(run.stdout).not.toContain("Oracle");
  });
});

describeInChromium("what compare draws", () => {
  it.skipIf(!existsSync("/proc/self"))("is nothing where no folder can be made", async () => {
    const run = await compare("--png", "/proc/nothing/here", "--quiet");
    expect(run).toEqual({
      code: 1,
      stdout: "",
      stderr: "nestwalk: /proc/nothing/here cannot be written to (its folder does not exist)\n",
    });
  });

  it("is a PNG for each figure", async () => {
    const run = await compare("--png", join(dir, "figures"), "--quiet");
    expect(run).toEqual({ code: 0, stdout: "", stderr: "" });
    expect(readdirSync(join(dir, "figures")).sort()).toEqual([
      "cycles.png",
      "exits.png",
      "references-found.png",
      "walk-ept.png",
      "walk-lengths.png",
    ]);
  });
});

describe("what cannot be written", () => {
  const refused = async (...args: string[]) => {
    const run = await nestwalk(["run", trace, ...args], {
      compare: () => Promise.reject(new Error("the replay began")),
    });
    expect(run.stdout).toBe("");
    return [run.code, run.stderr];
  };

  it("is said before the replay", async () => {
    const missing = join(dir, "none", "out");
    for (const option of ["--csv", "--parquet", "--html"])
      expect(await refused(option, missing)).toEqual([
        1,
        `nestwalk: ${missing} cannot be written (its folder does not exist); nothing was left behind\n`,
      ]);
    expect(await refused("--png", trace)).toEqual([
      1,
      `nestwalk: ${trace} is a file, and --png needs a folder; name another\n`,
    ]);
    expect(await refused("--png", join(trace, "below"))).toEqual([
      1,
      `nestwalk: ${join(trace, "below")} cannot be written to (part of its path is a file)\n`,
    ]);
    expect(readdirSync(dir)).toEqual([]);
  });

  it("is two outputs to one place, or a report to standard output", async () => {
    expect(await refused("--csv", "-", "--json", "-")).toEqual([
      2,
      "nestwalk: --json and --csv both write to standard output; choose another place for one\n",
    ]);
    const path = join(dir, "x");
    expect(await refused("--csv", path, "--html", `${dir}/./x`)).toEqual([
      2,
      `nestwalk: --csv and --html both write to ${dir}/./x; choose another place for one\n`,
    ]);
    const [rows, beside] = [join(dir, "o.csv"), join(dir, "o.intervals.csv")];
    expect(await refused("--interval", "50", "--json", beside, "--csv", rows)).toEqual([
      2,
      `nestwalk: --json and --csv both write to ${beside}; choose another place for one\n`,
    ]);
    expect(await refused("--html", "-")).toEqual([
      2,
      "nestwalk: --html cannot go to standard output; name a file\n",
    ]);
  });

  it("is a picture without a browser", async () => {
    const before = process.env.CHROMIUM;
    process.env.CHROMIUM = "/nonexistent/chromium";
    try {
      expect(await refused("--png", join(dir, "png"))).toEqual([
        1,
        "nestwalk: /nonexistent/chromium does not start as a browser; name a Chromium by the environment variable CHROMIUM\n",
      ]);
    } finally {
      if (before === undefined) delete process.env.CHROMIUM;
      else process.env.CHROMIUM = before;
    }
    expect(existsSync(join(dir, "png"))).toBe(false);
  });
});
