import { createHash } from "node:crypto";
import { deflateRawSync, gzipSync, crc32 as zlibCrc32 } from "node:zlib";
import fc from "fast-check";
import { expect, test } from "vitest";
import { bytesInMemory, concatBytes } from "../src/trace/bytes.js";
import { portableCrc32 } from "../src/trace/crc32.js";
import { TraceError } from "../src/trace/error.js";
import {
  gunzip,
  gunzipMember,
  gunzipMemberInBrowser,
  gunzipMemberPortable,
  gunzipPortable,
  gzipMember,
} from "../src/trace/gzip.js";
import { Inflater } from "../src/trace/inflate.js";
import { PortableSha256 } from "../src/trace/sha256.js";
import { collect, gz, randomNumbers } from "./fixtures/traces.js";

/** Bytes with runs, repeats near and far, and noise. */
function sample(length: number, seed: number): Uint8Array {
  const random = randomNumbers(seed);
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; ) {
    const n = Math.min(1 + (random() % 700), length - at);
    const how = random() % 4;
    if (how === 0) bytes.fill(random(), at, at + n);
    else if (how === 1 && at > 0) {
      const from = random() % at;
      for (let i = 0; i < n; i++) bytes[at + i] = bytes[from + i]!;
    } else for (let i = 0; i < n; i++) bytes[at + i] = random() >>> (how === 2 ? 30 : 8);
    at += n;
  }
  return bytes;
}

const both = [
  ["native", gunzip],
  ["portable", gunzipPortable],
] as const;

test("SHA-256 and CRC-32 agree with the platform's at every length and slicing", () => {
  for (let length = 0; length < 300; length++) {
    const bytes = sample(length, length + 1);
    expect(portableCrc32(bytes)).toBe(zlibCrc32(bytes));
    const split = length >> 1;
    expect(portableCrc32(bytes.subarray(split), portableCrc32(bytes.subarray(0, split)))).toBe(
      zlibCrc32(bytes),
    );
    const hasher = new PortableSha256();
    for (let at = 0; at < length; at += 37) hasher.update(bytes.subarray(at, at + 37));
    expect(Buffer.from(hasher.digest()).toString("hex")).toBe(
      createHash("sha256").update(bytes).digest("hex"),
    );
  }
});

test("the inflater undoes zlib at every level and strategy, in slices of any size", () => {
  for (const [i, length] of [0, 1, 100, 5000, 70_000, 400_000].entries()) {
    const bytes = sample(length, 77 + i);
    for (const options of [
      { level: 0 },
      { level: 1 },
      { level: 9 },
      { strategy: 4 },
      { strategy: 2 },
      { level: 6 },
    ]) {
      const packed = deflateRawSync(bytes, options);
      for (const slice of [packed.length + 1, 4096, 7, 1]) {
        if (slice < 10 && length > 10_000 && options.level !== 9) continue;
        const inflater = new Inflater();
        const out: Uint8Array[] = [];
        for (let at = 0; at < packed.length; at += slice) {
          inflater.push(packed.subarray(at, at + slice), (part) => out.push(part));
        }
        expect(inflater.done).toBe(true);
        expect(inflater.consumed).toBe(packed.length);
        expect(Buffer.concat(out).equals(bytes)).toBe(true);
      }
    }
  }
});

test("the inflater gives an error or ends or waits for more, but never hangs, on any bytes", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      try {
        new Inflater().push(bytes, () => {});
      } catch (error) {
        expect((error as { offset: number }).offset).toBeLessThanOrEqual(bytes.length);
      }
    }),
    { numRuns: 2000 },
  );
});

test.each(both)(
  "%s gunzip: members one after the other, zero padding, names in the header",
  async (_, unpack) => {
    const a = sample(200_000, 1);
    const b = sample(3, 2);
    const named = gz(b);
    const withName = concatBytes(
      Uint8Array.of(...named.subarray(0, 3), 8 | 4, ...named.subarray(4, 10), 2, 0, 9, 9, 0x78, 0),
      named.subarray(10),
    );
    const file = concatBytes(
      concatBytes(gz(a), withName),
      concatBytes(gz(new Uint8Array(0)), new Uint8Array(100)),
    );
    for (const slice of [1 << 20, 1000, 1]) {
      const out = await collect(unpack("t.gz", bytesInMemory("t.gz", file, slice)));
      expect(Buffer.compare(out, concatBytes(a, b))).toBe(0);
    }
  },
);

test.each(both)(
  "%s gunzip: cut at any byte gives a truncation error at that byte, after all before it",
  async (_, unpack) => {
    const bytes = sample(3000, 5);
    const file = gz(bytes);
    for (let end = 1; end < file.length; end++) {
      const out: Uint8Array[] = [];
      const read = async () => {
        for await (const part of unpack("t.gz", bytesInMemory("t.gz", file.subarray(0, end)))) out.push(part);
      };
      const error = await read().catch((e) => e);
      expect(error).toBeInstanceOf(TraceError);
      expect(error).toMatchObject({ kind: "truncated", offset: end });
      const got = Buffer.concat(out);
      expect(got.equals(bytes.subarray(0, got.length))).toBe(true);
      if (end > file.length - 8) expect(got.length).toBe(bytes.length);
    }
  },
);

test.each(both)("%s gunzip: damage and trailing data are errors with an offset", async (_, unpack) => {
  const bytes = sample(3000, 6);
  const file = gz(bytes);
  const at = (i: number, xor: number) => {
    const copy = file.slice();
    copy[i]! ^= xor;
    return copy;
  };
  const cases = [
    at(file.length - 8, 1),
    at(file.length - 4, 1),
    at(500, 0xff),
    concatBytes(file, Uint8Array.of(65, 66, 67)),
  ];
  for (const bad of cases) {
    const error = await collect(unpack("t.gz", bytesInMemory("t.gz", bad))).catch((e) => e);
    expect(error).toBeInstanceOf(TraceError);
    expect(error.kind).toBe("corrupt");
    expect(error.message).toMatch(
      /^t\.gz is corrupt: its gzip data is damaged near byte \d+ \(.+\); get the file again$/,
    );
    expect(error.offset).toBeLessThanOrEqual(bad.length);
  }
});

test("a chunk's gzip member: nothing of time or system in it, and nothing but one member accepted", async () => {
  const raw = sample(100_000, 9);
  const member = await gzipMember(raw);
  expect([...member.subarray(0, 10)]).toEqual([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]);
  expect(Buffer.compare(member, await gzipMember(raw.slice()))).toBe(0);
  for (const unpack of [gunzipMember, gunzipMemberInBrowser, gunzipMemberPortable]) {
    expect(Buffer.compare((await unpack(member, raw.length))!, raw)).toBe(0);
    expect(await unpack(member, raw.length - 1)).toBeUndefined();
    expect(await unpack(member, raw.length + 1)).toBeUndefined();
    expect(await unpack(member.subarray(0, -1), raw.length)).toBeUndefined();
    expect(await unpack(Buffer.concat([member, Uint8Array.of(1)]), raw.length)).toBeUndefined();
    expect(await unpack(gzipSync(new Uint8Array(1 << 22)), raw.length)).toBeUndefined();
  }
});
