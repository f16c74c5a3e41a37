import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import { pagesGuest } from "./cli/guest.js";
import { pgrec1File } from "./fixtures/traces.js";

/** The command as it is installed. `npm ci` builds it. */
const program = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));
const dir = mkdtempSync(join(tmpdir(), "nestwalk-cli-"));
afterAll(() => rmSync(dir, { recursive: true }));

function start(...args: string[]): ChildProcess {
  return spawn(process.execPath, [program, ...args], { stdio: ["pipe", "pipe", "pipe"] });
}

async function ended(child: ChildProcess): Promise<{ code: number | null; stdout: string; stderr: string }> {
  let [stdout, stderr] = ["", ""];
  child.stdout!.on("data", (bytes) => (stdout += bytes));
  child.stderr!.on("data", (bytes) => (stderr += bytes));
  const code = await new Promise<number | null>((resolve) => child.on("close", resolve));
  return { code, stdout, stderr };
}

describe.runIf(existsSync(program))("the process", () => {
  const trace = join(dir, "guest.pgrec");
  writeFileSync(trace, pgrec1File(pagesGuest(10)));

  it("exits 0, 1 and 2, with one line on stderr", async () => {
    expect((await ended(start("run", trace, "-q"))).code).toBe(0);
    const missing = await ended(start("run", join(dir, "none")));
    expect(missing).toEqual({
      code: 1,
      stdout: "",
      stderr: `nestwalk: ${join(dir, "none")} does not exist; check the path\n`,
    });
    expect(await ended(start("rum"))).toEqual({
      code: 2,
      stdout: "",
      stderr: "nestwalk: rum is not a command; did you mean run?\n",
    });
  });

  it("reads a trace from standard input", async () => {
    const child = start("run", "-", "--json", "-");
    child.stdin!.end(pgrec1File(pagesGuest(10)));
    const { code, stdout } = await ended(child);
    expect([code, JSON.parse(stdout).trace.file, JSON.parse(stdout).trace.accesses]).toEqual([
      0,
      "standard input",
      170,
    ]);
  });

  it("is silent when its reader goes away", async () => {
    const child = start("schema");
    child.stdout!.destroy();
    const stderr: string[] = [];
    child.stderr!.on("data", (bytes) => stderr.push(String(bytes)));
    const code = await new Promise((resolve) => child.on("exit", resolve));
    expect([code, stderr.join("")]).toEqual([0, ""]);
  });

  it("exits 130 on Ctrl-C and leaves no file", async () => {
    /* Standard input that never ends: the work is under way until it is interrupted. */
    const out = join(dir, "never.nwt");
    const child = start("trace", "convert", "-", out);
    child.stdin!.write(pgrec1File(pagesGuest(50_000, false)));
    const result = ended(child);
    const feed = setInterval(
      () => child.stdin!.writable && child.stdin!.write(new Uint8Array([0x50, 0x50])),
      20,
    );
    child.stdin!.on("error", () => {});
    const opened = () => readdirSync(dir).some((name) => name.startsWith("never"));
    for (let i = 0; i < 200 && !opened(); ++i) await new Promise((resolve) => setTimeout(resolve, 25));
    child.kill("SIGINT");
    const { code, stderr } = await result;
    clearInterval(feed);
    expect([code, stderr]).toEqual([130, ""]);
    expect(readdirSync(dir).filter((name) => name.startsWith("never"))).toEqual([]);
  });
});
