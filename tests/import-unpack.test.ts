import { spawnSync } from "node:child_process";
import { crc32 as zlibCrc32 } from "node:zlib";
import { describe, expect, it } from "vitest";
import { type ByteSource, bytesInMemory, bytesOfStream } from "../src/trace/bytes.js";
import { openTrace } from "../src/trace/open.js";
import { shareRead } from "../src/trace/source.js";
import { drive } from "../src/trace/unpack/drive.js";
import { wrapperOf } from "../src/trace/unpack/table.js";
import { XzUnpacker } from "../src/trace/unpack/xz.js";
import { collect, gz, pgrec1File, randomNumbers, readAll, smallStream } from "./fixtures/traces.js";
import { zipFile } from "./fixtures/zip.js";

/** Text and noise: literals, short and long matches. */
function sample(bytes: number): Uint8Array {
  const random = randomNumbers(11);
  const lines: string[] = [];
  for (let length = 0; length < bytes; ) {
    const line = `I  ${(0x4000000 + (random() % 5000) * 4).toString(16).padStart(8, "0")},${1 + (random() % 7)}\n`;
    lines.push(line);
    length += line.length;
  }
  return new TextEncoder().encode(lines.join("")).subarray(0, bytes);
}

const tools: [tool: string, args: string[]][] = [
  ["xz", ["-c", "-0"]],
  ["xz", ["-c", "-6"]],
  ["xz", ["-c", "-9", "--check=sha256"]],
  ["xz", ["-c", "--check=crc32", "--block-size=100000"]],
  ["xz", ["-c", "--check=none", "--lzma2=preset=6,lc=0,lp=4,pb=4"]],
  ["bzip2", ["-c", "-1"]],
  ["bzip2", ["-c", "-9"]],
  ["zstd", ["-q", "-c"]],
  ["zstd", ["-q", "-c", "-19", "--no-check"]],
  ["zstd", ["-q", "-c", "--fast=5"]],
  ["zstd", ["-q", "-c", "--ultra", "-22", "--long=27"]],
];

function packed(tool: string, args: string[], input: Uint8Array): Uint8Array {
  const { status, stdout, stderr } = spawnSync(tool, args, { input, maxBuffer: 1 << 26 });
  if (status !== 0) throw new Error(`${tool}: ${stderr}`);
  return new Uint8Array(stdout);
}

function unpack(name: string, bytes: Uint8Array, slice?: number): Promise<Uint8Array> {
  const source: ByteSource = bytesInMemory(name, bytes, slice);
  return collect(wrapperOf(bytes)!.unpack(source, source));
}

const has = (tool: string) => spawnSync(tool, ["--version"], { input: "" }).error === undefined;

describe.each(tools.filter(([tool]) => has(tool)))("%s %j", (tool, args) => {
  it.each([0, 1, 7, 20, 5000, 300_000])("gives back %i bytes, in slices of any size", async (length) => {
    const bytes = sample(length);
    const file = packed(tool, args, bytes);
    for (const slice of [1 << 20, 4097, ...(length < 10_000 ? [1] : [])])
      expect(Buffer.compare(await unpack("t", file, slice), bytes)).toBe(0);
    const twice = new Uint8Array(Buffer.concat([file, file]));
    expect((await unpack("t", twice)).length).toBe(2 * length);
  });

  it("says where it is cut or damaged", async () => {
    const file = packed(tool, args, sample(3000));
    for (let end = 12; end < file.length; end += 397) {
      const error = await unpack("t", file.subarray(0, end)).catch((e) => e);
      expect(error.message).toBe(
        `t is truncated: its ${wrapperOf(file)!.name} data ends early, at byte ${end}; get the file again`,
      );
    }
    const random = randomNumbers(3);
    let noticed = 0;
    for (let i = 0; i < 60; i++) {
      const bad = file.slice();
      bad[10 + (random() % (file.length - 10))]! ^= 1 << (random() % 8);
      const outcome = await unpack("t", bad).catch((e) => e);
      if (outcome instanceof Uint8Array) continue;
      noticed++;
      expect(outcome.message).toMatch(
        /^t is (corrupt: its \w+ data is damaged near byte \d+ \(.+\)|truncated: its \w+ data ends early, at byte \d+); get the file again$/,
      );
    }
    if (!args.includes("--check=none") && !args.includes("--no-check")) expect(noticed).toBeGreaterThan(55);
  });
});

describe("zip", () => {
  const trace = pgrec1File(smallStream());

  it("reads its only member, stored or deflated, and the chunks of a recording in order", async () => {
    const members = [
      [["guest.pgrec", trace]],
      [
        ["dir/", new Uint8Array(0)],
        ["dir/guest.pgrec", trace],
      ],
      [
        ["chunk.0000", trace.subarray(0, 50)],
        ["other", trace],
        ["chunk.0001", trace.subarray(50)],
      ],
    ] as [string, Uint8Array][][];
    for (const list of members) {
      for (const method of [0, 8] as const) {
        const { stream } = await readAll(zipFile(list, method));
        expect(Buffer.compare(stream, smallStream())).toBe(0);
      }
    }
  });

  it("says what is wrong in one sentence", async () => {
    const message = (bytes: ByteSource) =>
      openTrace(bytes)
        .then(readWhole)
        .catch((e) => e.message);
    const readWhole = async (source: Awaited<ReturnType<typeof openTrace>>) => {
      await collect(source.records());
      return "";
    };
    const two = zipFile([
      ["a.txt", trace],
      ["b.txt", trace],
    ]);
    expect(await message(bytesInMemory("t", two))).toBe(
      "t is a zip archive of 2 files (a.txt, b.txt); unpack it with unzip and name the one that is the trace",
    );
    expect(await message(bytesInMemory("t", zipFile([])))).toBe(
      "t is a zip archive with nothing in it; get the file again",
    );
    const good = zipFile([["a", trace]]);
    expect(await message(bytesOfStream("t", bytesInMemory("t", good)))).toBe(
      "t is a zip archive in a pipe, and a zip archive is read from its end; save it to a file",
    );
    expect(await message(bytesInMemory("t", good.subarray(0, -30)))).toBe(
      `t is truncated: its zip data ends early, at byte ${good.length - 30}; get the file again`,
    );
    const bad = good.slice();
    bad[good.length - 22 - 47 + 16]! ^= 4;
    expect(await message(bytesInMemory("t", bad))).toMatch(
      /^t is corrupt: its zip data is damaged near byte \d+ /,
    );
  });
});

describe.runIf(has("xz"))("one layer of compression", () => {
  it("is taken off, and a second is named", async () => {
    const stream = pgrec1File(smallStream());
    for (const [tool, args] of tools.filter(([tool]) => has(tool)))
      expect((await readAll(packed(tool, args, stream))).stream.length).toBe(smallStream().length);
    const inner = packed("xz", ["-c"], stream);
    await expect(openTrace(bytesInMemory("t.gz", gz(inner)))).rejects.toThrow(
      "t.gz is compressed twice: inside gzip it holds xz data; unpack it once with gunzip",
    );
    const tar = new Uint8Array(1024);
    tar.set(new TextEncoder().encode("ustar"), 257);
    await expect(openTrace(bytesInMemory("t.xz", packed("xz", ["-c"], tar)))).rejects.toThrow(
      "t.xz holds, inside xz, a tar archive, not a trace; unpack it with tar -x",
    );
  });

  it("never takes the memory that a header claims", async () => {
    // A dictionary of 4 GiB; its header's CRC is right.
    const file = packed("xz", ["-c"], sample(100));
    const header = file.slice(12, 24);
    header[4] = 40;
    new DataView(header.buffer).setUint32(8, zlibCrc32(header.subarray(0, 8)), true);
    file.set(header, 12);
    await expect(collect(drive("t", "xz", bytesInMemory("t", file), new XzUnpacker()))).rejects.toThrow(
      "t is packed by xz with a dictionary of 4096 MiB, at byte 12, which is not known here; unpack it with xz -d",
    );
    // Many small blocks that unpack to much more are given one at a time.
    const zeros = packed("xz", ["-c"], new Uint8Array(1 << 24));
    let most = 0;
    for await (const part of wrapperOf(zeros)!.unpack(bytesInMemory("t", zeros), bytesInMemory("t", zeros)))
      most = Math.max(most, part.length);
    expect(most).toBeLessThanOrEqual(1 << 17);
  });

  it("says what else unpacks a filter that is not known", async () => {
    await expect(unpack("t", packed("xz", ["-c", "--delta=dist=4", "--lzma2"], sample(100)))).rejects.toThrow(
      "t is packed by xz with a filter other than LZMA2, at byte 12, which is not known here; unpack it with xz -d",
    );
  });
});

describe("a zstd file", () => {
  const frame = (...bytes: number[]) => Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, 0, 15 << 3, ...bytes);
  const eight = [8 << 3, 0, 0, ...new TextEncoder().encode("abcdefgh")];
  /** The last block: no literals, sequences whose codes are all the same, and their bits. */
  const sequences = (count: number[], match: number, bits: number[]) => {
    const body = [0, ...count, 0x54, 0, 0, match, ...bits];
    return [((body.length << 3) | 5) & 255, body.length >> 5, 0, ...body];
  };
  const outcome = (file: Uint8Array) =>
    unpack("t", file).then(
      ({ length }) => length,
      (error) => error.message,
    );
  const damage = (at: number, why: string) =>
    `t is corrupt: its zstd data is damaged near byte ${at} (${why}); get the file again`;

  it("costs no more work than its blocks may hold", async () => {
    // Code 52 is a match of 65,539 bytes and what 16 bits add.
    expect(await outcome(frame(...eight, ...sequences([1], 52, [0, 0, 1])))).toBe(8 + 65_539);
    expect(await outcome(frame(...eight, ...sequences([2], 52, [0, 0, 0, 0, 1])))).toBe(
      damage(17, "a block that holds too much"),
    );
    // 98,047 sequences without a bit for them.
    expect(await outcome(frame(...eight, ...sequences([255, 255, 255], 52, [1])))).toBe(
      damage(17, "a bit stream that ends early"),
    );
    // 5,000 empty blocks in a window of 32 MiB.
    expect(await outcome(frame(...Array.from({ length: 5000 }, () => [0, 0, 0]).flat(), 1, 0, 0))).toBe(0);
  });

  it("is read to the bit, without a checksum", async () => {
    expect(await outcome(frame(...eight, ...sequences([1], 52, [0, 0, 0, 1])))).toBe(
      damage(17, "sequences of another length"),
    );
    expect(await outcome(frame(...eight, ...sequences([1], 52, [0, 0, 0])))).toBe(
      damage(17, "a bit stream without an end"),
    );
    expect(await outcome(frame(...sequences([1], 0, [1])))).toBe(damage(6, "a match before the content"));
    const sized = (size: number) =>
      Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, 0x20, size, (4 << 3) | 1, 0, 0, 1, 2, 3, 4);
    expect(await outcome(sized(4))).toBe(4);
    for (const size of [3, 5])
      expect(await outcome(sized(size))).toBe(damage(6, "a frame of another length than it says"));
  });
});

it("how much of a file has been read is known on the way, unless it is read in another order", async () => {
  const trace = pgrec1File(smallStream());
  const shares = async (file: Uint8Array, options = {}) => {
    const source = await openTrace(bytesInMemory("t", file, 64), options);
    const seen = [shareRead(source, 0)];
    for await (const _ of source.records()) seen.push(shareRead(source, 0));
    return seen;
  };
  for (const file of [trace, gz(trace)]) {
    const [before, ...seen] = await shares(file);
    expect(before).toBeUndefined();
    expect(seen.at(-1)).toBe(1);
    expect(seen).toEqual([...seen].sort((a, b) => a! - b!));
  }
  const [, first] = await shares(trace);
  expect(first).toBeLessThan(0.5);
  const text = new TextEncoder().encode("I  00001000,4\n".repeat(50));
  expect((await shares(text, { from: "lackey" })).at(-1)).toBe(1);
  expect(new Set(await shares(zipFile([["t", trace]])))).toEqual(new Set([undefined]));
});
