import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import { nestwalk } from "./cli/capture.js";
import { textFile } from "./fixtures/foreign.js";
import { gz, pgrec1File, smallStream } from "./fixtures/traces.js";

const dir = mkdtempSync(join(tmpdir(), "nestwalk-trace-"));
afterAll(() => rmSync(dir, { recursive: true }));
const at = (name: string, bytes?: Uint8Array | string) => {
  const path = join(dir, name);
  if (bytes !== undefined) writeFileSync(path, bytes);
  return path;
};
const guest = fileURLToPath(new URL("fixtures/pcid.nwt", import.meta.url));
const loop = fileURLToPath(new URL("fixtures/loop.lackey.gz", import.meta.url));

describe("help", () => {
  it.each(["info", "head", "cat", "check", "convert", "cut", "merge", "stat", "synth", "formats"])(
    "of trace %s says how it is called and what it does",
    async (name) => {
      const { code, stdout, stderr } = await nestwalk(["trace", name, "--help"]);
      expect([code, stderr]).toEqual([0, ""]);
      expect(stdout.startsWith(`nestwalk trace ${name}`)).toBe(true);
      expect(Math.max(...stdout.split("\n").map((line) => line.length))).toBeLessThanOrEqual(
        name === "synth" ? 120 : 96,
      );
      expect((await nestwalk(["trace", "--help"])).stdout).toContain(`nestwalk trace ${name} `);
    },
  );
});

it("trace formats shows what each format looks like", async () => {
  const { stdout } = await nestwalk(["trace", "formats"]);
  const rows = stdout.split("\n\n")[0]!.split("\n");
  expect(rows).toContain(
    "lackey        a valgrind lackey trace: lines such as I  0401ab70,3; virtual addresses",
  );
  expect(rows.length).toBe(14);
  expect(stdout).toMatch(/\n\nEach may be compressed by gzip, xz, bzip2, zstd or zip\.\n$/);
});

describe("trace info", () => {
  it("says of a user-space trace what it is", async () => {
    const { code, stdout } = await nestwalk(["trace", "info", loop]);
    expect(code).toBe(0);
    const row = (key: string) => new RegExp(`^ {2}${key} +(.*)$`, "m").exec(stdout)?.[1];
    expect([
      row("what"),
      row("format"),
      row("accesses"),
      row("addresses"),
      row("touches"),
      row("switches"),
    ]).toEqual([
      "memory accesses of programs recorded by valgrind lackey, without the kernel",
      "lackey",
      "52,509: 45,009 fetches, 3,000 reads, 4,500 writes",
      "virtual, without page tables: a stand-in for the kernel must make them",
      row("touches"),
      "1 between 1 process and 1 thread",
    ]);
    expect(row("touches")).toMatch(/^\d+ pages of 4 KiB: [\d.]+ KiB of the address spaces$/);
  });

  it("says of a guest what it is", async () => {
    const { stdout } = await nestwalk(["trace", "info", guest]);
    expect(stdout).toMatch(
      /\n {2}what +a whole guest, kernel and programs, recorded by .+ with its page tables\n/,
    );
    expect(stdout).toMatch(/\n {2}addresses +virtual, translated by the page tables in the trace\n/);
    expect(stdout).toMatch(/\n {2}paging +4-level\n/);
    const { stdout: json } = await nestwalk(["trace", "info", guest, "--json"]);
    expect(JSON.parse(json)).toMatchObject({
      accesses: 310000,
      format: "nwt",
      modes: ["4-level"],
      processes: 0,
    });
  });
});

describe("trace head and cat", () => {
  it("print records as text", async () => {
    const { stdout } = await nestwalk(["trace", "head", loop, "-n", "3"]);
    expect(stdout).toMatch(/^SWITCH (\d+) \1\nF 401000 \d\nF 4010\w\w \d+\n$/);
    const small = at("small.pgrec", pgrec1File(smallStream()));
    expect((await nestwalk(["trace", "head", small, "-n", "6"])).stdout).toBe(
      'CR0 80050033\nCR4 750eb0\nEFER d01\nCR3 1000\nMODE 3\nLABEL "small guest"\n',
    );
    expect((await nestwalk(["trace", "head", small, "-n", "5", "--all"])).stdout).toContain(
      "\nPTP 1 level 4 ",
    );
    const { stdout: all } = await nestwalk(["trace", "cat", small]);
    const [a, b] = [at("a.nwt"), at("b.nwt")];
    await nestwalk(["trace", "convert", small, a]);
    await nestwalk(["trace", "convert", at("small.txt", all), b]);
    expect(readFileSync(b).equals(readFileSync(a))).toBe(true);
    expect((await nestwalk(["trace", "head", small, "-n", "0"])).stderr).toBe(
      'nestwalk: --count is "0"; it must be a whole number from 1, such as 100000 or 2M\n',
    );
  });
});

describe("trace check", () => {
  it("says that a trace is good, or where it first breaks", async () => {
    expect(await nestwalk(["trace", "check", guest])).toEqual({
      code: 0,
      stdout: `${guest} is good: 311,009 events, 310,000 accesses; 310,087 page touches translated by its own tables, each to the recorded frame\n`,
      stderr: "",
    });
    const { stdout } = await nestwalk(["trace", "cat", guest]);
    const lines = stdout.split("\n");
    const map = lines.findIndex((line) => line.startsWith("MAP ") && lines.indexOf(line) > 5000);
    lines[map] = lines[map]!.replace(/[0-9a-f]+$/, "7000");
    const broken = at("broken.txt", lines.join("\n"));
    const run = await nestwalk(["trace", "check", broken]);
    expect([run.code, run.stdout]).toEqual([1, ""]);
    expect(run.stderr).toMatch(
      /^nestwalk: .*broken\.txt contradicts itself at event \d+, after [\d,]+ accesses: the \w+ in the page at 0x\w+ is translated to frame 0x\w+ by the recorded tables, but the recording says 0x7\n$/,
    );
  });
});

describe("trace cut, merge and stat", () => {
  it("cut a window that checks by itself", async () => {
    const out = at("window.nwt");
    expect((await nestwalk(["trace", "cut", guest, out, "--start", "100k", "--end", "150000"])).code).toBe(0);
    expect((await nestwalk(["trace", "check", out])).stdout).toMatch(
      / 50,000 accesses; [\d,]+ page touches translated by its own tables, each to the recorded frame\n$/,
    );
    expect((await nestwalk(["trace", "cut", guest, out, "--start", "9", "--end", "9"])).stderr).toBe(
      "nestwalk: --end 9 does not lie after --start 9\n",
    );
    expect((await nestwalk(["trace", "cut", guest, out])).stderr).toBe(
      "nestwalk: trace cut needs --start, --end or both; see nestwalk trace cut --help\n",
    );
  });

  it("merge programs, and count reuse", async () => {
    const out = at("both.nwt");
    expect((await nestwalk(["trace", "merge", out, loop, loop, "--quantum", "10k"])).code).toBe(0);
    const { stdout } = await nestwalk(["trace", "info", out, "--json"]);
    expect(JSON.parse(stdout)).toMatchObject({ fetches: 90018, processes: 2, threads: 2, switches: 12 });
    const stat = JSON.parse((await nestwalk(["trace", "stat", out, "--window", "20k"])).stdout);
    expect(stat.fetch).toMatchObject({ accesses: 90018, cold: 2 });
    expect(stat.workingSet.all.length).toBe(6);
    expect((await nestwalk(["trace", "merge", out, guest, loop])).stderr).toContain(
      "is a recording of a whole guest",
    );
    expect((await nestwalk(["trace", "merge", out, loop])).code).toBe(2);
  });
});

it("no trace is written over the one that is read", async () => {
  const file = at("kept.lackey", textFile("I  00001000,4"));
  const before = readFileSync(file);
  for (const args of [
    ["trace", "convert", file, file],
    ["trace", "cut", file, join(dir, ".", "kept.lackey"), "--end", "1"],
    ["trace", "merge", file, loop, file],
    ["compare", file, "--json", file],
    ["run", file, "--csv", file],
  ]) {
    const { code, stderr } = await nestwalk(args);
    expect([code, stderr]).toEqual([
      2,
      `nestwalk: ${file} is the trace that is read, and would be lost; name another file for the output\n`,
    ]);
  }
  expect(readFileSync(file).equals(before)).toBe(true);
});

describe("trace convert", () => {
  it("writes what other tools read, compressed where the name says so", async () => {
    const drm = at("loop.trace.gz");
    expect((await nestwalk(["trace", "convert", loop, drm, "--to", "drmemtrace"])).code).toBe(0);
    expect(readFileSync(drm)[0]).toBe(0x1f);
    const { stdout } = await nestwalk(["trace", "info", drm, "--json"]);
    expect(JSON.parse(stdout)).toMatchObject({ format: "drmemtrace", fetches: 45009 });
    expect((await nestwalk(["trace", "convert", loop, drm, "--to", "elf"])).stderr).toBe(
      'nestwalk: --to is "elf"; it must be nwt, text, drmemtrace or lackey\n',
    );
  });

  it("takes what the user says of the input", async () => {
    const text = at("plain.txt", textFile("4096 R", "8192 W"));
    const out = at("plain.nwt");
    const v2p = at(
      "v2p.textproto",
      "page_size: 4096\naddress_mapping { virtual_address: 0x1000 physical_address: 0x9000 }\n",
    );
    const args = ["trace", "convert", text, out, "--columns", "dec,kind", "--v2p", v2p];
    expect((await nestwalk(args)).code).toBe(0);
    const { recorded } = JSON.parse((await nestwalk(["trace", "info", out, "--json"])).stdout);
    expect(recorded).toMatchObject({
      tables: false,
      addresses: "virtual",
      placement: { pageSize: "4k", runs: [["0x1000", "0x9000", 1]] },
    });
    const wrong: [string[], string, number][] = [
      [["--from", "elf"], '--from is "elf", which is no format; nestwalk trace formats lists them', 2],
      [["--addresses", "odd"], '--addresses is "odd"; it must be virtual or physical', 2],
      [
        ["--page-sizes", "3m"],
        '--page-sizes is "3m"; it must be 4k, 2m or 1g, or a file of lines "FROM TO SIZE"',
        2,
      ],
      [["--page-sizes", at("none")], `--page-sizes ${at("none")} does not exist`, 2],
      [
        ["--columns", "x"],
        'the columns "x" hold "x", which is not known; name them in order, such as hex,kind or pid,kind,dec,size (known are hex, dec, kind, size, pid, tid, -)',
        1,
      ],
    ];
    for (const [more, message, code] of wrong)
      expect(await nestwalk(["trace", "convert", text, out, ...more])).toEqual({
        code,
        stdout: "",
        stderr: `nestwalk: ${message}\n`,
      });
  });

  it("says in one sentence what is wrong with a file", async () => {
    const lackey = textFile("I  00001000,4");
    const tar = new Uint8Array(1024);
    tar.set(new TextEncoder().encode("ustar"), 257);
    const cut = gz(pgrec1File(smallStream(50))).subarray(0, 300);
    const cases: [string, string][] = [
      [at("empty", ""), "is an empty file; a recording that was cut short leaves one, so record it again"],
      [dir, "is a directory; name a trace file in it"],
      [
        at("t.tar.gz", gz(tar)),
        "holds, inside gzip, a tar archive, not a trace; unpack it with tar -x; nestwalk trace formats lists what can be read",
      ],
      [
        at("t.lzma", Uint8Array.from([0x5d, 0, 0, 0x80, 0, ...new Uint8Array(8).fill(255), 0, 1, 2])),
        "is lzma-compressed data, not a trace; unpack it with xz -d --format=lzma; nestwalk trace formats",
      ],
      [
        at("t.lz", "LZIP\x01"),
        "is lzip-compressed data, not a trace; unpack it with lzip -d; nestwalk trace formats",
      ],
      [
        at(
          "raw.gz",
          gz(
            Uint8Array.from(
              [
                [3, 0xc0],
                [9, 0x40],
                [9, 0x60],
                [8, 0],
              ].flatMap(([n, kind]) => [n!, 0, 0, 0, 0, 0, 0, kind!]),
            ),
          ),
        ),
        "holds, inside gzip, what a program under drmemtrace writes before it is made a trace, not a trace; make one of its folder with DynamoRIO's drraw2trace -indir FOLDER;",
      ],
      [
        at("twice.gz", gz(gz(lackey))),
        "is compressed twice: inside gzip it holds gzip data; unpack it once with gunzip",
      ],
      [at("cut.gz", cut), "is truncated: it ends at byte 300, before the END record"],
    ];
    for (const [path, message] of cases) {
      const { code, stderr } = await nestwalk(["trace", "info", path]);
      expect(code).toBe(1);
      expect(stderr.startsWith(`nestwalk: ${path} ${message}`)).toBe(true);
      expect(stderr.split("\n").length).toBe(2);
    }
  });
});
