import fc from "fast-check";
import { expect, test } from "vitest";
import { RecordEncoder } from "../src/trace/encode.js";
import { TraceError } from "../src/trace/error.js";
import { EventType, RecordScanner } from "../src/trace/records.js";
import { smallStream } from "./fixtures/traces.js";

/** A second decoder, straight from traces/FORMAT.md, that shares no code with the first: slow, BigInt, strings. */
function decode(bytes: readonly number[] | Uint8Array): string[] {
  let at = 0;
  const u8 = () => {
    if (at >= bytes.length) throw new Error("truncated");
    return bytes[at++]!;
  };
  const uv = () => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = u8();
      value |= BigInt(byte & 127) << shift;
      if (byte < 128) return value;
    }
  };
  const sv = () => {
    const z = uv();
    return z & 1n ? -(z >> 1n) - 1n : z >> 1n;
  };
  const u64 = (x: bigint) => BigInt.asUintN(64, x);
  const hex = (x: bigint) => x.toString(16);
  let fetchEnd = 0n;
  let data = 0n;
  let ptw = 0n;
  const lines: string[] = [];
  while (at < bytes.length) {
    const first = u8();
    const kind = first & 3;
    if (kind === 0) {
      const gva = first & 64 ? fetchEnd : u64(fetchEnd + sv());
      const length = (first >> 2) & 15;
      fetchEnd = u64(gva + BigInt(length));
      lines.push(`fetch ${hex(gva)} ${length}`);
      continue;
    }
    if (kind < 3) {
      data = u64(data + sv());
      const flags = `${first & 32 ? " cpu" : ""}${first & 64 ? " device" : ""}`;
      lines.push(`${kind === 1 ? "read" : "write"} ${hex(data)} ${1 << ((first >> 2) & 7)}${flags}`);
      continue;
    }
    const type = first >> 2;
    const name = Object.entries(EventType).find(([, value]) => value === type)?.[0];
    if (type === 5 || type === 12 || type === 13) lines.push(`${name} ${u8()}`);
    else if (type === 7) lines.push(`EXC ${u8()} ${hex(uv())} ${hex(uv())} ${hex(uv())}`);
    else if (type === 8) {
      const gfn = uv();
      const level = u8();
      const entries = [];
      let index = 0n;
      for (let left = uv(); left > 0n; left--) {
        index += uv();
        entries.push(`[${index}]=${hex(uv())}`);
      }
      lines.push(["PTP", hex(gfn), level, ...entries].join(" "));
    } else if (type === 10) {
      ptw = u64(ptw + 8n * sv());
      lines.push(`PTW ${hex(ptw)} ${hex(uv())}`);
    } else if (type === 11) lines.push(`MAP ${hex(BigInt.asUintN(52, sv()))} ${hex(uv())}`);
    else if (type === 15 || type === 16 || type === 21)
      lines.push(`${name} ${hex(uv())} ${hex(uv())} ${hex(uv())}`);
    else if (type === 19) lines.push(`SWITCH ${hex(uv())} ${hex(uv())}`);
    else if (type === 20) {
      const text = Array.from({ length: Number(uv()) }, u8);
      lines.push(`LABEL ${new TextDecoder().decode(Uint8Array.from(text))}`);
    } else if (name) lines.push(`${name} ${hex(uv())}`);
    else throw new Error(`type ${type}`);
  }
  return lines;
}

// The worked example of traces/FORMAT.md, byte for byte.
const EXAMPLE = [
  [0x0b, 0x80, 0x20],
  [0x23, 0x01, 0x04, 0x02, 0x00, 0x67, 0xff, 0x03, 0xe3, 0x60],
  [0x17, 0x03],
  [0x2f, 0x82, 0x10, 0x09],
  [0x14, 0x80, 0xc0, 0x80, 0x04],
  [0x4c],
  [0x0e, 0xf0, 0xff, 0xff, 0xff, 0x0f],
  [0x0d, 0x07],
  [0x2b, 0x80, 0x08, 0x00],
  [0x3f, 0x02, 0x01, 0x01],
];
const EXAMPLE_TEXT = [
  "CR3 1000",
  "PTP 1 4 [0]=67 [511]=3063",
  "MODE 3",
  "MAP 401 9",
  "fetch 401000 5",
  "fetch 401005 3",
  "write 7ffffff8 8",
  "read 7ffffff4 8",
  "PTW 1000 0",
  "END 2 1 1",
];

test("the worked example of the specification decodes as it says", () => {
  expect(decode(EXAMPLE.flat())).toEqual(EXAMPLE_TEXT);
  const scanner = new RecordScanner();
  const bytes = Uint8Array.from(EXAMPLE.flat());
  expect(scanner.scan(bytes)).toBe(bytes.length);
  expect(scanner).toMatchObject({ events: 10, fetches: 2, reads: 1, writes: 1, ended: true, accesses: 4 });
  expect(scanner.bases()).toEqual({ fetchEnd: 0x401008n, dataAddress: 0x7ffffff4n, ptwAddress: 0x1000n });
});

test("the encoder writes the worked example", () => {
  const e = new RecordEncoder().cr3(0x1000);
  e.ptp(1, 4, [
    [0, 0x67],
    [511, 0x3063],
  ]);
  e.mode(3).map(0x401000, 0x9000).fetch(0x401000, 5).fetch(0x401005, 3);
  e.write(0x7ffffff8, 8).read(0x7ffffff4, 8).ptw(0x1000, 0).end();
  expect([...e.take()]).toEqual(EXAMPLE.flat());
});

test("every record and every flag survives encoding", () => {
  const e = new RecordEncoder();
  e.fetch(0xffffffff84a00be0n, 15).fetch(0xffffffff84a00befn, 1).fetch(0, 1).fetch(-1n, 1).fetch(0n, 2);
  for (const size of [1, 2, 4, 8, 16, 32, 64, 128]) e.read(size * 3, size).write(-BigInt(size), size);
  e.read(1, 1, { cpu: true }).write(2, 1, { device: true }).read(3, 1, { cpu: true, device: true });
  e.cr0(1)
    .cr3(0x8000_0000_0000_1001n)
    .cr4(3)
    .efer(4)
    .pkru(0xffffffff)
    .mode(2, true)
    .cr2(0xffff_ffff_ffff_ffffn);
  e.invlpg(0xffff888000000000n).invpcid(3, 4095, 5).exception(14, 7, 0x401000, 0x7fff_ffff_f000);
  e.ptp(0xff_ffff_ffffn, 5, [[511, 0xffff_ffff_ffff_ffffn]]).ptpDrop(3);
  e.ptw(0x8, 1).ptw(0, 2).ptw(0xf_ffff_ffff_fff8n, 3).ptw(-8n, 4).ptw(0x8000_0000_0000_0000n, 5).ptw(0, 6);
  e.map(0xffff_ffff_ffff_f000n, 0xf_ffff_ffff_f123n)
    .map(0x7fff_ffff_f000, 0)
    .mark(255)
    .insn(8)
    .fetchRun(2 ** 40);
  e.switchTo(1, 2 ** 32)
    .label("ρ")
    .host("share", 1, 2)
    .host("dirty-log", 0, 0)
    .host("memory-slots", 0, 0)
    .end();
  const bytes = e.take();
  expect(decode(bytes)).toEqual(
    [
      "fetch ffffffff84a00be0 15,fetch ffffffff84a00bef 1,fetch 0 1,fetch ffffffffffffffff 1,fetch 0 2",
      "read 3 1,write ffffffffffffffff 1,read 6 2,write fffffffffffffffe 2,read c 4,write fffffffffffffffc 4",
      "read 18 8,write fffffffffffffff8 8,read 30 16,write fffffffffffffff0 16,read 60 32",
      "write ffffffffffffffe0 32,read c0 64,write ffffffffffffffc0 64,read 180 128,write ffffffffffffff80 128",
      "read 1 1 cpu,write 2 1 device,read 3 1 cpu device",
      "CR0 1,CR3 8000000000001001,CR4 3,EFER 4,PKRU ffffffff,MODE 6,CR2 ffffffffffffffff",
      "INVLPG ffff888000000000,INVPCID 3 fff 5,EXC 14 7 401000 7ffffffff000",
      "PTP ffffffffff 5 [511]=ffffffffffffffff,PTPDROP 3",
      "PTW 8 1,PTW 0 2,PTW ffffffffffff8 3,PTW fffffffffffffff8 4,PTW 8000000000000000 5,PTW 0 6",
      "MAP fffffffffffff ffffffffff,MAP 7ffffffff 0,MARK 255,INSN 8,FRUN 10000000000",
      "SWITCH 1 100000000,LABEL ρ,HOST 2 1 2,HOST 3 0 0,HOST 4 0 0,END 10000000005 a 9",
    ]
      .join(",")
      .split(","),
  );
  const scanner = new RecordScanner();
  expect(scanner.scan(bytes)).toBe(bytes.length);
  expect(scanner.events).toBe(e.events);
});

test("the encoder refuses what the format cannot hold", () => {
  const e = new RecordEncoder();
  for (const bad of [
    () => e.fetch(0, 0),
    () => e.fetch(0, 16),
    () => e.fetch(-1, 1),
    () => e.fetch(2 ** 53, 1),
    () => e.read(0, 3),
    () => e.write(0, 256),
    () => e.mode(4),
    () => e.ptw(4, 0),
    () => e.ptp(1, 6),
    () => e.ptp(1, 1, [[512, 1n]]),
    () => e.label("x".repeat(4097)),
    () => e.invpcid(4, 0, 0),
    () => e.pkru(2 ** 32),
  ]) {
    expect(bad).toThrow(RangeError);
  }
});

const address = fc.oneof(
  fc.bigInt(0n, 0xffff_ffff_ffff_ffffn),
  fc.bigInt(0x7fff_0000_0000n, 0x7fff_0000_4000n),
  fc.bigInt(0xffff_ffff_ffff_f000n, 0xffff_ffff_ffff_ffffn),
);
const record = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      op: fc.constant("fetch" as const),
      a: address,
      n: fc.integer({ min: 1, max: 15 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ op: fc.constant("next" as const), n: fc.integer({ min: 1, max: 15 }) }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ op: fc.constant("read" as const), a: address, n: fc.integer({ min: 0, max: 7 }) }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      op: fc.constant("write" as const),
      a: address,
      n: fc.integer({ min: 0, max: 7 }),
    }),
  },
  fc.record({ op: fc.constant("ptw" as const), a: address }),
  fc.record({ op: fc.constant("map" as const), a: address }),
  fc.record({ op: fc.constant("cr3" as const), a: address }),
  fc.record({ op: fc.constant("label" as const), text: fc.string({ maxLength: 20 }) }),
  fc.record({
    op: fc.constant("ptp" as const),
    a: fc.bigInt(0n, 0xff_ffff_ffffn),
    k: fc.uniqueArray(fc.nat(511)),
  }),
);
const records = fc.array(record, { maxLength: 200 });
type Op = typeof record extends fc.Arbitrary<infer T> ? T : never;

function encode(ops: readonly Op[]) {
  const e = new RecordEncoder();
  const bases = { fetchEnd: 0n, dataAddress: 0n, ptwAddress: 0n };
  for (const r of ops) {
    if (r.op === "fetch" || r.op === "next") {
      const gva = r.op === "fetch" ? r.a : bases.fetchEnd;
      e.fetch(gva, r.n);
      bases.fetchEnd = BigInt.asUintN(64, gva + BigInt(r.n));
    } else if (r.op === "read" || r.op === "write") {
      e[r.op](r.a, 1 << r.n);
      bases.dataAddress = r.a;
    } else if (r.op === "ptw") {
      bases.ptwAddress = r.a & ~7n;
      e.ptw(bases.ptwAddress, r.a);
    } else if (r.op === "map") e.map(r.a, r.a);
    else if (r.op === "cr3") e.cr3(r.a);
    else if (r.op === "label") e.label(r.text);
    else
      e.ptp(
        r.a,
        1,
        r.k.map((index) => [index, BigInt(index) << 12n] as const),
      );
  }
  return { bases, encoder: e, bytes: e.take() };
}

test("any records scan to the same counts and bases, however they are sliced", () => {
  fc.assert(
    fc.property(records, fc.integer({ min: 1, max: 64 }), (ops, slice) => {
      const { bases, encoder, bytes } = encode(ops);
      const scanner = new RecordScanner();
      let held: number[] = [];
      for (let at = 0; at < bytes.length; at += slice) {
        const part = Uint8Array.from([...held, ...bytes.subarray(at, at + slice)]);
        held = [...part.subarray(scanner.scan(part))];
      }
      expect(held).toEqual([]);
      expect(scanner.bases()).toEqual(bases);
      const { events, fetches, reads, writes } = encoder;
      expect(scanner).toMatchObject({ events, fetches, reads, writes, offset: bytes.length });
      expect(decode(bytes).length).toBe(events);
    }),
    { numRuns: 300 },
  );
});

test("from the bases at any record the rest decodes to the same addresses", () => {
  fc.assert(
    fc.property(records, records, (first, second) => {
      const whole = encode([...first, ...second]);
      const head = encode(first);
      const scanner = new RecordScanner();
      scanner.setBases(head.bases);
      const rest = whole.bytes.subarray(head.bytes.length);
      expect(scanner.scan(rest)).toBe(rest.length);
      expect(scanner.bases()).toEqual(whole.bases);
    }),
    { numRuns: 100 },
  );
});

const fails = (bytes: number[], options = {}) => {
  try {
    const scanner = new RecordScanner(options);
    scanner.scan(Uint8Array.from(bytes));
  } catch (error) {
    expect(error).toBeInstanceOf(TraceError);
    return error as TraceError;
  }
  return undefined;
};
const event = (type: number, ...operands: number[]) => [3 | (type << 2), ...operands];

test("faults in the records name what, where and after how many events", () => {
  const read = [0x01, 0x02];
  const bad: [number[], string][] = [
    [event(22), "event type 22 is not known to this version"],
    [event(0), "event type 0 is not known to this version"],
    [event(63), "event type 63 is not known to this version"],
    [[0x80 | 0x04, 0], "a record begins with byte 0x84, whose bit 7 must be 0"],
    [[0x00, 0], "a fetch has instruction length 0"],
    [event(5, 8), "a MODE has reserved bits set"],
    [event(2, ...Array(10).fill(0x80), 0), "a number is longer than 10 bytes or does not fit 64 bits"],
    [event(2, ...Array(9).fill(0x80), 2), "a number is longer than 10 bytes or does not fit 64 bits"],
    [[0x01, ...Array(9).fill(0xff), 3], "a number is longer than 10 bytes or does not fit 64 bits"],
    [event(8, 1, 6, 0), "a PTP has level 6, not 1-5"],
    [event(8, 1, 1, 0x81, 4), "a PTP lists 513 entries, more than the 512 of a page"],
    [event(8, 1, 1, 2, 5, 1, 0, 1), "a PTP's entry indices do not rise within 0-511"],
    [
      event(9, 0x80, 0x80, 0x80, 0x80, 0x80, 0x40),
      "a frame number does not fit 40 bits (52-bit physical addresses)",
    ],
    [event(16, 4, 0, 0), "INVPCID type 4 is not defined (0-3)"],
    [event(21, 5, 0, 0), "HOST action 5 is not defined (1-4)"],
    [event(20, 0x81, 0x20), "a LABEL is 4097 bytes long, more than 4096"],
    [event(15, 0, 2, 0), "END counts 0 fetches, 2 reads and 0 writes, but 0, 1 and 0 precede it"],
  ];
  for (const [bytes, what] of bad) {
    const error = fails([...read, ...bytes], { name: "t.nwt" });
    expect(error?.message).toBe(
      `t.nwt is corrupt: ${what}, at byte 2 of the record stream, after 1 good event; record or convert the trace again`,
    );
    expect(error).toMatchObject({ kind: "corrupt", offset: 2, events: 1 });
  }
  const after = fails([...read, ...event(15, 0, 1, 0), 1], { fileOffset: 100 });
  expect(after?.message).toContain(
    "data follows the END record, at byte 106 of the file, after 2 good events",
  );
});

test("in page mode END may count a last run that was not written out", () => {
  const bytes = [0x14, 0x00, ...event(14, 3), ...event(15, 9, 0, 0)];
  expect(fails(bytes, { fetch: "page" })).toBeUndefined();
  expect(fails(bytes)?.message).toContain("END counts 9 fetches");
  expect(fails([0x14, 0x00, ...event(14, 3), ...event(15, 3, 0, 0)], { fetch: "page" })).toBeDefined();
});

test("a stream cut at any byte scans to the last whole record, and no further", () => {
  const bytes = smallStream();
  let boundary = 0;
  const boundaries = new Set<number>();
  for (let end = 0; end <= bytes.length; end++) {
    const scanner = new RecordScanner();
    const whole = scanner.scan(bytes.subarray(0, end));
    if (whole === end) {
      boundary = end;
      boundaries.add(end);
    }
    expect(whole).toBe(boundary);
    expect(scanner.events).toBe(boundaries.size - 1);
    expect(decode(bytes.subarray(0, whole)).length).toBe(scanner.events);
  }
});
