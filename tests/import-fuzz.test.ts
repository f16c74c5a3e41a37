import { spawnSync } from "node:child_process";
import { expect, it } from "vitest";
import { bytesInMemory } from "../src/trace/bytes.js";
import { RecordEncoder } from "../src/trace/encode.js";
import { TraceError } from "../src/trace/error.js";
import { openTrace } from "../src/trace/open.js";
import { RecordScanner } from "../src/trace/records.js";
import type { OpenOptions, TraceSource } from "../src/trace/source.js";
import { checkTrace } from "../src/trace/tools/check.js";
import { traceText } from "../src/trace/tools/text.js";
import { champsimFile, drmemtraceFile, gem5File, textFile } from "./fixtures/foreign.js";
import { mutate, randomNumbers } from "./fixtures/mutate.js";
import { gz, nwtFile, pgrec1File, smallStream } from "./fixtures/traces.js";
import { zipFile } from "./fixtures/zip.js";

/*
 * Damaged files over every importer, every compression and the native reader. Each must end in a result or in one
 * sentence: no crash, no hang, no memory without bounds, and no success that a checksum should have prevented.
 * `npm run fuzz:traces` takes a million; FUZZ_SEED and FUZZ_TRACES choose others, FUZZ_ONLY=zstd,text the originals.
 */
const COUNT = Number(process.env.FUZZ_TRACES ?? 4000);
const SEED = Number(process.env.FUZZ_SEED ?? 1);
const ONLY = process.env.FUZZ_ONLY?.split(",");
/** Most CPU time for one file. */
const MOST_SECONDS = 5;
/** What a file of a few KiB may unpack to before reading stops. */
const MOST_BYTES = 1 << 24;

interface Original {
  name: string;
  bytes: Uint8Array;
  /** The record stream, where checksums keep any other from being read. */
  sure?: Uint8Array;
}

async function originals(): Promise<Original[]> {
  const whole = smallStream();
  const user = new RecordEncoder().switchTo(1, 1).fetch(0x1000, 4).read(0x7fff0000, 8).end().take();
  const stream = pgrec1File(whole);
  const random = randomNumbers(5);
  const lines = <T>(make: (i: number) => T) => Array.from({ length: 30 }, (_, i) => make(i));
  const address = () => (0x400000 + (random() & 0xffffff)).toString(16).padStart(8, "0");
  const source = await openTrace(bytesInMemory("t", stream));
  let text = "";
  for await (const piece of traceText(source)) text += piece;
  const plain: Original[] = [
    { name: "nwt", bytes: await nwtFile(whole), sure: whole },
    { name: "pgrec1", bytes: stream },
    { name: "pgrec1 of a program", bytes: pgrec1File(user, { user: 1 }) },
    { name: "text", bytes: new TextEncoder().encode(text) },
    {
      name: "champsim",
      bytes: champsimFile(
        lines((i) => ({ ip: 0x400000 + 4 * i, loads: i % 2 ? [random()] : [], stores: [] })),
      ),
    },
    {
      name: "cloudsuite",
      bytes: champsimFile(
        lines((i) => ({ ip: 0x400000 + 4 * i, loads: [random()], asid: i >> 4 })),
        true,
      ),
    },
    {
      name: "drmemtrace",
      bytes: drmemtraceFile([
        [25, 0, 7],
        [28, 12, 7],
        [28, 9, 0x40],
        [22, 4, 101],
        [24, 4, 100],
        ...lines((i) => [[10, 17, 0, 1, 29, 30, 28, 48][i % 8]!, i % 9, random()] as const),
        [23, 0, 101],
        [26, 0, 0],
      ]),
    },
    {
      name: "lackey",
      bytes: textFile(
        "==7== Lackey",
        "==7== ",
        ...lines((i) => `${["I ", " S", " L", " M"][i % 4]} ${address()},${1 + (i % 16)}`),
        "==7== ",
      ),
    },
    { name: "dinero", bytes: textFile(...lines((i) => `${i % 5} ${address()}`), "2 abc") },
    { name: "xdin", bytes: textFile(...lines((i) => `${"rwimvc"[i % 6]} ${address()} ${i % 9}`)) },
    { name: "ramulator", bytes: textFile(...lines((i) => `${i} ${random()}${i % 2 ? ` ${random()}` : ""}`)) },
    { name: "ramulator-ls", bytes: textFile(...lines((i) => `${i % 2 ? "LD" : "ST"} 0x${address()}`)) },
    { name: "plain", bytes: textFile(...lines((i) => `0x${address()} ${i % 2 ? "R" : "W"}`)) },
    {
      name: "execlog",
      bytes: textFile(
        ...lines(
          (i) =>
            `0, 0x${address()}, 0x8b, "mov"${i % 2 ? `, load, 0x${address()}${i % 3 ? "" : ", RAM"}` : ""}`,
        ),
      ),
    },
    {
      name: "gem5",
      bytes: gem5File(
        lines((i) => [[1, 4, 2, 22, 34][i % 5]!, random(), 1 << (i % 7), i % 3 ? 0x100 : undefined] as const),
      ),
    },
  ];
  const packed: Original[] = [
    { name: "gzip", bytes: gz(stream), sure: whole },
    {
      name: "zip",
      bytes: zipFile([
        ["chunk.0000", stream.subarray(0, 90)],
        ["chunk.0001", stream.subarray(90)],
      ]),
      sure: whole,
    },
  ];
  for (const [tool, ...args] of [
    ["xz", "-0", "-c"],
    ["bzip2", "-1", "-c"],
    ["zstd", "-q", "-c"],
  ] as const) {
    const { status, stdout } = spawnSync(tool, args, { input: stream });
    if (status !== 0) continue;
    packed.push({ name: tool, bytes: new Uint8Array(stdout), sure: whole });
  }
  return [...plain, ...packed];
}

/** Reads a trace to its end, or to MOST_BYTES. */
async function read(source: TraceSource): Promise<Uint8Array | undefined> {
  const scanner = new RecordScanner({ fetch: source.header.fetch });
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const part of source.records()) {
    parts.push(part);
    bytes += part.length;
    if (bytes > MOST_BYTES) return undefined;
    expect(scanner.scan(part)).toBe(part.length);
  }
  if (!source.truncated) expect(scanner.ended).toBe(true);
  return new Uint8Array(Buffer.concat(parts));
}

it(
  `${COUNT} damaged files each end in a result or one sentence`,
  async () => {
    const all = (await originals()).filter(({ name }) => ONLY?.includes(name) ?? true);
    for (const { name, bytes } of all)
      expect((await read(await openTrace(bytesInMemory(name, bytes))))?.length, name).toBeGreaterThan(9);
    const random = randomNumbers(SEED * 2654435761);
    const outcomes = { read: 0, refused: 0 };
    for (let i = 0; i < COUNT; i++) {
      if (COUNT > 4000 && i % 10_000 === 0) process.stderr.write(`${i} of seed ${SEED}\n`);
      const original = all[i % all.length]!;
      const { bytes, moved } = mutate(original.bytes, all[random() % all.length]!.bytes, random);
      const options: OpenOptions = random() % 4 === 0 ? { allowTruncated: true } : {};
      const slice = 1 + (random() % 3 === 0 ? random() % 64 : 1 << 18);
      const where = `file ${i} of seed ${SEED}, from ${original.name}`;
      const start = process.cpuUsage();
      try {
        const source = await openTrace(bytesInMemory("t", bytes, slice), options);
        const stream = await read(source);
        outcomes.read++;
        if (original.sure && !moved && !source.truncated && stream)
          expect(Buffer.compare(stream, original.sure), `${where}: another stream was read`).toBe(0);
        if (stream && !source.truncated && random() % 16 === 0) {
          await checkTrace(source);
          for await (const _ of traceText(source));
        }
      } catch (error) {
        if (!(error instanceof TraceError)) throw new Error(`${where}: ${(error as Error).stack}`);
        outcomes.refused++;
        const { message, offset } = error;
        expect(
          /^"?t[ "]|^t$/.test(message) && !/\n|undefined|NaN|\[object/.test(message),
          `${where}: ${message}`,
        ).toBe(true);
        expect(message.length, where).toBeLessThan(600);
        if (offset !== undefined)
          expect(Number.isSafeInteger(offset) && offset >= 0, `${where}: offset ${offset}`).toBe(true);
      }
      const { user, system } = process.cpuUsage(start);
      const seconds = (user + system) / 1e6;
      if (seconds > MOST_SECONDS) throw new Error(`${where} took ${seconds} s`);
    }
    expect(outcomes.read + outcomes.refused).toBe(COUNT);
    expect(outcomes.refused).toBeGreaterThan(COUNT / 4);
    const used = process.memoryUsage().rss / (1 << 20);
    expect(used).toBeLessThan(2048);
    if (COUNT > 4000) console.log(outcomes, `${Math.round(used)} MiB`);
  },
  24 * 3600_000,
);
