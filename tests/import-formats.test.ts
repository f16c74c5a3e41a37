import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { bytesInMemory } from "../src/trace/bytes.js";
import { parsePageSizes, parseV2p } from "../src/trace/importers/pages.js";
import { openTrace } from "../src/trace/open.js";
import type { OpenOptions } from "../src/trace/source.js";
import { traceText } from "../src/trace/tools/text.js";
import { champsimFile, drmemtraceFile, gem5File, textFile } from "./fixtures/foreign.js";
import { collect, gz, pgrec1File, randomNumbers, readAll } from "./fixtures/traces.js";
import { zipFile } from "./fixtures/zip.js";

/** The records of a file as text, and what it was taken for. */
async function records(bytes: Uint8Array, options: OpenOptions = {}, slice?: number) {
  const source = await openTrace(bytesInMemory("t", bytes, slice), options);
  let text = "";
  for await (const lines of traceText(source, { header: false })) text += lines;
  return { format: source.format, recorded: source.header.recorded, lines: text.trimEnd().split("\n") };
}

const message = (bytes: Uint8Array, options: OpenOptions = {}) =>
  records(bytes, options).then(
    () => "",
    (e) => `${e.name}: ${e.message}`,
  );

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

describe("lackey", () => {
  const lackey = textFile(
    "==42== Lackey, an example Valgrind tool",
    "==42== ",
    "I  0401ab70,3",
    " S 1fff000678,8",
    " L 1fff000670,10",
    " M 04033ffe,4",
    "==42== ",
    "I  0401ab73,20",
    " L 04034ff0,512",
    "==42== Exit code:       0",
  );

  it("reads fetches, loads, stores and modifies of any size", async () => {
    for (const slice of [1 << 18, 13, 1]) {
      const { format, lines } = await records(lackey, {}, slice);
      expect(format).toBe("lackey");
      expect(lines).toEqual([
        "SWITCH 42 42",
        "F 401ab70 3",
        "W 1fff000678 8",
        "R 1fff000670 16",
        "R 4033ffe 4",
        "W 4033ffe 4",
        "F 401ab73 15",
        "R 4034ff0 128",
        "R 4035070 128",
        "R 40350f0 128",
        "R 4035170 128",
        "END 2 6 2",
      ]);
    }
  });

  it("reads a file of the real tool, with the counts that grep has", async () => {
    const path = fileURLToPath(new URL("fixtures/loop.lackey.gz", import.meta.url));
    const file = new Uint8Array(readFileSync(path));
    const text = new TextDecoder().decode(
      await collect((await import("../src/trace/gzip.js")).gunzip("t", bytesInMemory("t", file))),
    );
    const lines = (what: RegExp) => text.match(what)?.length ?? 0;
    const modify = lines(/^ M /gm);
    const last = (await records(file)).lines.at(-1);
    expect(last).toBe(`END ${lines(/^I /gm)} ${lines(/^ L /gm) + modify} ${lines(/^ S /gm) + modify}`);
    expect(lines(/^I /gm)).toBe(45_009);
  });

  it("reads addresses and sizes of any number of digits, in slices of any size", async () => {
    const random = randomNumbers(9);
    const rows = Array.from({ length: 3000 }, () => {
      const digits = 1 + (random() % 16);
      const address = Array.from({ length: digits }, () => (random() & 15).toString(16)).join("");
      const size = [1, 2, 4, 8, 16, 32, 64, 128][random() % 8]!;
      return { kind: ["I ", " S", " L", " M"][random() % 4]!, address, size };
    });
    const text = (end: string) =>
      new TextEncoder().encode(rows.map((row) => `${row.kind} ${row.address},${row.size}${end}`).join(""));
    const wanted = rows.flatMap(({ kind, address, size }) => {
      const gva = BigInt(`0x${address}`).toString(16);
      const letters = { "I ": "F", " S": "W", " L": "R", " M": "RW" }[kind]!;
      return [...letters].map((letter) => `${letter} ${gva} ${letter === "F" ? Math.min(15, size) : size}`);
    });
    for (const [end, slice] of [
      ["\n", 1 << 18],
      ["\r\n", 1 << 18],
      ["\n", 100],
      ["\r\n", 29],
    ] as const)
      expect((await records(text(end), { from: "lackey" }, slice)).lines.slice(1, -1)).toEqual(wanted);
  });

  it("names the line that is not lackey's, and a cut", async () => {
    const lines = Array.from({ length: 9000 }, (_, i) => `I  04${(i * 4).toString(16).padStart(6, "0")},4`);
    expect(await message(textFile(...lines, "hello world", ...lines))).toBe(
      'TraceError: t is corrupt: line 9001, at byte 126000, is no line of lackey: "hello world"; record with --log-file=FILE to keep the program\'s own output apart',
    );
    expect(await message(lackey.subarray(0, -40))).toMatch(
      /^TraceError: t is truncated: it ends at byte \d+, inside line 9;/,
    );
  });
});

describe("Dinero", () => {
  it("reads the classic kind", async () => {
    const { format, lines, recorded } = await records(
      textFile("2 0", "0 1000 a comment", "1 70f60888", "4 0", "3 12", "2 abc"),
    );
    expect([format, recorded.missing?.includes("access sizes")]).toEqual(["dinero", true]);
    expect(lines).toEqual(["SWITCH 1 1", "F 0 4", "R 1000 4", "W 70f60888 4", "F abc 4", "END 2 1 1"]);
  });

  it("reads the extended kind, whose sizes are hexadecimal", async () => {
    const { format, lines } = await records(
      textFile("r 1000 4", "w 0x7fff0000 10", "i 400000 3", "m 20 1", "v 0 0", "c 0 40"),
    );
    expect(format).toBe("xdin");
    expect(lines).toEqual(["SWITCH 1 1", "R 1000 4", "W 7fff0000 16", "F 400000 3", "R 20 1", "END 1 2 1"]);
  });

  it("leaves a choice that its first lines do not make", async () => {
    expect(await message(textFile("2 100", "0 200", "1 300"))).toBe(
      "TraceError: t may be a Dinero trace or a Ramulator CPU trace, which its first lines do not tell apart; say which with --from dinero or --from ramulator",
    );
    expect((await records(textFile("2 100", "0 200"), { from: "dinero" })).lines.slice(1, 3)).toEqual([
      "F 100 4",
      "R 200 4",
    ]);
    expect((await records(textFile("2 100", "0 256"), { from: "ramulator" })).lines.slice(1, 3)).toEqual([
      "R 64 8",
      "R 100 64",
    ]);
  });
});

describe("Ramulator", () => {
  it("reads CPU traces, decimal, and load-store traces", async () => {
    const cpu = await records(textFile("3 20734016", "12 20734464 20734080", "0 18446744073709551552"));
    expect(cpu.format).toBe("ramulator");
    expect(cpu.lines).toEqual([
      "SWITCH 1 1",
      "R 13c6040 64",
      "R 13c6200 64",
      "W 13c6080 64",
      "R ffffffffffffffc0 64",
      "END 0 3 1",
    ]);
    const ls = await records(textFile("LD 0x12345680", "ST 256"));
    expect([ls.format, ls.lines]).toEqual([
      "ramulator-ls",
      ["SWITCH 1 1", "R 12345680 64", "W 100 64", "END 0 1 1"],
    ]);
  });

  it("says that DRAM coordinates are no addresses", async () => {
    expect(await message(textFile("R 0,0,1,2,100,5", "W 0,0,1,2,100,6"))).toBe(
      'TraceError: t is a Ramulator trace of DRAM coordinates ("R 0,0,1,2,100,5"), which are no addresses; use the trace it was made from',
    );
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

describe("execlog", () => {
  it("reads user mode with instruction and data addresses", async () => {
    const { format, lines, recorded } = await records(
      textFile(
        '0, 0x401000, 0x55, "push rbp", store, 0x7fffe000',
        '0, 0x401001, 0x8b, "mov rax, [rdi]", load, 0x602ffc',
        '1, 0x501000, 0x1, "add [rdx], eax", load, 0x603000, store, 0x603000',
        '0, 0x401004, 0xc3, "ret"',
      ),
    );
    expect([format, recorded.addresses]).toEqual(["execlog", "virtual"]);
    expect(lines).toEqual([
      "SWITCH 1 1",
      "F 401000 1",
      "W 7fffe000 8",
      "F 401001 1",
      "R 602ffc 1",
      "SWITCH 1 2",
      "F 501000 1",
      "R 603000 8",
      "W 603000 8",
      "SWITCH 1 1",
      "F 401004 1",
      "END 4 2 2",
    ]);
  });

  it("takes only data, as guest-physical, in system mode", async () => {
    const { lines, recorded } = await records(
      textFile(
        '0, 0xffffffff81000000, 0x55, "push rbp", store, 0x01234000, RAM',
        '0, 0xffffffff81000001, 0x8b, "mov eax, [rdx]", load, 0xfee00030, lapic, store, 0x2000, RAM',
      ),
    );
    expect([recorded.addresses, recorded.tables]).toEqual(["guest-physical", false]);
    expect(lines).toEqual(["SWITCH 1 1", "W 1234000 8", "R fee00030 8 device", "W 2000 8", "END 0 1 2"]);
  });
});

describe("plain text", () => {
  it("tells either order, hexadecimal or decimal", async () => {
    const first = await records(textFile("# bzip", "0041f7a0 R", "13f5e2c0 W", "0041f7a4,r"));
    expect([first.format, first.lines]).toEqual([
      "plain",
      ["SWITCH 1 1", "R 41f7a0 4", "W 13f5e2c0 4", "R 41f7a4 4", "END 0 2 1"],
    ]);
    const second = await records(textFile("W 0x7ff0", "read 0x1000"));
    expect(second.lines).toEqual(["SWITCH 1 1", "W 7ff0 4", "R 1000 4", "END 0 1 1"]);
    const decimal = await records(textFile(...Array.from({ length: 30 }, (_, i) => `${4096 * i} R`)));
    expect(decimal.lines[2]).toBe("R 1000 4");
    expect(await message(textFile("4096 R", "8192 W"))).toBe(
      "TraceError: t has addresses of digits only, which may be decimal or hexadecimal; say which with --columns dec,kind or --columns hex,kind (or kind,dec and kind,hex)",
    );
  });

  it("takes the columns that it is told", async () => {
    const { lines } = await records(textFile("7,8,w,4096,2", "9,9,r,8192,16"), {
      columns: "pid,tid,kind,dec,size",
    });
    expect(lines).toEqual(["SWITCH 7 8", "W 1000 2", "SWITCH 9 9", "R 2000 16", "END 0 1 1"]);
    expect(await message(textFile("x"), { columns: "hex,colour" })).toBe(
      'TraceError: the columns "hex,colour" hold "colour", which is not known; name them in order, such as hex,kind or pid,kind,dec,size (known are hex, dec, kind, size, pid, tid, -)',
    );
    expect(await message(textFile("1000 R", "zzz R"), { columns: "hex,kind" })).toBe(
      'TraceError: t is corrupt: line 2, at byte 7, is not an address and a kind of access: "zzz R"; its columns are hex,kind; state others with --columns',
    );
  });

  it("says that its addresses are physical when told so", async () => {
    const { recorded } = await records(textFile("0x12345680 R"), { addresses: "physical" });
    expect(recorded.addresses).toBe("guest-physical");
  });
});

describe("pages", () => {
  const plain = textFile("0x12345680 R");

  it("takes a v2p.textproto and page-size maps into the header", async () => {
    const v2p = `page_size: 0x200000
address_mapping { virtual_address: 0x200000 physical_address: 0x10000000 }
address_mapping {
  virtual_address: 0x400000
  physical_address: 0x10200000
}
address_mapping { physical_address: 0x600000 }`;
    const placement = parseV2p("v", v2p);
    expect(placement).toEqual({
      pageSize: "2m",
      runs: [
        ["0x0", "0x600000", 1],
        ["0x200000", "0x10000000", 2],
      ],
    });
    const { recorded } = await records(plain, { placement });
    expect(recorded.placement).toEqual(placement);
    expect(recorded.pageSizes).toEqual({
      default: "4k",
      ranges: [{ from: "0x0", to: "0x600000", size: "2m" }],
    });
    const pageSizes = parsePageSizes("p", "default 4k\n# heap\n0x40000000 0x80000000 1g\n200000-400000 2m\n");
    expect((await records(plain, { pageSizes })).recorded.pageSizes).toEqual({
      default: "4k",
      ranges: [
        { from: "0x200000", to: "0x400000", size: "2m" },
        { from: "0x40000000", to: "0x80000000", size: "1g" },
      ],
    });
    expect(parsePageSizes("p", "2m")).toBe("2m");
  });

  it("says what is wrong with them", async () => {
    expect(() => parseV2p("v", "a { page_size: 4096 } b { page_size: 0x200000 }")).toThrow(
      "v is no v2p.textproto: its groups have different page sizes",
    );
    expect(() => parseV2p("v", "page_size: 4096")).toThrow("v is no v2p.textproto: it holds no mapping");
    expect(() => parsePageSizes("p", "1000 2000 2m")).toThrow(
      'p is no page-size map: line 1 does not begin and end at multiples of 2m; write "FROM TO 4k|2m|1g" with hexadecimal addresses, or "default 4k|2m|1g"',
    );
    expect(() => parsePageSizes("p", "0 400000 2m\n200000 600000 2m")).toThrow("overlap");
    const guest = pgrec1File(new Uint8Array(0));
    expect(await message(guest, { pageSizes: "2m" })).toBe(
      "TraceError: t has page tables of its own, which decide page sizes and places; leave out --v2p, --page-sizes and --addresses",
    );
  });
});

it("a recording that holds no access is an error, not an empty trace", async () => {
  expect(await message(textFile("==1== Lackey, an example Valgrind tool", "==1== "))).toMatch(
    /^TraceError: t holds no memory access/,
  );
});
