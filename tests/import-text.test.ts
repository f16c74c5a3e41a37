import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { bytesInMemory } from "../src/trace/bytes.js";
import { textFile } from "./fixtures/foreign.js";
import { message, records } from "./fixtures/imported.js";
import { collect, randomNumbers } from "./fixtures/traces.js";

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

  it("says where it is cut, and is read as far as it is whole", async () => {
    const lines = textFile('0, 0x401000, 0x55, "push rbp", store, 0x7fffe000', '0, 0x401001, 0xc3, "ret"');
    const cut = lines.subarray(0, -6);
    const end = `inside line 2; get the file again, or read it as far as it is whole (--allow-truncated)`;
    expect(await message(cut)).toBe(`TraceError: t is truncated: it ends at byte ${cut.length}, ${end}`);
    expect((await records(cut, { allowTruncated: true })).lines).toEqual([
      "SWITCH 1 1",
      "F 401000 1",
      "W 7fffe000 8",
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
    expect(recorded.missing).not.toContain("kernel accesses");
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

describe("a text with a mistake", () => {
  const lines = Array.from({ length: 1000 }, (_, i) => `0x${(0x1000 + 8 * i).toString(16)} ${"RW"[i % 2]}`);
  const with700 = (line: string) => textFile(...lines.slice(0, 699), line, ...lines.slice(700));

  it("is told its line, wherever that is", async () => {
    expect(await message(with700("0x12g4 R"))).toBe(
      'TraceError: t is corrupt: line 700, at byte 6291, is not an address and a kind of access: "0x12g4 R"; its columns are hex,kind; state others with --columns',
    );
    expect(await message(textFile("0x1000 Q", ...lines.slice(0, 3)))).toMatch(
      /: line 1, at byte 0, is not an address/,
    );
    expect(await message(textFile(...lines.slice(0, 3), "0x123456789abcdef01 R"))).toMatch(
      /: line 4, at byte 27, /,
    );
    const din = Array.from({ length: 600 }, (_, i) => `${i % 3} ${(0xabc000 + 4 * i).toString(16)}`);
    din[300] = "hello world";
    expect(await message(textFile(...din))).toBe(
      'TraceError: t is corrupt: line 301, at byte 2700, is not a label from 0 to 4 and a hexadecimal address: "hello world"; check how the trace was written',
    );
  });

  it("is no trace when most of it is something else", async () => {
    const prose = textFile(
      "It was a dark night",
      "0x1000 R",
      "the rain fell in torrents",
      "except at intervals",
    );
    expect(await message(prose)).toBe(
      'TraceError: t is text, not a trace: no format has lines such as "It was a dark night"; nestwalk trace formats lists what can be read; text in columns of its own is read with --columns, such as --columns hex,kind,size',
    );
    // A process, an address and R or W: not Dinero's label and address.
    expect(await message(textFile("1 0x1000 R 8", "2 0x2000 W 8"))).toMatch(
      /^TraceError: t is text, not a trace/,
    );
    const utf16 = new Uint8Array([0xff, 0xfe, ...new TextEncoder().encode(lines.join("\n")).slice(0, 99)]);
    expect(await message(utf16)).toBe(
      "TraceError: t begins as text in UTF-16; if it is one, write it as UTF-8: iconv -f UTF-16 -t UTF-8",
    );
  });

  it("may have line ends of Windows, a byte-order mark, upper case, tabs, and names of columns", async () => {
    const wanted = (await records(textFile("0xabc R", "0xdef W"))).lines;
    for (const text of [
      "0xabc R\r\n0xdef W\r\n",
      "\u{feff}0xabc R\n0xdef W",
      "0XABC r\n0xDEF write\n",
      "# mine\n\n  0xabc\tR \n0xdef , W\n",
      "address,op\n0xabc,R\n0xdef,W\n",
    ])
      expect((await records(new TextEncoder().encode(text))).lines).toEqual(wanted);
    const { lines: told } = await records(textFile("addr,op,size", "0xabc,R,4", "0xdef,W,4"), {
      columns: "hex,kind,size",
    });
    expect(told.slice(0, 2)).toEqual(["SWITCH 1 1", "R abc 4"]);
  });
});
