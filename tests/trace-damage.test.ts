import fc from "fast-check";
import { expect, test } from "vitest";
import { bytesInMemory, concatBytes } from "../src/trace/bytes.js";
import { convertTrace } from "../src/trace/convert.js";
import { RecordEncoder } from "../src/trace/encode.js";
import { TraceError } from "../src/trace/error.js";
import type { NwtSource } from "../src/trace/nwt-reader.js";
import { openTrace } from "../src/trace/open.js";
import { RecordScanner } from "../src/trace/records.js";
import { collect, cutStream, gz, nwtFile, pgrec1File, readAll, smallStream } from "./fixtures/traces.js";

const stream = smallStream();

function scanned(bytes: Uint8Array) {
  const scanner = new RecordScanner();
  scanner.scan(bytes);
  return scanner;
}

/** Record boundaries of a stream: how many whole events lie before each byte. */
function wholeEvents(bytes: Uint8Array, length: number): { events: number; end: number } {
  const scanner = new RecordScanner();
  const end = scanner.scan(bytes.subarray(0, length));
  return { events: scanner.events, end };
}

test("PGREC1 cut at any byte is an error with offset and events, or a clean prefix", async () => {
  const file = pgrec1File(stream);
  const start = file.length - stream.length;
  for (let end = 0; end < file.length; end++) {
    const cut = file.subarray(0, end);
    const error = await readAll(cut).catch((e) => e);
    expect(error).toBeInstanceOf(TraceError);
    if (end < start) {
      expect(await readAll(cut, { allowTruncated: true }).catch((e) => e)).toBeInstanceOf(TraceError);
      continue;
    }
    const whole = wholeEvents(stream, end - start);
    expect(error).toMatchObject({ kind: "truncated", offset: end, events: whole.events });
    const got = await readAll(cut, { allowTruncated: true });
    expect(got.truncated).toEqual({ offset: end, events: whole.events });
    expect(Buffer.compare(got.stream, stream.subarray(0, whole.end))).toBe(0);
  }
});

test("gzipped PGREC1 cut at any byte is an error with the file's offset, or a clean prefix", async () => {
  const file = gz(pgrec1File(stream));
  let longest = 0;
  for (let end = 0; end < file.length; end++) {
    const cut = file.subarray(0, end);
    const error = await readAll(cut).catch((e) => e);
    expect(error).toBeInstanceOf(TraceError);
    const got = await readAll(cut, { allowTruncated: true }).catch((e) => e);
    if (got instanceof TraceError) continue;
    expect(error).toMatchObject({ kind: "truncated", offset: end });
    expect(got.truncated).toEqual({ offset: end, events: error.events });
    expect(wholeEvents(stream, got.stream.length)).toEqual({ events: error.events, end: got.stream.length });
    expect(Buffer.compare(got.stream, stream.subarray(0, got.stream.length))).toBe(0);
    longest = got.stream.length;
  }
  expect(longest).toBe(stream.length);
});

test(".nwt cut at any byte is an error with offset and events, or the chunks before the cut", async () => {
  const long = smallStream(500);
  const file = await nwtFile(long, 1 << 14);
  const source = (await openTrace(bytesInMemory("t.nwt", file))) as NwtSource;
  const index = await source.index();
  const scanner = scanned(long);
  expect(index.length).toBe(3);
  const sizes = new Set<number>();
  for (let end = 0; end < file.length; end++) {
    const cut = file.subarray(0, end);
    const error = await readAll(cut).catch((e) => e);
    expect(error).toBeInstanceOf(TraceError);
    const got = await readAll(cut, { allowTruncated: true }).catch((e) => e);
    if (end < index[0]!.offset) {
      expect(got).toBeInstanceOf(TraceError);
      continue;
    }
    const whole = [...index.map((entry) => entry.offset), file.length].filter((_, i, all) => {
      const next = i < index.length - 1 ? all[i + 1]! : indexOffset(file);
      return i < index.length && next <= end;
    }).length;
    const events = whole < index.length ? index[whole]!.firstEvent : scanner.events;
    expect(error).toMatchObject({ kind: "truncated", offset: end, events });
    expect(got.truncated).toEqual({ offset: end, events });
    expect(wholeEvents(long, got.stream.length)).toEqual({ events, end: got.stream.length });
    expect(Buffer.compare(got.stream, long.subarray(0, got.stream.length))).toBe(0);
    sizes.add(got.stream.length);
  }
  expect(sizes.size).toBe(4);
});

function indexOffset(file: Uint8Array): number {
  return Number(new DataView(file.buffer, file.byteOffset + file.length - 100).getBigUint64(8 + 48, true));
}

test("every single-bit error in a .nwt is detected and located", async () => {
  const file = await nwtFile(stream);
  expect(file.length).toBeLessThan(1000);
  for (let at = 0; at < file.length; at++) {
    for (let bit = 0; bit < 8; bit++) {
      const bad = file.slice();
      bad[at]! ^= 1 << bit;
      const error = await readAll(bad).catch((e) => e);
      expect(error, `byte ${at} bit ${bit}`).toBeInstanceOf(TraceError);
      expect(error.offset, `byte ${at} bit ${bit}`).toBeTypeOf("number");
      if (error.kind === "corrupt") expect(error.offset).toBeLessThanOrEqual(at);
    }
  }
});

test("corruption is not excused by allowing truncation, and good chunks come before the error", async () => {
  const long = smallStream(800);
  const file = await nwtFile(long, 1 << 14);
  const source = (await openTrace(bytesInMemory("t.nwt", file))) as NwtSource;
  const index = await source.index();
  const bad = file.slice();
  bad[index[1]!.offset + 200]! ^= 4;
  const damaged = await openTrace(bytesInMemory("t.nwt", bad), { allowTruncated: true });
  const got: Uint8Array[] = [];
  const read = async () => {
    for await (const slice of damaged.records()) got.push(slice);
  };
  const error = await read().catch((e) => e);
  const events = index[1]!.firstEvent;
  expect(error.message).toBe(
    `t.nwt is corrupt: a CHNK block does not match its checksum, at byte ${index[1]!.offset} of the file, after ${events} good events; get the file again`,
  );
  expect(error).toMatchObject({ kind: "corrupt", offset: index[1]!.offset, events });
  expect(got.length).toBe(1);
  expect(scanned(got[0]!).events).toBe(events);
});

test("chunks left out, doubled or swapped, and data after the end, are detected", async () => {
  const long = smallStream(800);
  const file = await nwtFile(long, 1 << 14);
  const index = await ((await openTrace(bytesInMemory("t.nwt", file))) as NwtSource).index();
  const [a, b, c] = index.map((entry) => entry.offset) as [number, number, number];
  const end = indexOffset(file);
  const build = (...ranges: [number, number][]) =>
    new Uint8Array(Buffer.concat(ranges.map(([from, to]) => file.subarray(from, to))));
  const head: [number, number] = [0, a];
  const tail: [number, number] = [end, file.length];
  for (const bad of [
    build(head, [b, end], tail),
    build(head, [a, c], tail),
    build(head, [a, b], [a, b], [b, end], tail),
    build(head, [b, c], [a, b], [c, end], tail),
    build(head, [a, end], [end, file.length - 100]),
    build(head, [a, end], [file.length - 100, file.length]),
    concatBytes(file, Uint8Array.of(0)),
    concatBytes(file, file),
  ]) {
    expect(await readAll(bad).catch((e) => e)).toBeInstanceOf(TraceError);
  }
});

test("a truncated recording converts to a whole trace that says where it broke off", async () => {
  const file = pgrec1File(stream).subarray(0, -40);
  const source = await openTrace(bytesInMemory("cut.pgrec", file), { allowTruncated: true });
  const { stream: back } = await readAll(await collect(convertTrace(source)));
  const kept = wholeEvents(stream, stream.length - 40);
  expect(Buffer.compare(back.subarray(0, kept.end), stream.subarray(0, kept.end))).toBe(0);
  expect(scanned(back)).toMatchObject({ ended: true, events: kept.events + 2 });
  expect(Buffer.from(back).toString("latin1")).toContain(`truncated: the source ends at byte ${file.length}`);
  const strict = await openTrace(bytesInMemory("cut.pgrec", file));
  await expect(collect(convertTrace(strict))).rejects.toThrow(/^cut\.pgrec is truncated: it ends at byte/);
});

test("a trace with nothing but END", async () => {
  const empty = new RecordEncoder().end().take();
  expect((await readAll(await nwtFile(empty))).stream).toEqual(empty);
});

test("a stream cut after n events is whole again", () => {
  for (let events = 0; events < 74; events++) {
    const scanner = scanned(cutStream(stream, events));
    expect(scanner.ended).toBe(true);
    expect(scanner.events).toBe(events + 1);
  }
  expect(Buffer.compare(cutStream(stream, 74), stream)).toBe(0);
});

test("no damage to a file gives anything but a trace or a TraceError", async () => {
  const pgrec = pgrec1File(stream);
  const files = [pgrec, gz(pgrec), await nwtFile(stream), gz(await nwtFile(stream))];
  const change = fc.tuple(fc.nat(10_000), fc.constantFrom("set", "insert", "delete"), fc.nat(255));
  await fc.assert(
    fc.asyncProperty(
      fc.nat(3),
      fc.array(change, { minLength: 1, maxLength: 4 }),
      fc.boolean(),
      async (which, changes, allowTruncated) => {
        const bytes = [...files[which]!];
        for (const [at, how, value] of changes) {
          const i = at % bytes.length;
          if (how === "set") bytes[i] = value;
          else if (how === "insert") bytes.splice(i, 0, value);
          else bytes.splice(i, 1 + (value % 16));
          if (bytes.length === 0) return;
        }
        const result = await readAll(Uint8Array.from(bytes), { allowTruncated }).catch((e) => e);
        if (result instanceof Error) expect(result).toBeInstanceOf(TraceError);
      },
    ),
    { numRuns: 1500 },
  );
});
