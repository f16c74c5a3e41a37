import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
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

const leftovers = () => readdirSync(dir).filter((name) => name.endsWith(".tmp"));

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

  it("writes the result even when nobody reads the table", async () => {
    const out = join(dir, "unread.json");
    const child = start("run", trace, "--json", out);
    child.stdout!.destroy();
    const code = await new Promise((resolve) => child.on("exit", resolve));
    expect([code, JSON.parse(readFileSync(out, "utf8")).trace.accesses]).toEqual([0, 170]);
    expect(leftovers()).toEqual([]);
  });

  it("says that standard output is full", async () => {
    if (!existsSync("/dev/full")) return;
    const full = openSync("/dev/full", "w");
    const child = spawn(process.execPath, [program, "run", trace], { stdio: ["ignore", full, "pipe"] });
    closeSync(full);
    const stderr: string[] = [];
    child.stderr!.on("data", (bytes) => stderr.push(String(bytes)));
    const code = await new Promise((resolve) => child.on("close", resolve));
    expect([code, stderr.join("")]).toEqual([
      1,
      "nestwalk: standard output cannot be written (the disk is full)\n",
    ]);
    const file = await ended(start("run", trace, "-q", "--json", "/dev/full"));
    expect(file.stderr).toBe(
      "nestwalk: /dev/full cannot be written (the disk is full); nothing was left behind\n",
    );
  });

  it("says that standard input is a directory", async () => {
    const folder = openSync(dir, "r");
    const child = spawn(process.execPath, [program, "run", "-"], { stdio: [folder, "pipe", "pipe"] });
    closeSync(folder);
    expect(await ended(child)).toEqual({
      code: 1,
      stdout: "",
      stderr: "nestwalk: standard input is a directory; name a trace file in it\n",
    });
  });

  it.runIf(process.platform !== "win32")("reads and writes pipes by name", async () => {
    const input = join(dir, "in.fifo");
    const output = join(dir, "out.fifo");
    execFileSync("mkfifo", [input, output]);
    const child = ended(start("run", input, "-q", "--json", output));
    const reader = spawn("cat", [output], { stdio: ["ignore", "pipe", "inherit"] });
    const text: string[] = [];
    reader.stdout.on("data", (bytes) => text.push(String(bytes)));
    spawn("cp", ["--", trace, input], { stdio: "ignore" });
    expect(await child).toEqual({ code: 0, stdout: "", stderr: "" });
    if (reader.exitCode === null) await new Promise((resolve) => reader.on("close", resolve));
    expect(JSON.parse(text.join("")).trace.accesses).toBe(170);
    for (const path of [input, output])
      expect(execFileSync("stat", ["-c", "%F", path]).toString()).toBe("fifo\n");
  });

  it.runIf(process.platform !== "win32").each(["SIGINT", "SIGTERM", "SIGHUP"] as const)(
    "ends by %s while it waits for a pipe",
    async (signal) => {
      const path = join(dir, `${signal}.fifo`);
      execFileSync("mkfifo", [path]);
      const code = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 }[signal];
      for (const args of [
        ["run", path],
        ["run", trace, "-q", "--json", path],
      ]) {
        const child = start(...args);
        const result = ended(child);
        await new Promise((resolve) => setTimeout(resolve, 1500));
        child.kill(signal);
        expect(await result).toEqual({ code, stdout: "", stderr: "" });
      }
    },
  );

  it.each([
    ["SIGINT", 130],
    ["SIGTERM", 143],
    ["SIGHUP", 129],
  ] as const)("removes what is half written on %s", async (signal, status) => {
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
    child.kill(signal);
    const { code, stderr } = await result;
    clearInterval(feed);
    expect([code, stderr]).toEqual([status, ""]);
    expect(readdirSync(dir).filter((name) => name.startsWith("never"))).toEqual([]);
  });
});
