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
const fixtures = ["hugepages", "la57-fork", "pcid", "redis"];
const fixture = async (name: string) => openTrace(await openFile(file(`fixtures/${name}.nwt`)));

async function text(source: TraceSource, options = {}): Promise<string> {
  let all = "";
  for await (const lines of traceText(source, options)) all += lines;
  return all;
}

const bytes = (source: TraceSource) => collect(source.records());

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
      "a and b differ in the sizes or places of their pages; give both the same with --page-sizes or --v2p",
    );
    const physical = await openTrace(bytesInMemory("c", program(0x2000, 5)), { addresses: "physical" });
    for (const pair of [
      [one, physical],
      [physical, one],
    ])
      expect(() => mergeTraces(pair)).toThrow(
        "c holds physical addresses, and a virtual ones; merge traces of one kind",
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
