import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { openFile } from "../src/node/files.js";
import { bytesInMemory } from "../src/trace/bytes.js";
import { convertTrace } from "../src/trace/convert.js";
import { RecordEncoder } from "../src/trace/encode.js";
import { exportDrmemtrace } from "../src/trace/exporters/drmemtrace.js";
import { exportLackey } from "../src/trace/exporters/lackey.js";
import { openTrace } from "../src/trace/open.js";
import { EventType, RecordScanner } from "../src/trace/records.js";
import type { TraceSource } from "../src/trace/source.js";
import { checkTrace } from "../src/trace/tools/check.js";
import { cutTrace } from "../src/trace/tools/cut.js";
import { footprintBytes, traceFacts } from "../src/trace/tools/info.js";
import { mergeTraces } from "../src/trace/tools/merge.js";
import { traceStatistics } from "../src/trace/tools/stat.js";
import { traceText } from "../src/trace/tools/text.js";
import { textFile } from "./fixtures/foreign.js";
import { collect, nwtFile, pgrec1File, smallStream } from "./fixtures/traces.js";

const file = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const open = (bytes: Uint8Array, name = "t") => openTrace(bytesInMemory(name, bytes));
const pgrec = (stream: Uint8Array) => open(pgrec1File(stream));
const fixtures = ["hugepages", "la57-fork", "pcid", "redis"];
const fixture = async (name: string) => openTrace(await openFile(file(`fixtures/${name}.nwt`)));

async function text(source: TraceSource, options = {}): Promise<string> {
  let all = "";
  for await (const lines of traceText(source, options)) all += lines;
  return all;
}

const bytes = (source: TraceSource) => collect(source.records());

describe("text", () => {
  it("shows each record on a line", async () => {
    const lines = (await text(await pgrec(smallStream(1)), { header: false })).trimEnd().split("\n");
    expect(lines).toEqual([
      "CR0 80050033",
      "CR4 750eb0",
      "EFER d01",
      "CR3 1000",
      "PTP 1 level 4 [0]=2067 [511]=3067",
      "PTP 2 level 3 [0]=4067",
      "PTP 4 level 2 [2]=5067",
      "PTP 5 level 1",
      "MODE 3",
      'LABEL "small guest"',
      "MAP 401000 9000",
      "F 401000 5",
      "F 401005 3",
      "MODE 0",
      "EXC 14 error 6 rip 401005 cr2 400000",
      "MAP fffffe0000000000 7000",
      "R fffffe00000000e0 16 cpu",
      "W fffffe0000002ff8 8 cpu",
      "F ffffffff84a00be0 3",
      "F ffffffff84a00be3 1",
      "W ffff888000005000 8",
      "PTW 5000 8000000000000067",
      "F ffffffff84a00be4 3",
      "INVLPG 400000",
      "MODE 3",
      "MAP 400000 a000",
      "F 401005 3",
      "W 400008 8",
      "R 400008 4",
      "SWITCH 7 7",
      "PKRU 55555554",
      "INSN cpuid",
      "MARK 1",
      "HOST unmap 9 1",
      "PTPDROP 5",
      "END 6 2 3",
    ]);
    expect(
      (await text(await pgrec(smallStream(1)), { most: 3, header: false, tables: false })).split("\n"),
    ).toEqual(["CR0 80050033", "CR4 750eb0", "EFER d01", ""]);
  });

  it("goes back to the same file, byte for byte", async () => {
    for (const name of fixtures) {
      const packed = await collect(convertTrace(await fixture(name)));
      const printed = new TextEncoder().encode(await text(await fixture(name)));
      const again = await collect(convertTrace(await open(printed)));
      expect(Buffer.compare(again, packed)).toBe(0);
    }
    // Every kind of event, and a label of other letters.
    const e = new RecordEncoder()
      .invpcid(1, 5, 0xffff800000000000n)
      .insn(9)
      .label('a "b" \n ü')
      .host("dirty-log", 7, 3)
      .host("memory-slots", 0, 0);
    const stream = e
      .map(0xfffffffffffff000n, 0xfffffffffffff000n)
      .cr2(1)
      .mode(0, true)
      .fetch(5, 1)
      .fetchRun(0)
      .end()
      .take();
    const printed = new TextEncoder().encode(await text(await pgrec(stream)));
    expect(Buffer.compare(await bytes(await open(printed)), stream)).toBe(0);
  });

  it("names the line that is none", async () => {
    const [magic, header] = (await text(await pgrec(smallStream(1)))).split("\n");
    const message = (...lines: string[]) =>
      open(textFile(magic!, header!, ...lines))
        .then(bytes)
        .then(
          () => "",
          (e) => e.message,
        );
    expect(await message("F 1000 4", "F 1000 16", "END 2 0 0")).toBe(
      `t is corrupt: line 4, at byte ${magic!.length + header!.length + 11}, cannot be: instruction length is 16, not 1-15; correct the line`,
    );
    expect(await message("X 1000 4")).toMatch(
      / is no record: "X 1000 4"; nestwalk trace cat shows how each is written$/,
    );
    expect(await message("F 1000 4", "END 2 0 0")).toMatch(
      / counts 2 fetches, 0 reads and 0 writes, but 1, 0 and 0 precede it;/,
    );
    expect(await message("F 1000 4")).toMatch(/^t is truncated: it ends at byte \d+ without an END line;/);
  });
});

describe("check", () => {
  it.each(fixtures)("finds the recorded guest %s good", async (name) => {
    const report = await checkTrace(await fixture(name));
    expect([report.fault, report.withoutTruth, report.untranslated]).toEqual([undefined, 0, 0]);
    expect(report.translated).toBeGreaterThanOrEqual(report.accesses);
  });

  /** A guest of one page table page, whose page 0x400000 is frame 0xa. */
  const guest = () =>
    new RecordEncoder()
      .cr0(0x80050033)
      .cr4(0x20)
      .efer(0xd01)
      .cr3(0x1000)
      .ptp(1, 4, [[0, 0x2067n]])
      .ptp(2, 3, [[0, 0x3067n]])
      .ptp(3, 2, [[2, 0x4067n]])
      .ptp(4, 1, [
        [0, 0xa067n],
        [1, 0xb065n],
        [2, 0x8000_0000_0000_c063n],
      ])
      .mode(3)
      .map(0x400000, 0xa000);
  const fault = async (e: RecordEncoder) => {
    const { fault: what, faultEvent } = await checkTrace(await pgrec(e.end().take()));
    return [what, faultEvent];
  };

  it("accepts a small guest", async () => {
    expect(await fault(guest().write(0x400000, 8).fetch(0x401000, 3).mode(0).read(0x402000, 8))).toEqual([
      undefined,
      undefined,
    ]);
    // The recorder could not tell where the page is.
    const report = await checkTrace(
      await pgrec(guest().map(0x401000, 0xfffffffffffff000n).read(0x401000, 4).end().take()),
    );
    expect([report.fault, report.translated, report.withoutTruth]).toEqual([undefined, 1, 1]);
  });

  it("says where it first breaks", async () => {
    const cases: [RecordEncoder, string][] = [
      [
        guest().read(0x500000, 4),
        "the read in the page at 0x500000 has no translation: not present, under CR3 0x1000",
      ],
      [
        guest().map(0x400000, 0xb000).read(0x400000, 4),
        "the read in the page at 0x400000 is translated to frame 0xa by the recorded tables, but the recording says 0xb",
      ],
      [guest().write(0x401000, 4), "the write in the page at 0x401000 succeeded, but the page is read-only"],
      [
        guest().read(0x402000, 4),
        "the read in the page at 0x402000 succeeded, but user mode may not touch the page",
      ],
      [
        guest().mode(0).fetch(0x402000, 4),
        "the fetch in the page at 0x402000 succeeded, but the page is not executable",
      ],
      [guest().write(0x401ffe, 4), "the write in the page at 0x401000 succeeded, but the page is read-only"],
      [
        guest().cr4(0x300020).mode(0).read(0x400000, 4),
        "the read in the page at 0x400000 succeeded, but SMAP forbids the kernel to touch it",
      ],
      [
        guest().cr4(0x300020).mode(0).fetch(0x400000, 4),
        "the fetch in the page at 0x400000 succeeded, but SMEP forbids the kernel to execute it",
      ],
      [guest().ptw(0x9000, 1), "the entry at 0x9000 is written, but lies in no table page"],
      [guest().ptpDrop(9), "frame 0x9 is dropped, but is no table page"],
      [guest().cr3(0x8000_0000_0000_1000n), "CR3 is loaded with the no-flush bit, but CR4.PCIDE is 0"],
      [guest().insn(3), "instruction 3 is not defined"],
      [
        guest().read(0x400000, 4).ptw(0x4000, 0xd067n).map(0x400000, 0xd000).read(0x400000, 4),
        "the read in the page at 0x400000 may hit a stale TLB entry with frame 0xa, where the tables have 0xd: an invalidation is missing",
      ],
    ];
    for (const [encoder, what] of cases) expect((await fault(encoder))[0]).toBe(what);
    expect((await fault(guest().read(0x400000, 4).read(0x500000, 4)))[1]).toBe(11);
  });

  it("is content where the invalidation is there", async () => {
    const change = (e: RecordEncoder) => e.map(0x400000, 0xd000).read(0x400000, 4);
    const edited = () => guest().read(0x400000, 4).ptw(0x4000, 0xd067n);
    expect(await fault(change(edited().invlpg(0x400abc)))).toEqual([undefined, undefined]);
    expect(await fault(change(edited().cr3(0x1000)))).toEqual([undefined, undefined]);
    expect(await fault(change(edited().invpcid(2, 0, 0)))).toEqual([undefined, undefined]);
  });

  it("translates 32-bit and PAE tables", async () => {
    const legacy = new RecordEncoder().cr0(0x80010001).cr4(0x10).cr3(0x1000);
    legacy
      .ptp(1, 2, [[0, (0x00800087n << 32n) | 0x2007n]])
      .ptp(2, 1, [[0, 0x5007_0000_4007n]])
      .mode(3);
    legacy.map(0x1000, 0x5000).read(0x1000, 4).map(0x400000, 0x800000).write(0x400000, 4);
    expect(await fault(legacy)).toEqual([undefined, undefined]);
    const pae = new RecordEncoder().cr0(0x80010001).cr4(0x20).cr3(0x1020);
    pae
      .ptp(1, 3, [[4, 0x2001n]])
      .ptp(2, 2, [[0, 0x3007n]])
      .ptp(3, 1, [[1, 0x7007n]])
      .mode(3);
    pae.map(0x1000, 0x7000).read(0x1000, 4);
    expect(await fault(pae)).toEqual([undefined, undefined]);
  });

  it("wants of a trace without tables that it has none", async () => {
    const user = (e: RecordEncoder) =>
      open(pgrec1File(e.end().take(), { user: 1 })).then((t) => checkTrace(t));
    expect((await user(new RecordEncoder().switchTo(1, 1).read(0x1000, 4))).fault).toBeUndefined();
    expect((await user(new RecordEncoder().switchTo(1, 1).cr3(5))).fault).toBe(
      "a trace that says it has no page tables has a CR3",
    );
    expect((await user(new RecordEncoder().read(0x1000, 4))).fault).toBeUndefined();
  });
});

describe("cut", () => {
  const recount = async (source: TraceSource) => {
    const scanner = new RecordScanner();
    const all = await bytes(source);
    scanner.scan(all);
    return scanner;
  };

  it.each(fixtures)("gives windows of %s that check by themselves and add up", async (name) => {
    const whole = await recount(await fixture(name));
    const edges = [0, 1, 77_777, 150_001, whole.accesses];
    const sum = { fetches: 0, reads: 0, writes: 0, tableWrites: 0 };
    for (let i = 1; i < edges.length; i++) {
      const window = cutTrace(await fixture(name), { from: edges[i - 1]!, to: edges[i]! });
      const again = await open(await collect(convertTrace(window)));
      const report = await checkTrace(again);
      expect([report.fault, report.accesses, report.withoutTruth]).toEqual([
        undefined,
        edges[i]! - edges[i - 1]!,
        0,
      ]);
      const part = await recount(again);
      sum.fetches += part.fetches;
      sum.reads += part.reads;
      sum.writes += part.writes;
      sum.tableWrites += part.eventsByType[EventType.PTW]!;
    }
    const { fetches, reads, writes } = whole;
    expect(sum).toMatchObject({ fetches, reads, writes });
    expect(sum.tableWrites).toBeLessThanOrEqual(whole.eventsByType[EventType.PTW]!);
  });

  it("holds the same accesses as the whole there", async () => {
    const accesses = async (source: TraceSource) =>
      (await text(source, { header: false })).split("\n").filter((line) => /^[FRW] /.test(line));
    const all = await accesses(await fixture("pcid"));
    const window = cutTrace(await fixture("pcid"), { from: 1000, to: 1500 });
    expect(await accesses(window)).toEqual(all.slice(1000, 1500));
    expect(window.header.recorded.window).toEqual({ unit: "accesses", from: 1000, to: 1500, of: "pcid.nwt" });
    const tail = cutTrace(await fixture("pcid"), { from: all.length - 3 });
    expect(await accesses(tail)).toEqual(all.slice(-3));
    await expect(bytes(cutTrace(await fixture("pcid"), { from: 1e9 }))).rejects.toThrow(
      /pcid\.nwt has 310000 accesses, so the window from 1000000000 is empty; choose one that begins earlier$/,
    );
  });
});

describe("merge", () => {
  const program = (ip: number, n: number, ...more: string[]) =>
    textFile(
      ...Array.from({ length: n }, (_, i) => `I  ${(ip + 4 * i).toString(16).padStart(8, "0")},4`),
      ...more,
    );

  it("lets programs take turns as processes of their own", async () => {
    const traces = [
      await open(program(0x1000, 5), "a"),
      await open(program(0x2000, 2, " S 00003000,4"), "b"),
    ];
    const merged = mergeTraces(traces, 2);
    expect((await text(merged, { header: false })).trimEnd().split("\n")).toEqual([
      "SWITCH 1 2",
      "F 1000 4",
      "F 1004 4",
      "SWITCH 3 4",
      "F 2000 4",
      "F 2004 4",
      "SWITCH 1 2",
      "F 1008 4",
      "F 100c 4",
      "SWITCH 3 4",
      "W 3000 4",
      "SWITCH 1 2",
      "F 1010 4",
      "END 7 0 1",
    ]);
    expect(merged.header.recorded).toMatchObject({
      tables: false,
      program: "a + b",
      merged: { quantum: 2, of: [{ name: "a" }, { name: "b" }] },
    });
    expect((await checkTrace(merged)).fault).toBeUndefined();
  });

  it("refuses whole guests and traces of different pages", async () => {
    const one = await open(program(0x1000, 5), "a");
    const guest = await open(await nwtFile(smallStream()), "guest");
    expect(() => mergeTraces([one, guest])).toThrow(
      "guest is a recording of a whole guest, with a kernel and page tables of its own, and cannot run beside others; merge traces of user-space programs",
    );
    const large = await openTrace(bytesInMemory("b", program(0x2000, 5)), { pageSizes: "2m" });
    expect(() => mergeTraces([one, large])).toThrow(
      "a and b differ in pageSizes; import them with the same options to merge them",
    );
  });
});

describe("stat", () => {
  it("counts reuse distances as an LRU stack does", async () => {
    const e = new RecordEncoder().switchTo(1, 1);
    const pages: number[] = [];
    let x = 12345;
    for (let i = 0; i < 5000; i++) {
      x = (Math.imul(x, 1103515245) + 12345) >>> 0;
      const page = (x >>> 16) % (i % 3 === 0 ? 400 : 20);
      pages.push(page);
      e.read(0x100000 + page * 4096, 8);
    }
    e.fetch(0x5000, 4).fetch(0x5004, 4).write(0x100ffc, 8);
    pages.push(0, 1);
    const { data, fetch, workingSet } = await traceStatistics(
      await open(pgrec1File(e.end().take(), { user: 1 })),
      { window: 1000 },
    );
    const stack: number[] = [];
    const histogram: number[] = [];
    let cold = 0;
    for (const page of pages) {
      const depth = stack.indexOf(page);
      if (depth < 0) cold++;
      else {
        stack.splice(depth, 1);
        const bucket = depth === 0 ? 0 : Math.floor(Math.log2(depth)) + 1;
        histogram[bucket] = (histogram[bucket] ?? 0) + 1;
      }
      stack.unshift(page);
    }
    expect(data).toEqual({ accesses: 5002, cold, histogram: Array.from(histogram, (n) => n ?? 0) });
    expect(fetch).toEqual({ accesses: 2, cold: 1, histogram: [1] });
    expect(workingSet.data).toEqual(
      [0, 1, 2, 3, 4].map((i) => new Set(pages.slice(i * 1000, i * 1000 + 1000)).size).concat(2),
    );
    expect(workingSet.fetch).toEqual([0, 0, 0, 0, 0, 1]);
  });
});

describe("info", () => {
  it("counts what a guest touches by page size, switches and table updates", async () => {
    const facts = await traceFacts(await fixture("hugepages"));
    expect(facts).toMatchObject({ accesses: 330008, modes: ["4-level"], cr3Loads: facts.cr3Loads });
    expect(Object.keys(facts.pages).sort()).toEqual(["1G", "2M", "4K"]);
    expect(footprintBytes({ "4K": 3, "2M": 1 })).toBe(2109440);
    const user = await traceFacts(await open(textFile("I  00001000,4", " L 00002ffe,4")));
    expect(user).toMatchObject({ pages: { "4K": 3 }, switches: 1, processes: 1, threads: 1, tablePages: 0 });
  });
});

describe("export", () => {
  it.each(["hugepages", "redis"])(
    "%s to drmemtrace and lackey and back has the same accesses",
    async (name) => {
      const accesses = async (source: TraceSource) => {
        let lines = "";
        for await (const piece of traceText(source, { header: false }))
          lines += piece.replace(/^(?![FRW] ).*\n/gm, "").replace(/ cpu| device/g, "");
        return lines;
      };
      const from = await accesses(await fixture(name));
      const drmemtrace = await open(await collect(exportDrmemtrace(await fixture(name))));
      expect(drmemtrace.format).toBe("drmemtrace");
      expect((await accesses(drmemtrace)) === from).toBe(true);
      const lackey = await open(await collect(exportLackey(await fixture(name))));
      expect(lackey.format).toBe("lackey");
      expect((await accesses(lackey)) === from).toBe(true);
    },
  );

  it("begins a drmemtrace file as DynamoRIO's reader wants it", async () => {
    const source = await open(textFile("==9== Lackey", "I  00001000,4", " S 00002000,8"));
    const file = await collect(exportDrmemtrace(source));
    const view = new DataView(file.buffer);
    const rows = Array.from({ length: file.length / 12 }, (_, i) => [
      view.getUint16(i * 12, true),
      view.getUint16(i * 12 + 2, true),
      Number(view.getBigUint64(i * 12 + 4, true)),
    ]);
    expect(rows).toEqual([
      [25, 0, 3],
      [28, 12, 3],
      [28, 9, 0x40],
      [22, 4, 9],
      [24, 4, 9],
      [28, 10, 64],
      [28, 18, 4096],
      [28, 2, 1],
      [28, 3, 0],
      [10, 4, 0x1000],
      [1, 8, 0x2000],
      [23, 0, 9],
      [26, 0, 0],
    ]);
  });
});
