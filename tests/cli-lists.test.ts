import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { jsonSchema } from "../src/config/index.js";
import { nestwalk } from "./cli/capture.js";
import { pagesGuest } from "./cli/guest.js";
import { pgrec1File } from "./fixtures/traces.js";

const dir = mkdtempSync(join(tmpdir(), "nestwalk-cli-"));
afterAll(() => rmSync(dir, { recursive: true }));

describe("nestwalk presets", () => {
  it("lists the CPUs", async () => {
    const { code, stdout } = await nestwalk(["presets"]);
    const names = stdout
      .split("\n")
      .slice(0, 8)
      .map((line) => line.split(" ")[0]);
    expect([code, names]).toEqual([
      0,
      ["sandy-bridge", "haswell", "skylake-sp", "golden-cove", "zen2", "zen3", "zen4", "zen5"],
    ]);
    expect(stdout).toMatch(
      /skylake-sp .* \d+ of \d+ numbers published, \d+ fitted to measured curves, the default\n/,
    );
  });

  it("prints each number of one with its source", async () => {
    const { stdout } = await nestwalk(["presets", "skylake-sp"]);
    expect(stdout).toMatch(
      /\ntlb\.l2\.0\.ways +12 {2}Intel Optimization Reference Manual, Skylake and WikiChip; CPUID says 6\n/,
    );
    expect(stdout).toMatch(/\nexits\.hardwareCycles +784 {2}estimate: not published for Skylake-SP; Agesen/);
    const json = JSON.parse((await nestwalk(["presets", "zen5", "--json"])).stdout);
    expect(json[0].values).toContainEqual({
      path: "psc.pde.entries",
      value: 1792,
      source:
        "estimate: fitted to measured curves of nested paging on Zen 5 (exp2t pdpte and pml4e: 3.0 %; 3.1 % with 2048 entries, 4.0 % with 1024), 256 sets x 8 ways of which 7 are usable, shared with PDPTEs",
    });
  });
});

describe("on a terminal", () => {
  const screen = async (columns: number, ...args: string[]) => {
    const out: string[] = [];
    const stdout = { write: (text: string) => out.push(text), isTTY: true, columns };
    await nestwalk(args, { stdout });
    return out.join("").trimEnd().split("\n");
  };

  it.each([60, 80])("lists stay within %i columns and lose no word", async (columns) => {
    for (const args of [["presets"], ["presets", "zen5"], ["schema", "--keys"]]) {
      const lines = await screen(columns, ...args);
      expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(columns);
      const words = (text: string) => text.split(/\s+/).filter(Boolean);
      expect(words(lines.join(" "))).toEqual(words((await nestwalk(args)).stdout));
    }
  });

  it("hangs what is said beside what it is said of", async () => {
    const lines = await screen(80, "schema", "--keys");
    const at = lines.findIndex((line) => line.startsWith("format "));
    const [first, second] = lines.slice(at, at + 2) as [string, string];
    expect(first).toMatch(/ Second stage of nested paging:/);
    expect(second.trimStart()).toMatch(/^Intel EPT/);
    expect(second.length - second.trimStart().length).toBe(first.indexOf("Second"));
  });

  it("help of every command stays within the width", async () => {
    for (const columns of [50, 80, 200])
      for (const command of ["compare", "run", "presets", "schema"]) {
        const lines = await screen(columns, command, "--help");
        expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(Math.min(columns, 80));
      }
    expect((await screen(50, "run", "--help")).join("\n")).toContain(`
  -q, --quiet          no table and no progress
                       line
`);
  });
});

describe("nestwalk schema", () => {
  it("prints the JSON Schema, or a list of keys", async () => {
    expect(JSON.parse((await nestwalk(["schema"])).stdout)).toEqual(jsonSchema());
    const { stdout } = await nestwalk(["schema", "--keys"]);
    expect(stdout).toMatch(
      /\nclock\.walkers +2 +Page walkers; a walk holds one from start to end\. \(an integer from 1 to 16\)\n/,
    );
    expect(stdout).toMatch(/\nhost\.page +4k +Largest host page that backs the guest\. \(4k, 2m or 1g\)\n/);
  });
});

describe("nestwalk trace", () => {
  const pgrec = join(dir, "guest.pgrec");
  writeFileSync(pgrec, pgrec1File(pagesGuest(10)));
  const nwt = join(dir, "guest.nwt");

  it("converts to .nwt, and tells what a file holds", async () => {
    const converted = await nestwalk(["trace", "convert", pgrec, nwt]);
    const bytes = readFileSync(nwt).length;
    expect(converted).toEqual({
      code: 0,
      stdout: `${nwt}: ${bytes.toLocaleString("en")} bytes\n`,
      stderr: "",
    });
    const { stdout } = await nestwalk(["trace", "info", nwt]);
    expect(stdout).toMatch(/\n {2}format +nwt, version 1\n/);
    expect(stdout).toMatch(/\n {2}accesses +170: 10 fetches, 160 reads, 0 writes\n/);
    const facts = ["events", "accesses", "fetches", "reads", "writes", "streamBytes"] as const;
    const [a, b] = await Promise.all(
      [pgrec, nwt].map(async (file) =>
        JSON.parse((await nestwalk(["trace", "info", file, "--json"])).stdout),
      ),
    );
    for (const fact of facts) expect(b[fact]).toBe(a[fact]);
    expect([a.format, b.format, b.accesses]).toEqual(["pgrec1", "nwt", 170]);
  });

  it("replays the converted file to the same figures", async () => {
    const figures = async (file: string) =>
      JSON.parse((await nestwalk(["compare", file, "-t", "native,ept,npt", "--json", "-"])).stdout).machines;
    expect(await figures(nwt)).toEqual(await figures(pgrec));
  });
});
