import { fileURLToPath } from "node:url";
import { parquetMetadata, parquetReadObjects } from "hyparquet";
import { beforeAll, describe, expect, it } from "vitest";
import { compare } from "../src/compare.js";
import {
  csvOf,
  csvParts,
  hasIntervalRows,
  intervalRowsOf,
  type LongRow,
  parquetOf,
  rowsOf,
} from "../src/data/index.js";
import { openFile } from "../src/node/files.js";
import type { Result } from "../src/result.js";
import { openTrace } from "../src/trace/index.js";
import { configOf, fixtureResult } from "./plot/results.js";

let guest: Result;
let sampled: Result;
beforeAll(async () => {
  guest = await fixtureResult("redis");
  const trace = await openTrace(
    await openFile(fileURLToPath(new URL("fixtures/redis.nwt", import.meta.url))),
  );
  sampled = await compare(trace, [configOf("shadow"), configOf("ept")], { intervals: 1000 });
});

const buffer = (bytes: Uint8Array) =>
  bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length) as ArrayBuffer;

describe("rows of a result", () => {
  it("name every figure by where it stands in the result", () => {
    const rows = rowsOf(guest);
    const value = (machine: number, group: string, metric: string) =>
      rows.find((row) => row.machine === machine && row.group === group && row.metric === metric)!;
    for (const [i, machine] of guest.machines.entries()) {
      expect(value(i, "counters", "walks").value).toBe(machine.counters.walks);
      expect(value(i, "cycles", "exitHandler").value).toBe(machine.cycles.exitHandler);
      expect(value(i, "structures", "l2.misses").value).toBe(machine.structures.l2!.misses);
      expect(value(i, "references", "1.0").value).toBe(machine.references[1]![0]);
      expect(value(i, "walkLengths", "1").value).toBe(machine.walkLengths[1]);
    }
    const [exit] = guest.machines[1]!.exits;
    expect(value(1, "exits", `${exit!.reason}.cycles`)).toMatchObject({
      value: exit!.cycles,
      unit: "cycles",
    });
    const [level, created] = Object.entries(guest.machines[1]!.shadowPages!.created)[0]!;
    expect(value(1, "shadowPages", `created.${level}`).value).toBe(created);
    expect(value(2, "counters", "walks")).toEqual({
      trace: guest.trace.file,
      machine: 2,
      technique: "ept",
      cpu: "skylake-sp",
      hostPage: "4k",
      group: "counters",
      metric: "walks",
      value: guest.machines[2]!.counters.walks,
      unit: "walks",
    });
  });

  it("have a unit each, and no two the same name", () => {
    const rows = rowsOf(guest);
    expect(rows.filter(({ unit }) => unit === "")).toEqual([]);
    expect(new Set(rows.map((r) => `${r.machine} ${r.group} ${r.metric}`)).size).toBe(rows.length);
  });

  it("carry the varied keys", () => {
    const rows = rowsOf([
      { at: { "host.page": "4k", "tlb.l2.0.entries": 64 }, result: guest },
      { at: { "host.page": "2m", "tlb.l2.0.entries": 64 }, result: guest },
    ]);
    expect(rows).toHaveLength(2 * rowsOf(guest).length);
    expect(Object.keys(rows[0]!).slice(4, 8)).toEqual(["hostPage", "host.page", "tlb.l2.0.entries", "group"]);
    expect(rows.at(-1)).toMatchObject({ "host.page": "2m", "tlb.l2.0.entries": 64 });
  });
});

describe("rows of intervals", () => {
  it("sum to the figures of the whole", () => {
    const rows = [...intervalRowsOf(sampled)];
    for (const [i, machine] of sampled.machines.entries())
      for (const [group, metric, whole] of [
        ["counters", "walks", machine.counters.walks],
        ["counters", "tableReferences", machine.counters.tableReferences],
        ["structures", "l2.misses", machine.structures.l2!.misses],
        ["cycles", "total", machine.cycles.total],
      ] as const) {
        const own = rows.filter((row) => row.machine === i && row.group === group && row.metric === metric);
        expect(own.reduce((sum, row) => sum + (row.value as number), 0)).toBe(whole);
        expect(own.map((row) => row.start)).toEqual([0, ...own.slice(0, -1).map((row) => row.end)]);
      }
    expect(rows.filter(({ unit }) => unit === "")).toEqual([]);
  });

  it("are none where there are no intervals", () => {
    expect([hasIntervalRows(guest), hasIntervalRows(sampled)]).toEqual([false, true]);
    expect([...intervalRowsOf(guest)]).toEqual([]);
  });
});

describe("CSV", () => {
  it("has a header, quotes what needs it, and leaves null empty", () => {
    const rows: LongRow[] = [
      { a: 'say "x", y', b: null, c: 1.5 },
      { a: "line\nbreak", b: true, c: -0.001 },
    ];
    expect(csvOf(rows)).toBe('a,b,c\n"say ""x"", y",,1.5\n"line\nbreak",true,-0.001\n');
    expect(csvOf([])).toBe("");
  });

  it("is the same in parts", () => {
    const rows = Array.from({ length: 10_000 }, (_, i) => ({ n: i }));
    const parts = [...csvParts(rows)];
    expect(parts.length).toBeGreaterThan(1);
    expect(parts.join("").split("\n")).toHaveLength(10_002);
  });
});

describe("Parquet", () => {
  it("reads back as the rows that were written", async () => {
    const rows = rowsOf(guest);
    const file = buffer(parquetOf(rows, { nestwalk: guest.nestwalk }));
    expect(await parquetReadObjects({ file })).toEqual(rows);
    const metadata = parquetMetadata(file);
    expect(metadata.key_value_metadata).toContainEqual({ key: "nestwalk", value: guest.nestwalk });
    expect(Number(metadata.num_rows)).toBe(rows.length);
  });

  it("keeps intervals, nulls, and keys of several kinds", async () => {
    const intervals = [...intervalRowsOf(sampled)];
    const file = buffer(parquetOf(intervals));
    expect(await parquetReadObjects({ file })).toEqual(intervals);
    expect(intervals.every(({ marker }) => marker === null)).toBe(true);
    expect(parquetMetadata(file).schema.find(({ name }) => name === "marker")?.type).toBe("DOUBLE");
    const mixed = buffer(
      parquetOf([
        { key: 4, flag: true },
        { key: "none", flag: false },
      ]),
    );
    expect(await parquetReadObjects({ file: mixed })).toEqual([
      { key: "4", flag: true },
      { key: "none", flag: false },
    ]);
  });
});
