import { existsSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { champsimFile, drmemtraceFile, gem5File } from "./fixtures/foreign.js";
import { message, records } from "./fixtures/imported.js";
import { gz, readAll } from "./fixtures/traces.js";
import { zipFile } from "./fixtures/zip.js";

describe("ChampSim", () => {
  const instructions = [
    { ip: 0x401000, loads: [0x7ffffff8, 0x10000000000n] },
    { ip: 0x401003, branch: true, taken: false, stores: [0x602ffc] },
    { ip: 0x401008, branch: true, taken: true },
    { ip: 0x40100a, loads: [0x602000], stores: [0x602000, 0x603000] },
  ];

  it("takes lengths from the next instruction unless it was jumped to", async () => {
    const file = champsimFile(instructions);
    for (const slice of [1 << 18, 64, 63, 1]) {
      const { format, recorded, lines } = await records(file, {}, slice);
      expect([format, recorded.tables, recorded.addresses, recorded.pageSizes]).toEqual([
        "champsim",
        false,
        "virtual",
        "4k",
      ]);
      expect(lines).toEqual([
        "SWITCH 1 1",
        "F 401000 3",
        "R 7ffffff8 8",
        "R 10000000000 8",
        "F 401003 5",
        "W 602ffc 1",
        "F 401008 1",
        "F 40100a 1",
        "R 602000 8",
        "W 602000 8",
        "W 603000 8",
        "END 4 3 3",
      ]);
    }
  });

  it("tells the CloudSuite kind by its content, with its address spaces", async () => {
    const file = champsimFile(
      [
        { ip: 0x401000, loads: [0x1000, 0x2000, 0x3000, 0x4000], asid: 1 },
        { ip: 0x401004, stores: [0x1000, 0x2000, 0x3000, 0x4000], asid: 1 },
        { ip: 0x501004, loads: [0x5000], asid: 2 },
      ],
      true,
    );
    const { format, lines } = await records(file);
    expect(format).toBe("cloudsuite");
    expect(lines.filter((line) => line.startsWith("S"))).toEqual(["SWITCH 1 1", "SWITCH 2 2"]);
    expect(lines.at(-1)).toBe("END 3 5 4");
  });

  it("refuses a length that does not divide, and records that cannot be", async () => {
    const file = champsimFile(instructions);
    expect(await message(file.subarray(0, 200))).toBe(
      "TraceError: t is truncated: its 200 bytes are 3 records of 64 bytes and 8 bytes more, at byte 192; it was cut short, or is no ChampSim trace: get it again, or state the format with --from",
    );
    const many = champsimFile(
      Array.from({ length: 3000 }, (_, i) => ({ ip: 0x400000 + 4 * i, loads: [0x1000] })),
    );
    many.fill(0, 64 * 2000, 64 * 2000 + 8);
    expect(await message(many)).toBe(
      "TraceError: t is corrupt: the instruction at byte 128000 has ip 0; write the trace again, each record 64 bytes long",
    );
    // Where a checksum shows that it was not written so, that is what is said.
    const packed = gz(many);
    expect(await message(packed)).toMatch(/has ip 0; write the trace again/);
    packed[packed.length - 8]! ^= 1;
    expect(await message(packed)).toMatch(
      /^TraceError: t is corrupt: its gzip data is damaged near byte \d+ \(incorrect data check\); get the file again$/,
    );
  });
});

describe("drmemtrace", () => {
  const start: [number, number, number | bigint][] = [
    [25, 0, 7],
    [28, 12, 7],
    [28, 9, 0x40],
    [22, 4, 101],
    [24, 4, 100],
    [28, 18, 4096],
  ];
  const end: [number, number, number][] = [
    [23, 0, 101],
    [26, 0, 0],
  ];

  it("follows threads and processes, and every kind of instruction", async () => {
    const file = drmemtraceFile([
      ...start,
      [28, 2, 13],
      [28, 3, 0],
      [47, 5, 0x9090909090n],
      [10, 5, 0x401000],
      [0, 8, 0x7fff0000],
      [11, 2, 0x401005],
      [48, 2, 0x401007],
      [17, 3, 0x040302],
      [22, 4, 102],
      [24, 4, 100],
      [10, 3, 0x501000],
      [1, 4, 0x602000],
      [29, 3, 0x501000],
      [0, 3, 0x602ffe],
      [30, 3, 0x501000],
      [30, 3, 0x501003],
      [10, 0, 0x501010],
      [1, 16, 0x603000],
      [2, 64, 0x700000],
      [28, 27, 5],
      [10, 4, 0xffffffff81000000n],
      [0, 8, 0xffff888000000000n],
      [28, 28, 5],
      [28, 15, 0x123000],
      [28, 17, 0x603000],
      [22, 4, 101],
      [31, 2, 0x401010],
      ...end,
    ]);
    for (const packed of [
      file,
      gz(file),
      zipFile([
        ["chunk.0000", file.subarray(0, 120)],
        ["chunk.0001", file.subarray(120)],
      ]),
    ]) {
      const { format, lines, recorded } = await records(packed);
      expect([format, recorded.tables, recorded.notes]).toEqual([
        "drmemtrace",
        false,
        ["drmemtrace version 7", "x86-64"],
      ]);
      expect(lines).toEqual([
        "SWITCH 100 101",
        "F 401000 5",
        "R 7fff0000 8",
        "F 401005 2",
        "F 401007 2",
        "F 401009 2",
        "F 40100b 3",
        "F 40100e 4",
        "SWITCH 100 102",
        "F 501000 3",
        "W 602000 4",
        "R 602ffe 4",
        "F 501003 3",
        "W 603000 16",
        "SWITCH 100 101",
        "F 401010 2",
        'LABEL "2 fetches, reads and writes of the kernel were left out"',
        'LABEL "1 physical page addresses were left out"',
        "END 9 2 2",
      ]);
    }
  });

  it("accepts the smallest file that DynamoRIO's own reader does", async () => {
    const { lines } = await records(
      drmemtraceFile([
        [25, 0, 3],
        [28, 12, 3],
        [28, 9, 0x40],
        [22, 4, 7],
        [24, 4, 7],
        [28, 10, 64],
        [28, 18, 4096],
        [28, 2, 1],
        [28, 3, 0],
        [10, 4, 0x400000],
        [23, 0, 7],
        [26, 0, 0],
      ]),
    );
    expect(lines).toEqual(["SWITCH 7 7", "F 400000 4", "END 1 0 0"]);
  });

  it("says what is wrong and where", async () => {
    const body: [number, number, number][] = [[10, 4, 0x400000]];
    expect(await message(drmemtraceFile([[25, 0, 9], ...start.slice(1), ...body, ...end]))).toBe(
      "TraceError: t is a drmemtrace of version 9, at byte 0, and versions 1 to 7 are known; convert it with the DynamoRIO it came from",
    );
    expect(await message(drmemtraceFile([...start, ...body]))).toBe(
      "TraceError: t is truncated: it ends at byte 84 without a footer record; get the file again, or read it as far as it is whole (--allow-truncated)",
    );
    expect(await message(drmemtraceFile([...start, ...body, ...end]).subarray(0, -5))).toBe(
      "TraceError: t is truncated: its 103 bytes are 8 records of 12 bytes and 7 bytes more, at byte 96; get the file again, or read it as far as it is whole (--allow-truncated)",
    );
    const long = drmemtraceFile([
      ...start,
      ...Array.from({ length: 200 }, () => body[0]!),
      [77, 0, 0],
      ...end,
    ]);
    expect(await message(long)).toBe(
      "TraceError: t is corrupt: a record of type 77, which is not known, at byte 2472; get the file again",
    );
    const { truncated, stream } = await readAll(drmemtraceFile([...start, ...body]), {
      allowTruncated: true,
    });
    expect([truncated, stream.length]).toEqual([{ offset: 84, events: 2 }, 8]);
  });

  /* DynamoRIO's sample is another project's, and not in this one: run where its path is named. */
  const published = process.env.NESTWALK_DRMEMTRACE ?? "";
  it.runIf(existsSync(published))("reads DynamoRIO's own sample to its exact counts", async () => {
    const { lines } = await records(new Uint8Array(readFileSync(published)));
    expect(lines.at(-1)).toBe("END 78753 26381 16308");
  });
});

describe("gem5", () => {
  it("reads requests as guest-physical accesses and leaves the rest", async () => {
    const { format, lines, recorded } = await records(
      gem5File([
        [1, 0x80000000, 64, 0x100],
        [1, 0x80001000, 8],
        [4, 0x80002000, 4],
        [2, 0x80001000, 8],
        [22, 0x1_0000_0000n, 64],
        [34, 0x80003000, 8],
        [13, 0x80004000, 64],
      ]),
    );
    expect([format, recorded.addresses, recorded.tables, recorded.notes]).toEqual([
      "gem5",
      "guest-physical",
      false,
      ["recorded at system.cpu.monitor"],
    ]);
    expect(lines).toEqual([
      "SWITCH 1 1",
      "F 80000000 15",
      "R 80001000 8",
      "W 80002000 4",
      "R 100000000 64",
      "R 80003000 8",
      "W 80003000 8",
      'LABEL "2 packets that are no access of a program were left out"',
      "END 1 3 2",
    ]);
  });

  it("says where it is cut", async () => {
    const file = gem5File([
      [1, 0x1000, 8],
      [1, 0x2000, 8],
    ]);
    expect(await message(file.subarray(0, -3))).toBe(
      `TraceError: t is truncated: it ends at byte ${file.length - 3}, inside a message; get the file again, or read it as far as it is whole (--allow-truncated)`,
    );
  });
});
