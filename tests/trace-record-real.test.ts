import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { cacheFolder } from "../src/record/cache.js";
import { findKernel } from "../src/record/kernel.js";
import { findProgram } from "../src/record/tools.js";
import { nestwalk } from "./cli/capture.js";

/* Real recordings, by the recorders that are installed here. Nothing is downloaded. */

const dir = mkdtempSync(join(tmpdir(), "nestwalk-test-"));
afterAll(() => rmSync(dir, { recursive: true }));
const env = process.env as Record<string, string>;

async function has(...names: string[]): Promise<boolean> {
  for (const name of names) if (!(await findProgram(name, env.PATH))) return false;
  return process.platform === "linux" && process.arch === "x64" && existsSync("/usr/include/stdlib.h");
}

async function kernelHere(): Promise<boolean> {
  const search = { asked: undefined, env: { PATH: "" }, signal: new AbortController().signal, say: () => {} };
  return findKernel({ ...search, cache: await cacheFolder(env) }).then(
    () => true,
    () => false,
  );
}

function unless(able: boolean, what: string): boolean {
  if (!able) console.warn(`SKIPPED: ${what}`);
  return !able;
}

const noQemu = unless(
  (await has("qemu-x86_64", "gcc")) &&
    execFileSync("qemu-x86_64", ["--help"], { encoding: "utf8" }).includes("-plugin"),
  "programs recorded by qemu-x86_64, which is not installed here with gcc and libc6-dev",
);
const noValgrind = unless(
  await has("valgrind"),
  "programs recorded by valgrind, which is not installed here",
);
const noGuest = unless(
  (await has("qemu-system-x86_64", "gcc", "busybox", "dash")) && (await kernelHere()),
  "a recorded guest; it needs qemu-system-x86 gcc libc6-dev busybox-static, and a kernel: record one by hand once",
);

const record = (output: string, ...args: string[]) =>
  nestwalk(["trace", "record", "--quiet", "-o", join(dir, output), ...args], { env });

async function rows(file: string): Promise<Record<string, string>> {
  const { stdout } = await nestwalk(["trace", "info", join(dir, file)]);
  return Object.fromEntries(
    [...stdout.matchAll(/^ {2}(\w+) +(.*)$/gm)].map(([, key, value]) => [key, value]),
  );
}

describe.skipIf(noQemu)("a program recorded by qemu-x86_64", () => {
  beforeAll(() => {
    writeFileSync(
      join(dir, "threads.c"),
      `#include <pthread.h>
       #include <string.h>
       #include <unistd.h>
       #include <sys/wait.h>
       static char data[2][1 << 16];
       static void *fill(void *part) { for (int i = 0; i < 1 << 16; i++) ((volatile char *)part)[i] = 1; return 0; }
       int main(int argc, char **argv) {
         pthread_t t[2];
         if (argc > 1 && !strcmp(argv[1], "die")) *(volatile int *)0 = 0;
         if (argc > 1 && !strcmp(argv[1], "exec")) execl("/bin/true", "true", (char *)0);
         if (fork() == 0) { for (int i = 0; i < 9; i++) fill(data[0]); _exit(0); }
         wait(0);
         for (int i = 0; i < 2; i++) pthread_create(t + i, 0, fill, data[i]);
         for (int i = 0; i < 2; i++) pthread_join(t[i], 0);
         return 3;
       }`,
    );
    execFileSync("gcc", ["-O1", "-pthread", "-static", "-o", join(dir, "threads"), join(dir, "threads.c")]);
  });

  it("holds each thread's accesses, and no other process", async () => {
    const run = await record("t.nwt", "--user", "--", join(dir, "threads"));
    expect(run.code).toBe(0);
    expect(run.stderr).toMatch(
      /^nestwalk: the program ended with status 3\n\S+t\.nwt: [\d,]+ accesses in [\d,]+ bytes\n$/,
    );
    expect((await nestwalk(["trace", "check", join(dir, "t.nwt")])).code).toBe(0);
    const { switches, accesses, addresses } = await rows("t.nwt");
    expect(switches).toMatch(/between 1 process and 3 threads$/);
    // Two threads store 65,536 bytes each; the child process would have stored nine times as much.
    const writes = Number(/([\d,]+) writes/.exec(accesses!)![1]!.replaceAll(",", ""));
    expect(writes).toBeGreaterThan(2 * 65536);
    expect(writes).toBeLessThan(3 * 65536);
    expect(addresses).toMatch(/^virtual, without page tables/);
    expect((await nestwalk(["run", join(dir, "t.nwt"), "--quiet"], { env })).code).toBe(0);
  });

  it("is cut to its window", async () => {
    expect(
      (await record("w.nwt", "--user", "--skip", "1000", "--accesses", "5000", "--", join(dir, "threads")))
        .code,
    ).toBe(0);
    expect((await rows("w.nwt")).accesses).toMatch(/^5,000:/);
  });

  it("says how a program ended that did not end by itself", async () => {
    const died = await record("d.nwt", "--user", "--", join(dir, "threads"), "die");
    expect(died.stderr).toContain(
      "nestwalk: the program was ended by SIGSEGV; the trace ends shortly before\n",
    );
    const gone = await record("e.nwt", "--user", "--", join(dir, "threads"), "exec");
    expect(gone.stderr).toContain(
      "nestwalk: the program went on as another one (exec), which is not recorded",
    );
  });

  it("must be a program of this machine", async () => {
    const sentence = async (...argv: string[]) => (await record("n.nwt", "--user", "--", ...argv)).stderr;
    expect(await sentence("no-such-program")).toBe(
      "nestwalk: the program no-such-program does not exist or may not be executed; check its name, or give its path\n",
    );
    writeFileSync(join(dir, "odd"), "odd", { mode: 0o755 });
    expect(await sentence(join(dir, "odd"))).toBe(
      `nestwalk: ${dir}/odd is no program; a 64-bit x86 program of Linux is needed\n`,
    );
    writeFileSync(join(dir, "script"), "#!/bin/sh -e\nexit 4\n", { mode: 0o755 });
    expect(await sentence(join(dir, "script"))).toContain("the program ended with status 4");
  });
});

describe.skipIf(noValgrind)("a program recorded by lackey", () => {
  it("is cut to its window", async () => {
    const run = await record(
      "l.nwt",
      "--user",
      "--recorder",
      "lackey",
      "--skip",
      "1000",
      "--accesses",
      "5000",
      "--",
      "/bin/true",
    );
    expect(run.code).toBe(0);
    const { accesses, recorder } = await rows("l.nwt");
    expect([accesses!.slice(0, 6), recorder]).toEqual(["5,000:", "valgrind --tool=lackey"]);
  });
});

describe.skipIf(noGuest)("a guest recorded in QEMU", () => {
  it("is translated by its own tables, and replays", async () => {
    const run = await record(
      "g.nwt",
      "--deterministic",
      "--memory",
      "256m",
      "--accesses",
      "300k",
      "--",
      "seq 1 5 | sort -rn",
    );
    expect([run.code, run.stdout]).toEqual([0, ""]);
    const check = await nestwalk(["trace", "check", join(dir, "g.nwt")]);
    expect(check.stdout).toMatch(
      /is good: .* 300,\d{3} accesses; .* page touches translated by its own tables/,
    );
    const { paging, command } = await rows("g.nwt");
    expect([paging, command]).toEqual([
      "4-level",
      "nestwalk trace record --deterministic --memory 256m --accesses 300k -o FILE -- 'seq 1 5 | sort -rn'",
    ]);
    const compared = await nestwalk(["compare", join(dir, "g.nwt")], { env });
    expect(compared.stdout).toMatch(/0 mismatches in every machine/);
  });
});
