import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { machineSchema } from "../src/config/index.js";
import { version } from "../src/generated/version.js";
import { nestwalk } from "./cli/capture.js";
import { pagesGuest } from "./cli/guest.js";
import { pgrec1File } from "./fixtures/traces.js";

const dir = mkdtempSync(join(tmpdir(), "nestwalk-cli-"));
afterAll(() => rmSync(dir, { recursive: true }));
const trace = join(dir, "guest.pgrec");
writeFileSync(trace, pgrec1File(pagesGuest(2)));
const config = (text: string, name = "m.json") => {
  writeFileSync(join(dir, name), text);
  return join(dir, name);
};

describe("help", () => {
  it("is printed for nestwalk and for each command", async () => {
    for (const args of [["--help"], ["-h"], ["help"]]) {
      const run = await nestwalk(args);
      expect([run.code, run.stderr]).toEqual([0, ""]);
      expect(run.stdout).toMatch(/^nestwalk: what does virtualization cost a memory access\?\n/);
    }
    for (const command of ["compare", "run", "presets", "schema", "trace"]) {
      const run = await nestwalk([command, "--help"]);
      expect([run.code, run.stderr]).toEqual([0, ""]);
      expect(run.stdout).toMatch(new RegExp(`^nestwalk ${command} `));
      expect(run.stdout).toContain("\nExamples\n");
      expect(await nestwalk(["help", command])).toEqual(run);
      for (const line of run.stdout.split("\n")) expect(line.length).toBeLessThanOrEqual(80);
    }
  });

  it("is what nestwalk alone prints, as a usage error", async () => {
    const run = await nestwalk([]);
    expect([run.code, run.stdout.includes("First steps")]).toEqual([2, true]);
  });

  it("has the version", async () => {
    expect(await nestwalk(["--version"])).toEqual({ code: 0, stdout: `${version}\n`, stderr: "" });
  });
});

const KEYS = Object.keys(machineSchema.shape).join(", ");

describe("a command line that cannot be used exits 2 with one sentence", () => {
  it.each([
    [["comapre"], "comapre is not a command; did you mean compare?"],
    [["zzz"], "zzz is not a command; see nestwalk --help"],
    [["--verison"], "--verison is not an option; did you mean --version?"],
    [["toString"], "toString is not a command; see nestwalk --help"],
    [["compare"], "compare needs TRACE: nestwalk compare TRACE"],
    [["run", "a", "b"], 'run takes only TRACE, but was also given "b"'],
    [
      ["compare", trace, "--tecnique", "ept"],
      "--tecnique is not an option of compare; did you mean --technique?",
    ],
    [["compare", trace, "--xyzzy"], "--xyzzy is not an option of compare; see nestwalk compare --help"],
    [
      ["compare", trace, "--constructor"],
      "--constructor is not an option of compare; see nestwalk compare --help",
    ],
    [
      ["compare", trace, "--__proto__=1"],
      "--__proto__ is not an option of compare; see nestwalk compare --help",
    ],
    [
      ["compare", trace, `--${"x".repeat(100_000)}`],
      `--${"x".repeat(75)}... is not an option of compare; see nestwalk compare --help`,
    ],
    [["__proto__"], "__proto__ is not a command; see nestwalk --help"],
    [["run", ""], "run was given an empty TRACE; name a file"],
    [
      ["run", trace, "--set", "__proto__=1"],
      `--set __proto__=1: "__proto__" is not a key; the keys are ${KEYS}`,
    ],
    [["compare", trace, "--json"], "--json needs a value; see nestwalk compare --help"],
    [["compare", trace, "--cpu", "--quiet"], "--cpu needs a value; see nestwalk compare --help"],
    [
      ["trace", "cut", trace, "out.nwt", "--start", "-1"],
      '--start needs a value; if that is "-1", write --start=-1',
    ],
    [
      ["trace", "info", trace, "--columns", "-,hex"],
      '--columns needs a value; if that is "-,hex", write --columns=-,hex',
    ],
    [["compare", trace, "--quiet=yes"], '--quiet takes no value, but was given "yes"'],
    [["compare", trace, "--cpu", "zen2", "--cpu", "zen3"], "--cpu is given twice"],
    [
      ["compare", trace, "--cpu", "zen2", "--set", "cpu=zen3"],
      "--cpu and --set cpu=zen3 both choose the CPU; leave one out",
    ],
    [["compare", trace, "--cpu", "zen22"], 'cpu "zen22" is not a preset; did you mean "zen2"?'],
    [["compare", trace, "--host-page", "8k"], 'host.page is "8k"; it must be 4k, 2m or 1g'],
    [["compare", trace, "--technique", "epr"], 'technique "epr" is not known; did you mean "ept"?'],
    [
      ["run", trace, "--technique", "ept,npt"],
      "run replays one machine, but --technique names 2; use nestwalk compare",
    ],
    [["run", trace, "--core", "wasm"], '--core is "wasm"; it must be simd or scalar'],
    [
      ["compare", trace, "--set", "host.levels=3"],
      "host.levels is 3; EPT has 4 or 5 levels, only NPT of a PAE host has 3",
    ],
    [
      ["compare", trace, "--set", "walkers=2"],
      '--set walkers=2: "walkers" is not a key; did you mean "clock.walkers"?',
    ],
    [
      ["compare", trace, "--config", join(dir, "none.json")],
      `--config ${join(dir, "none.json")} does not exist`,
    ],
    [["compare", trace, "--config", dir], `--config ${dir} is a folder`],
    [
      ["compare", trace, "--config", config('{"clock":{"windw":3}}')],
      `${join(dir, "m.json")}: "clock.windw" is not a key; did you mean "clock.window"?`,
    ],
    [["presets", "zen33"], 'cpu "zen33" is not a preset; did you mean "zen3"?'],
    [["presets", "zen2", "zen3"], 'presets takes one NAME, but was also given "zen3"'],
    [["schema", "x"], 'schema takes no argument, but was also given "x"'],
    [["trace"], "trace needs a command, such as info; see nestwalk trace --help"],
    [["trace", "inof"], "trace inof is not a command; did you mean trace info?"],
    [["trace", "convert", "a"], "trace convert needs OUT: nestwalk trace convert IN OUT"],
  ] as [string[], string][])("%j", async (args, sentence) => {
    expect(await nestwalk(args)).toEqual({ code: 2, stdout: "", stderr: `nestwalk: ${sentence}\n` });
  });
});

describe("a trace that cannot be used exits 1 with one sentence", () => {
  const cut = join(dir, "cut.pgrec");
  writeFileSync(cut, pgrec1File(pagesGuest(20)).slice(0, -40));
  const noEnd = join(dir, "noend.pgrec");
  writeFileSync(noEnd, pgrec1File(pagesGuest(2, false)));
  const text = join(dir, "notes.txt");
  writeFileSync(text, "hello\n");

  it.each([
    [["compare", join(dir, "none.nwt")], `${join(dir, "none.nwt")} does not exist; check the path`],
    [["compare", dir], `${dir} is a directory; name a trace file in it`],
    [["run", `${trace}/`], `${trace}/ does not exist, as part of its path is a file; check the path`],
    [
      ["run", text],
      `${text} is text, not a trace: no format has lines such as "hello"; nestwalk trace formats lists what can be read; text in columns of its own is read with --columns, such as --columns hex,kind,size`,
    ],
  ])("%j", async (args, sentence) => {
    expect(await nestwalk(args)).toEqual({ code: 1, stdout: "", stderr: `nestwalk: ${sentence}\n` });
  });

  it("says how much of a truncated trace is good, and replays that when allowed", async () => {
    const json = join(dir, "cut.json");
    const refused = await nestwalk(["run", cut, "--json", json]);
    expect([refused.code, refused.stdout]).toEqual([1, ""]);
    expect(refused.stderr).toMatch(/^nestwalk: .*truncated.*\d+.*\n$/);
    expect(readdirSync(dir)).not.toContain("cut.json");
    const allowed = await nestwalk(["run", cut, "--allow-truncated", "--json", json]);
    expect(allowed.code).toBe(0);
    expect(allowed.stderr).toMatch(/^nestwalk: .* ends at byte \d+; its \d+ whole events were replayed\n$/);
    expect(allowed.stdout).toContain("truncated at byte");
    expect(readdirSync(dir)).toContain("cut.json");
  });

  it("wants an END", async () => {
    const run = await nestwalk(["run", noEnd]);
    expect([run.code, run.stderr.startsWith("nestwalk: "), run.stderr.split("\n").length]).toEqual([
      1,
      true,
      2,
    ]);
  });

  it("never shows a stack", async () => {
    const run = await nestwalk(["run", trace], {
      compare: () => Promise.reject(new TypeError("x is not a function\n    at y")),
    });
    expect(run).toEqual({
      code: 1,
      stdout: "",
      stderr:
        "nestwalk: an error of nestwalk itself: TypeError: x is not a function; please report it with the command line\n",
    });
  });
});
