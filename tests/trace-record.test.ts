import { createHash } from "node:crypto";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { openFile } from "../src/node.js";
import { cpioArchive, type Entry } from "../src/record/cpio.js";
import { findKernel } from "../src/record/kernel.js";
import { findProgram, requireHost, requireTools } from "../src/record/tools.js";
import { openTrace } from "../src/trace/index.js";
import { nestwalk } from "./cli/capture.js";
import { pgrec1File, smallStream } from "./fixtures/traces.js";

const dir = mkdtempSync(join(tmpdir(), "nestwalk-test-"));
afterAll(() => rmSync(dir, { recursive: true }));
const signal = new AbortController().signal;

/** A folder of programs, each a shell script. */
function programs(name: string, scripts: Record<string, string>): string {
  const folder = join(dir, name);
  mkdirSync(folder, { recursive: true });
  for (const [file, script] of Object.entries(scripts)) {
    writeFileSync(join(folder, file), `#!/bin/sh\n${script}\n`);
    chmodSync(join(folder, file), 0o755);
  }
  return folder;
}

/** The first bytes of a bzImage of a version. */
function bzImage(version: string): Uint8Array {
  const image = new Uint8Array(2048);
  image.set(new TextEncoder().encode("HdrS"), 0x202);
  image[0x20f] = 0x04;
  image.set(new TextEncoder().encode(`${version} (builder) #1 SMP\0`), 0x600);
  return image;
}

describe("the command line of trace record", () => {
  it.each([
    [[], "trace record needs the COMMANDS to run: nestwalk trace record -- 'COMMANDS'"],
    [
      ["--user"],
      "trace record --user needs the PROGRAM to run: nestwalk trace record --user -- PROGRAM ARGUMENTS",
    ],
    [["--pti", "yes", "--", "true"], '--pti is "yes"; it must be on or off'],
    [["--thp", "on", "--", "true"], '--thp is "on"; it must be always, madvise or never'],
    [["--fetch", "line", "--", "true"], '--fetch is "line"; it must be insn or page'],
    [["--memory", "64m", "--", "true"], '--memory is "64m"; it must be 128m to 1024g'],
    [["--memory", "512", "--", "true"], '--memory is "512"; it must be 128m to 1024g'],
    [
      ["--accesses", "0", "--", "true"],
      '--accesses is "0"; it must be a whole number from 1, such as 100000 or 2M',
    ],
    [
      ["--cpu", "max", "--five-level", "--", "true"],
      "--five-level does not go with --cpu; write --cpu max,la57=on",
    ],
    [["--skip", "5", "--", "true"], "--skip is for a program; it needs --user"],
    [["--user", "--pti", "on", "--", "ls"], "--pti is for a guest, and does not go with --user"],
    [["--user", "--recorder", "pin", "--", "ls"], '--recorder is "pin"; it must be qemu or lackey'],
    [["--tph", "always", "--", "true"], "--tph is not an option of trace record; did you mean --thp?"],
  ])("%j is refused in a sentence", async (args, sentence) => {
    expect(await nestwalk(["trace", "record", ...args])).toEqual({
      code: 2,
      stdout: "",
      stderr: `nestwalk: ${sentence}\n`,
    });
  });
});

describe("what a recording needs of the machine", () => {
  it("is named in one sentence, with the packages", async () => {
    const needs = [
      { name: "qemu-system-x86_64", package: "qemu-system-x86" },
      { name: "gcc", package: "gcc" },
      { name: join(dir, "no/such.h"), package: "libc6-dev" },
    ];
    const PATH = programs("only-gcc", { gcc: "" });
    await expect(requireTools(needs, { PATH })).rejects.toThrow(
      `qemu-system-x86_64 and ${dir}/no/such.h are missing; apt-get install qemu-system-x86 libc6-dev`,
    );
    await expect(requireTools([needs[0]!], { PATH }, ", or valgrind")).rejects.toThrow(
      "qemu-system-x86_64 is missing; apt-get install qemu-system-x86, or valgrind",
    );
    await requireTools([needs[1]!], { PATH });
  });

  it("is asked for before anything is written", async () => {
    const output = join(dir, "none.nwt");
    const run = await nestwalk(["trace", "record", "-o", output, "--", "true"], {
      env: { PATH: join(dir, "empty") },
    });
    expect(run.code).toBe(1);
    expect(run.stderr).toMatch(
      /^nestwalk: qemu-system-x86_64, gcc, .*busybox.* are missing; apt-get install qemu-system-x86 gcc .*busybox-static/,
    );
    const user = await nestwalk(["trace", "record", "--user", "-o", output, "--", "/bin/sh"], { env: {} });
    expect(user.stderr).toMatch(
      /^nestwalk: qemu-x86_64[,a]?.* missing; apt-get install qemu-user gcc.*, or valgrind\n$/,
    );
    expect(readdirSync(dir).filter((name) => name.includes("none.nwt"))).toEqual([]);
  });

  it("is Linux on x86-64", () => {
    expect(() => requireHost("darwin", "arm64")).toThrow(
      "recording needs Linux on x86-64, and this is darwin on arm64; record on such a machine, or in a container of it",
    );
    requireHost("linux", "x64");
  });

  it("is found by name on PATH, and by path", async () => {
    const folder = programs("path", { tool: "" });
    writeFileSync(join(folder, "data"), "");
    expect(await findProgram("tool", `/nonexistent:${folder}`)).toBe(join(folder, "tool"));
    expect(await findProgram(join(folder, "tool"), undefined)).toBe(join(folder, "tool"));
    expect(await findProgram("data", folder)).toBeUndefined();
    expect(await findProgram("..", folder)).toBeUndefined();
  });
});

describe("the archive of the guest's files", () => {
  it("is that of GNU cpio, byte for byte", () => {
    const text = (value: string) => new TextEncoder().encode(value);
    const entry = (path: string, type: Entry["type"], mode: number, data = ""): Entry => ({
      path,
      type,
      mode,
      data: text(data),
    });
    const archive = Buffer.concat(
      cpioArchive([
        entry("init", "file", 0o700, "abc"),
        entry("bin/y", "link", 0o777, "x"),
        entry("bin/x", "file", 0o755, "hello"),
        entry("bin/deep", "folder", 0o755),
        entry("bin", "folder", 0o755),
        entry("b", "folder", 0o755),
        entry(".", "folder", 0o755),
      ]),
    );
    // find . | LC_ALL=C sort | cpio -o -H newc --reproducible -R +0:+0
    expect(createHash("sha256").update(archive).digest("hex")).toBe(
      "5eac5b86d2e1d2000828248136a458cf13d10c6af7dce9e4ef34631f449a7b26",
    );
  });
});

describe("the kernel to boot", () => {
  const search = (over: Partial<Parameters<typeof findKernel>[0]>) => {
    const cache = mkdtempSync(join(dir, "cache-"));
    return {
      asked: undefined,
      cache,
      env: { PATH: join(dir, "empty") },
      signal,
      say: () => {},
      boot: join(dir, "boot"),
      ...over,
    };
  };
  mkdirSync(join(dir, "boot"));
  for (const name of ["6.1.0-9-amd64", "6.1.0-56-amd64"])
    writeFileSync(join(dir, "boot", `vmlinuz-${name}`), bzImage(name));
  writeFileSync(join(dir, "boot/vmlinuz-7.0-arm64"), "MZ");

  it("is the newest of /boot that boots, and one for virtual machines before that", async () => {
    expect((await findKernel(search({}))).version).toBe("6.1.0-56-amd64");
    const cache = mkdtempSync(join(dir, "cache-"));
    for (const name of ["5.10.0-1-cloud-amd64", "6.9.0-1-amd64"])
      writeFileSync(join(cache, `vmlinuz-${name}`), bzImage(name));
    expect(await findKernel(search({ cache }))).toEqual({
      path: join(cache, "vmlinuz-5.10.0-1-cloud-amd64"),
      version: "5.10.0-1-cloud-amd64",
    });
  });

  it("is the one that was asked for, if it is a kernel", async () => {
    const asked = join(dir, "boot/vmlinuz-6.1.0-9-amd64");
    expect(await findKernel(search({ asked }))).toEqual({ path: asked, version: "6.1.0-9-amd64" });
    const refused = (path: string) => expect(findKernel(search({ asked: path }))).rejects;
    await refused(join(dir, "none")).toThrow(`the kernel ${dir}/none does not exist; check the path`);
    await refused(dir).toThrow(`the kernel ${dir} cannot be read (EISDIR); check the path`);
    await refused(join(dir, "boot/vmlinuz-7.0-arm64")).toThrow(
      `the kernel ${dir}/boot/vmlinuz-7.0-arm64 is no bzImage of an x86 kernel; a vmlinuz is one`,
    );
  });

  const apt = {
    "apt-cache": 'printf "linux-image-cloud-amd64\\n  Depends: linux-image-9.9-cloud-amd64\\n"',
    "apt-get": "echo deb > linux-image.deb",
    "dpkg-deb": `mkdir boot && cp ${dir}/boot/vmlinuz-6.1.0-9-amd64 boot/vmlinuz-9.9-cloud-amd64`,
  };

  it("is downloaded once when there is none", async () => {
    const env = { PATH: `${programs("apt", apt)}:/usr/bin:/bin` };
    const said: string[] = [];
    const one = search({ env, boot: join(dir, "none"), say: (text) => said.push(text) });
    const kernel = await findKernel(one);
    expect(kernel).toEqual({ path: join(one.cache, "vmlinuz-9.9-cloud-amd64"), version: "6.1.0-9-amd64" });
    expect(readdirSync(one.cache)).toEqual(["vmlinuz-9.9-cloud-amd64"]);
    expect(await findKernel(one)).toEqual(kernel);
    expect(said).toEqual(["downloading linux-image-9.9-cloud-amd64, once"]);
    expect((await findKernel({ ...one, boot: join(dir, "boot"), asked: "debian" })).path).toBe(kernel.path);
  });

  it("is asked for when it cannot be downloaded", async () => {
    const advice = "apt-get install linux-image-cloud-amd64, or name a kernel with --kernel";
    const none = { boot: join(dir, "none") };
    await expect(findKernel(search(none))).rejects.toThrow(
      "no kernel was found, and there is no apt-get to download one; name one with --kernel",
    );
    const unknown = { PATH: `${programs("apt-unknown", { ...apt, "apt-cache": "exit 100" })}:/usr/bin:/bin` };
    await expect(findKernel(search({ ...none, env: unknown }))).rejects.toThrow(
      `no kernel was found, and apt does not know linux-image-cloud-amd64; apt-get update, then ${advice}`,
    );
    const offline = {
      PATH: `${programs("apt-offline", { ...apt, "apt-get": "echo E: no network >&2; exit 100" })}:/usr/bin:/bin`,
    };
    const asked = search({ ...none, env: offline });
    await expect(findKernel(asked)).rejects.toThrow(
      `the package linux-image-cloud-amd64 cannot be downloaded; ${advice}; apt-get said: E: no network`,
    );
    expect(readdirSync(asked.cache)).toEqual([]);
  });
});

/* In place of QEMU, gcc and busybox: what is tested is what is made of them. */
const stream = join(dir, "stream.pgrec");
writeFileSync(stream, pgrec1File(smallStream()));
const kernel = join(dir, "boot/vmlinuz-6.1.0-9-amd64");

function machine(name: string, qemu: string): { PATH: string; XDG_CACHE_HOME: string } {
  const folder = programs(name, {
    "qemu-system-x86_64": `if [ "$1" = --version ]; then echo "QEMU emulator version 7.2.22 (Debian)"; exit; fi\necho "$@" > ${dir}/${name}.args\nfor arg; do case $arg in file:*) console=\${arg#file:};; esac; done\n${qemu}`,
    gcc: 'for last; do :; done\nwhile [ "$1" != -o ]; do shift; done\necho "compiled $last" > "$2"',
    busybox: "",
  });
  return { PATH: `${folder}:${process.env.PATH}`, XDG_CACHE_HOME: join(dir, `${name}-cache`) };
}

const able =
  process.platform === "linux" && existsSync("/usr/include/stdlib.h") && existsSync("/usr/bin/dash");
if (!able) console.warn("SKIPPED: a guest's recording, which needs Linux with dash and libc6-dev");

describe.skipIf(!able)("a recording of a guest", () => {
  const record = (env: Record<string, string>, output: string, ...more: string[]) =>
    nestwalk(["trace", "record", "--kernel", kernel, "-o", output, ...more, "--", "ls | nosuch"], { env });

  it("is what the plugin gave, with where it is from", async () => {
    const env = machine(
      "good",
      `cat ${stream} >&3; printf "SeaBIOS\\033c\\033[2J/init: 7: nosuch: not found\\r\\n/init: 8: Syntax error: Missing )\\r\\n" > $console`,
    );
    const output = join(dir, "good.nwt");
    const run = await record(
      env,
      output,
      "--pti",
      "on",
      "--five-level",
      "--deterministic",
      "--memory",
      "512m",
      "--accesses",
      "2k",
    );
    expect([run.code, run.stdout, run.stderr]).toEqual([0, "", expect.any(String)]);
    expect(run.stderr).toMatch(
      /^booting Linux 6\.1\.0-9-amd64 in QEMU 7\.2\.22\nnestwalk: the guest has no program nosuch; --programs copies it in, if it is installed here\nnestwalk: the guest's shell said "Syntax error: Missing \)"; correct the commands, and record again\n\S+good\.nwt: \d+ accesses in [\d,]+ bytes\n$/,
    );
    const { header } = await openTrace(await openFile(output));
    expect(header.recorded).toMatchObject({
      program: "ls | nosuch",
      kernel: "6.1.0-9-amd64",
      cpu: "QEMU TCG max,la57=on,erms=off,rdrand=off",
      ramMiB: 512,
      command: `nestwalk trace record --kernel ${kernel} --pti on --five-level --deterministic --memory 512m --accesses 2k -o FILE -- 'ls | nosuch'`,
    });
    const args = readFileSync(join(dir, "good.args"), "utf8");
    expect(args).toContain("-append console=ttyS0 quiet panic=-1 pti=on nokaslr norandmaps -plugin");
    expect(args).toMatch(/pgrec-[0-9a-f]{16}\.so,fd=3,limit=2000,ram=512,fetch=insn$/m);
    expect(
      readdirSync(join(env.XDG_CACHE_HOME, "nestwalk")).map((name) => name.replace(/[0-9a-f]{16}/, "KEY")),
    ).toEqual(["mark-KEY", "pgrec-KEY.so"]);
  });

  it("says that its window closed first, and names the limit in the command that records it again", async () => {
    const output = join(dir, "short.nwt");
    const env = machine("short", `cat ${stream} >&3`);
    const run = await record(env, output, "--accesses", "5");
    expect(run.code).toBe(0);
    expect(run.stderr).toMatch(
      /\nnestwalk: the commands had not ended after 5 accesses; a larger --accesses records further\n$/,
    );
    expect((await record(env, output, "--quiet")).stderr).not.toContain("had not ended");
    const { header } = await openTrace(await openFile(output));
    expect(header.recorded.command).toContain("trace record --accesses 20000000 --kernel ");
  });

  it.each([
    [
      "ends before its commands",
      "echo Kernel panic: no init > $console",
      "nothing was recorded: the guest ended before its commands began; the guest said: Kernel panic: no init",
    ],
    [
      "does not start",
      "echo cannot allocate memory >&2; exit 1",
      "nothing was recorded: the guest ended before its commands began; QEMU said: cannot allocate memory",
    ],
    ["breaks off", `head -c 60 ${stream} >&3`, "the guest broke off in the middle of the recording"],
  ])("fails in a sentence when the guest %s", async (name, qemu, sentence) => {
    const output = join(dir, "bad.nwt");
    const run = await record(machine(name.replaceAll(" ", "-"), qemu), output, "--quiet");
    expect(run).toEqual({ code: 1, stdout: "", stderr: `nestwalk: ${sentence}\n` });
    expect(readdirSync(dir).filter((file) => file.includes("bad.nwt"))).toEqual([]);
  });

  it("is given up after its time, and takes QEMU with it", async () => {
    const env = machine("slow", `echo $$ > ${dir}/slow.pid; exec sleep 60`);
    const run = await record(env, join(dir, "slow.nwt"), "--timeout", "1", "--quiet");
    expect(run).toEqual({
      code: 1,
      stdout: "",
      stderr: "nestwalk: nothing was recorded within 1 s; --timeout gives it longer\n",
    });
    const pid = Number(readFileSync(join(dir, "slow.pid"), "utf8"));
    expect(() => process.kill(pid, 0)).toThrow();
  });

  it.each(["before", "after"])("leaves nothing when it is interrupted %s the first record", async (when) => {
    const give = when === "after" ? `head -c 60 ${stream} >&3; ` : "";
    const env = machine(`stopped-${when}`, `${give}echo $$ > ${dir}/${when}.pid; exec sleep 60`);
    const stop = new AbortController();
    const running = nestwalk(
      ["trace", "record", "--kernel", kernel, "-o", join(dir, "stopped.nwt"), "--", "true"],
      {
        env,
        signal: stop.signal,
      },
    );
    while (!existsSync(join(dir, `${when}.pid`)) || readFileSync(join(dir, `${when}.pid`), "utf8") === "")
      await new Promise((resolve) => setTimeout(resolve, 20));
    stop.abort();
    expect((await running).code).toBe(130);
    const pid = Number(readFileSync(join(dir, `${when}.pid`), "utf8"));
    expect(() => process.kill(pid, 0)).toThrow();
    expect(readdirSync(dir).filter((file) => file.includes("stopped.nwt"))).toEqual([]);
  });
});
