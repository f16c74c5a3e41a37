import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import type { Explanation } from "../src/explain/types.js";
import { ansi } from "../src/report/style.js";
import { nestwalk } from "./cli/capture.js";

const trace = fileURLToPath(new URL("./fixtures/redis.nwt", import.meta.url));
const dir = mkdtempSync(join(tmpdir(), "nestwalk-explain-"));
afterAll(() => rmSync(dir, { recursive: true }));

describe("nestwalk explain", () => {
  it("explains an access as text, and as JSON beside it", async () => {
    const json = join(dir, "one.json");
    const run = await nestwalk([
      "explain",
      trace,
      "--at",
      "5000",
      "--next",
      "walk",
      "-t",
      "ept",
      "--json",
      json,
    ]);
    expect([run.code, run.stderr]).toEqual([0, ""]);
    const [it] = JSON.parse(readFileSync(json, "utf8")) as Explanation[];
    expect(it!.what).toBe("replayed");
    expect(run.stdout).toContain(`access ${it!.at!.access.toLocaleString("en-US")} (record`);
    expect(run.stdout).toContain(`${it!.walks[0]!.references} reference`);
    expect(run.stdout).toContain("EPT PML4E  EPT PDPTE  EPT PDE  EPT PTE  entry");
    const only = await nestwalk([
      "explain",
      trace,
      "--at",
      "5000",
      "--next",
      "walk",
      "-t",
      "ept",
      "--json",
      "-",
    ]);
    expect(only.stdout).toBe(readFileSync(json, "utf8"));
  });

  it("asks what an access to an address would do, at the end of the trace or before", async () => {
    const run = await nestwalk([
      "explain",
      trace,
      "--va",
      "0x10",
      "--mode",
      "user",
      "--access",
      "write",
      "-t",
      "native",
    ]);
    expect(run.stdout).toContain("what a write at 0x10 by user mode would do after access ");
    expect(run.stdout).toContain("page fault, error code 0x6 (W/R, U/S): ");
    const early = await nestwalk(["explain", trace, "--va", "16", "--at", "100", "--cold", "-t", "npt"]);
    expect(early.stdout).toContain("after access 100 (record ");
    expect(early.stdout).toContain(", with TLBs and\npaging-structure caches empty");
  });

  it("colours for a terminal", async () => {
    const run = await nestwalk(["explain", trace, "--at", "5000", "-t", "native"], { tty: true });
    expect(run.stdout).toContain(ansi("good", "translated").slice(0, 8));
  });

  it.each<[string[], number, string]>([
    [[], 2, "explain needs --at N, the access to explain; or --event, --next or --va"],
    [["--at", "0"], 2, '--at is "0"; it must be a whole number from 1, such as 100000 or 2M'],
    [["--at", "1", "--event", "1"], 2, "--at and --event both say where; leave one out"],
    [["--at", "1", "--next", "hit"], 2, '--next is "hit"; it must be walk, fault or exit'],
    [["--va", "0x1g"], 2, '--va is "0x1g"; it must be an address of up to 64 bits, such as 0x7f00deadb000'],
    [["--va", "1", "--access", "x"], 2, '--access is "x"; it must be read, write or fetch'],
    [["--at", "1", "--cold"], 2, "--cold is about an address that is asked for; give --va as well"],
    [
      ["--va", "1", "--count", "2"],
      2,
      "--count is about what the trace does, and --va asks what it does not do; leave one out",
    ],
    [["--at", "1", "-t", "ept,npt"], 2, "explain replays one machine, but --technique names 2"],
  ])("refuses %j", async (args, code, sentence) => {
    const run = await nestwalk(["explain", trace, ...args]);
    expect([run.code, run.stdout, run.stderr]).toEqual([code, "", `nestwalk: ${sentence}\n`]);
  });

  it("says where the trace ends", async () => {
    const run = await nestwalk(["explain", trace, "--at", "1G"]);
    expect([run.code, run.stdout]).toEqual([1, ""]);
    expect(run.stderr).toMatch(
      /^nestwalk: there is no access 1000000000: .*redis\.nwt has \d+ accesses in \d+ records\n$/,
    );
    const none = await nestwalk(["explain", trace, "--at", "1", "--next", "exit", "-t", "native"]);
    expect(none.stderr).toMatch(/^nestwalk: there is no access from access 1 on that exits: /);
    const record = await nestwalk(["explain", trace, "--event", "99999999"]);
    expect(record.stderr).toMatch(/^nestwalk: there is no record 99999999: /);
  });
});
