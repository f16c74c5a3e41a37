import { createHash } from "node:crypto";
import { gunzipSync } from "node:zlib";
import fc from "fast-check";
import { expect, test, vi } from "vitest";
import { type ByteSource, bytesInMemory, bytesOfBlob, bytesOfStream } from "../src/trace/bytes.js";
import { convertTrace } from "../src/trace/convert.js";
import { RecordEncoder } from "../src/trace/encode.js";
import { TraceError } from "../src/trace/error.js";
import type { NwtSource } from "../src/trace/nwt-reader.js";
import { NwtWriter } from "../src/trace/nwt-writer.js";
import { openTrace } from "../src/trace/open.js";
import { RecordScanner } from "../src/trace/records.js";
import { collect, gz, nwtFile, pgrec1File, readAll, smallStream } from "./fixtures/traces.js";

const stream = smallStream();
const counts = { events: 74, fetches: 18, reads: 6, writes: 9 };

function scanned(bytes: Uint8Array) {
  const scanner = new RecordScanner();
  scanner.scan(bytes);
  return scanner;
}

test("PGREC1 to .nwt and back to records is byte-identical, plain or gzipped, in slices of any size", async () => {
  const pgrec = pgrec1File(stream);
  const nwt = await nwtFile(stream);
  for (const file of [pgrec, gz(pgrec), nwt, gz(nwt)]) {
    for (const slice of [1, 10, 1 << 20]) {
      const got = await readAll(bytesInMemory("t", file, slice));
      expect(Buffer.compare(got.stream, stream)).toBe(0);
      expect(got.truncated).toBeUndefined();
    }
  }
  expect(scanned(stream)).toMatchObject(counts);
});

test("a .nwt header carries origin and totals", async () => {
  const source = (await openTrace(bytesInMemory("t.nwt", await nwtFile(stream)))) as NwtSource;
  expect(source.format).toBe("nwt");
  expect(source.header).toEqual({
    version: 1,
    fetch: "insn",
    recorded: {
      guest: "small",
      ramMiB: 64,
      source: { format: "PGREC1", header: { ram_mb: 64, fetch: "insn", meta: "small" } },
    },
    totals: { ...counts, streamBytes: stream.length },
  });
  expect(await source.streamSha256()).toHaveLength(64);
});

/** Reads the container by the table in traces/FORMAT.md, sharing nothing with the reader. */
function readByHand(file: Uint8Array) {
  const view = new DataView(file.buffer, file.byteOffset);
  const blocks: { type: string; body: Uint8Array }[] = [];
  for (let at = 8; at < file.length; ) {
    const length = view.getUint32(at + 4, true);
    const type = Buffer.from(file.subarray(at, at + 4)).toString("latin1");
    blocks.push({ type, body: file.subarray(at + 8, at + 8 + length) });
    at += length + 12;
  }
  return blocks;
}

test("the container is laid out as specified, and each chunk decodes from its own bases", async () => {
  const long = smallStream(4000);
  const file = await nwtFile(long, 1 << 14);
  const blocks = readByHand(file);
  const chunks = blocks.filter(({ type }) => type === "CHNK");
  expect(blocks.map(({ type }) => type)).toEqual(["HEAD", ...chunks.map(() => "CHNK"), "INDX", "TAIL"]);
  expect(chunks.length).toBe(Math.ceil(long.length / (1 << 14)));
  const whole = scanned(long);
  let at = 0;
  let events = 0;
  for (const { body } of chunks) {
    const view = new DataView(body.buffer, body.byteOffset);
    const raw = gunzipSync(body.subarray(72));
    expect(raw.length).toBe(view.getUint32(0, true));
    expect(raw.equals(long.subarray(at, at + raw.length))).toBe(true);
    const before = scanned(long.subarray(0, at));
    expect(before.offset).toBe(at);
    const [fetchEnd, dataAddress, ptwAddress] = [48, 56, 64].map((o) => view.getBigUint64(o, true));
    expect(before.bases()).toEqual({ fetchEnd, dataAddress, ptwAddress });
    expect(Number(view.getBigUint64(8, true))).toBe(events);
    events += Number(view.getBigUint64(16, true));
    at += raw.length;
  }
  expect(at).toBe(long.length);
  expect(events).toBe(whole.events);
});

test("the index leads to any chunk without reading the others", async () => {
  const long = smallStream(4000);
  const source = (await openTrace(bytesInMemory("t.nwt", await nwtFile(long, 1 << 14)))) as NwtSource;
  const index = await source.index();
  expect(index.length).toBe(Math.ceil(long.length / (1 << 14)));
  const last = await source.chunk(index.at(-1)!);
  const scanner = new RecordScanner();
  scanner.scan(long.subarray(0, long.length - last.raw.length));
  expect(last.bases).toEqual(scanner.bases());
  expect(last.firstEvent).toBe(scanner.events);
  expect(index.at(-1)!.firstAccess).toBe(scanner.accesses);
  expect(Buffer.compare(last.raw, long.subarray(-last.raw.length))).toBe(0);
});

test("a chunk limit is a whole number of 16 KiB to 1 MiB", () => {
  for (const chunkBytes of [0, 16383, 1048577, 20000.5]) {
    expect(() => new NwtWriter({ fetch: "insn", recorded: {}, chunkBytes })).toThrow(RangeError);
  }
});

test("the file does not depend on how the stream was sliced", async () => {
  const long = smallStream(1500);
  const expected = await nwtFile(long, 1 << 14);
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 50_000 }), async (slice) => {
      const source = await openTrace(bytesInMemory("small.pgrec", pgrec1File(long), slice));
      const file = await collect(convertTrace(source, { chunkBytes: 1 << 14 }));
      expect(Buffer.compare(file, expected)).toBe(0);
    }),
    { numRuns: 20 },
  );
});

test("random data accesses survive the container", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.bigInt(0n, 2n ** 64n - 1n), { maxLength: 3000 }), async (addresses) => {
      const e = new RecordEncoder();
      for (const gva of addresses) e.read(gva, 8);
      const bytes = e.end().take();
      const { stream: back } = await readAll(await nwtFile(bytes, 1 << 14));
      expect(Buffer.compare(back, bytes)).toBe(0);
    }),
    { numRuns: 30 },
  );
});

test("what is not a trace is recognised by its content and named", async () => {
  const text = (s: string) => Uint8Array.from(s, (c) => c.charCodeAt(0));
  const tar = new Uint8Array(512);
  tar.set(text("ustar"), 257);
  const known = "nestwalk trace formats lists what can be read";
  const again = "a recording that was cut short leaves one, so record it again";
  const columns = "text in columns of its own is read with --columns, such as --columns hex,kind,size";
  const lines = 'no format has lines such as "hello"';
  const cases: [Uint8Array, string][] = [
    [new Uint8Array(0), `t is an empty file; ${again}`],
    [gz(new Uint8Array(0)), `t is gzip with nothing in it; ${again}`],
    [text("\x7fELF\x02\x01"), `t is an ELF program, not a trace; ${known}`],
    [text('{"a": 1}'), `t is JSON, not a trace; ${known}`],
    [text("hello\n"), `t is text, not a trace: ${lines}; ${known}; ${columns}`],
    [gz(text("hello\n")), `t holds, inside gzip, text, not a trace: ${lines}; ${known}; ${columns}`],
    [tar, `t is a tar archive, not a trace; unpack it with tar -x; ${known}`],
    [gz(tar), `t holds, inside gzip, a tar archive, not a trace; unpack it with tar -x; ${known}`],
    [gz(gz(stream)), "t is compressed twice: inside gzip it holds gzip data; unpack it once with gunzip"],
    [
      Uint8Array.of(1, 2, 3, 4, 5),
      `t is not a trace that nestwalk knows: it begins with the bytes 01 02 03 04; ${known}`,
    ],
  ];
  for (const [bytes, message] of cases) {
    const error = await openTrace(bytesInMemory("t", bytes)).catch((e) => e);
    expect(error).toBeInstanceOf(TraceError);
    expect(error.message).toBe(message);
    expect(error.kind).toBe("unrecognised");
  }
  const file = await nwtFile(stream);
  const crlf = Uint8Array.from([...file].flatMap((byte) => (byte === 10 ? [13, 10] : [byte])));
  await expect(openTrace(bytesInMemory("t", crlf))).rejects.toThrow("text-mode transfer");
});

test("header faults are one sentence", async () => {
  const text = (s: string) => new TextEncoder().encode(s);
  const open = (bytes: Uint8Array) => openTrace(bytesInMemory("t", bytes)).catch((e) => e.message);
  expect(await open(text("PGREC1 nonsense\n"))).toBe(
    't is corrupt: no JSON object follows "PGREC1 " at byte 7; record the trace again',
  );
  expect(await open(text('PGREC1 {"fetch":"odd"}\n'))).toBe(
    't has an unknown fetch mode in its header line, at byte 7; "insn" and "page" are known',
  );
  expect(await open(text(`PGREC1 ${" ".repeat(70000)}`))).toBe(
    "t is corrupt: its header line does not end within 64 KiB; record the trace again",
  );
});

test("the SHA-256 of the file is the same before, during and after reading, and from a pipe", async () => {
  const file = gz(pgrec1File(stream));
  const digest = await crypto.subtle.digest("SHA-256", file as BufferSource);
  const hex = Buffer.from(digest).toString("hex");
  const before = await openTrace(bytesInMemory("t", file));
  expect(await before.sha256()).toBe(hex);
  await collect(before.records());
  expect(await before.sha256()).toBe(hex);
  const after = await openTrace(bytesInMemory("t", file));
  await collect(after.records());
  expect(await after.sha256()).toBe(hex);
  const piped = await openTrace(bytesOfStream("pipe", bytesInMemory("t", file, 100)));
  await collect(piped.records());
  expect(await piped.sha256()).toBe(hex);
  await expect(collect(piped.records())).rejects.toThrow("pipe is a pipe and has been read");
});

test("a file, a Blob and a stream give the same records, as often as they can", async () => {
  const file = await nwtFile(stream);
  const blob = new Blob([file as BlobPart]);
  const sources: ByteSource[] = [
    bytesInMemory("t", file),
    bytesOfBlob("t", blob),
    bytesOfStream("t", blob.stream() as ReadableStream<Uint8Array>),
  ];
  for (const bytes of sources) {
    const source = await openTrace(bytes);
    expect(Buffer.compare(await collect(source.records()), stream)).toBe(0);
    if (!bytes.once) expect(Buffer.compare(await collect(source.records()), stream)).toBe(0);
    expect(source.header.totals === undefined).toBe(bytes.once === true);
  }
});

test("a newer version is refused by name", async () => {
  const file = await nwtFile(stream);
  const length = new DataView(file.buffer).getUint32(12, true);
  const newer = file.slice();
  newer[16] = 2;
  const { portableCrc32 } = await import("../src/trace/crc32.js");
  new DataView(newer.buffer).setUint32(16 + length, portableCrc32(newer.subarray(8, 16 + length)), true);
  await expect(openTrace(bytesInMemory("t.nwt", newer))).rejects.toThrow(
    "t.nwt is a .nwt file of version 2, and this reader knows version 1; update nestwalk",
  );
});

test("without Node's modules, as in a browser, everything reads the same", async () => {
  const long = smallStream(2000);
  const native = await nwtFile(long, 1 << 14);
  vi.resetModules();
  const builtin = vi.spyOn(process, "getBuiltinModule").mockReturnValue(undefined as never);
  try {
    const { openTrace, bytesInMemory, convertTrace, TraceError } = await import("../src/trace/index.js");
    const { nodeZlib } = await import("../src/trace/platform.js");
    expect(nodeZlib).toBeUndefined();
    const files = [native, gz(native), gz(pgrec1File(long))];
    const source = await openTrace(bytesInMemory("t", files[2]!));
    files.push(await collect(convertTrace(source, { chunkBytes: 1 << 14 })));
    for (const file of files) {
      const source = await openTrace(bytesInMemory("t", file));
      expect(Buffer.compare(await collect(source.records()), long)).toBe(0);
    }
    const bad = native.slice();
    bad[native.length >> 1]! ^= 1;
    const damaged = await openTrace(bytesInMemory("t", bad));
    await expect(collect(damaged.records())).rejects.toBeInstanceOf(TraceError);
  } finally {
    builtin.mockRestore();
    vi.resetModules();
  }
});

test("the digest of the record stream is at hand once the stream has been read, whole or as far as it goes", async () => {
  const stream = smallStream(2000);
  const file = await nwtFile(stream, 16_384);
  const whole = (await openTrace(bytesInMemory("a.nwt", file))) as NwtSource;
  expect(() => whole.hashedStream()).toThrow("has not been read to its end");
  await collect(whole.records());
  expect(whole.hashedStream()).toBe(createHash("sha256").update(stream).digest("hex"));
  const cut = (await openTrace(bytesInMemory("b.nwt", file.subarray(0, file.length >> 1)), {
    allowTruncated: true,
  })) as NwtSource;
  const part = await collect(cut.records());
  expect(part.length).toBeGreaterThan(0);
  expect(part.length).toBeLessThan(stream.length);
  expect(cut.hashedStream()).toBe(createHash("sha256").update(part).digest("hex"));
});
