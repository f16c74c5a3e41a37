import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { compare } from "../src/compare.js";
import { resolveConfig, techniqueKeys, techniqueNames } from "../src/config/index.js";
import { Machine } from "../src/machine.js";
import { openFile } from "../src/node/files.js";
import type { Result } from "../src/result.js";
import { openTrace, RecordEncoder } from "../src/trace/index.js";
import { EventType } from "../src/trace/records.js";
import { joined, walkRecords } from "../src/trace/tools/decode.js";
import { nestwalk } from "./cli/capture.js";

const fixture = (name: string) => fileURLToPath(new URL(`./fixtures/${name}.nwt`, import.meta.url));
const configs = (...set: string[]) =>
  techniqueNames.map((name) =>
    resolveConfig({
      set: [...set, ...Object.entries(techniqueKeys(name)).map(([key, value]) => `${key}=${value}`)],
    }),
  );
const replay = async (name: string, options: Parameters<typeof compare>[2], ...set: string[]) =>
  compare(await openTrace(await openFile(fixture(name))), configs(...set), options);

const broken = ({ machines, laws }: Result) =>
  [...machines.flatMap((m) => m.laws), ...laws].filter(({ holds }) => !holds);

/** Boot state, one page table of sixteen pages at 4 MiB, and user mode. */
function guest(): RecordEncoder {
  const e = new RecordEncoder();
  e.cr0(0x80050033).cr4(0x20).efer(0xd01).cr3(0x1000);
  e.ptp(1, 4, [[0, 0x2067n]]).ptp(2, 3, [[0, 0x3067n]]);
  e.ptp(3, 2, [[2, 0x4067n]]);
  e.ptp(
    4,
    1,
    Array.from({ length: 16 }, (_, i) => [i, BigInt((0x10 + i) << 12) | 0x67n] as const),
  );
  return e.mode(3);
}
const page = (i: number) => 0x400000 + i * 4096;

function intervalsOf(stream: Uint8Array, every: number | "markers", warmup = 0) {
  const machine = new Machine(configs()[0]!);
  if (warmup > 0) machine.warmUp(warmup);
  machine.sampleIntervals(every);
  machine.feed(stream);
  return machine.finish().intervals!;
}

describe("the figures by interval", () => {
  it("are cut every N accesses, and the rest is an interval of its own", () => {
    const e = guest();
    for (const i of [0, 1, 2, 0, 1, 3, 3, 3, 3, 4]) e.read(page(i), 8);
    const { end, accesses, workingSet, misses, walks } = intervalsOf(e.end().take(), 4);
    expect(end).toEqual([4, 8, 10]);
    expect(accesses).toEqual([4, 4, 2]);
    expect(workingSet).toEqual([3, 2, 2]);
    expect(misses).toEqual({ l1d: [3, 1, 1], l1i: [0, 0, 0], l2: [3, 1, 1] });
    expect(walks).toEqual([3, 1, 1]);
  });

  it("have no empty interval when the trace ends where one does", () => {
    const e = guest();
    for (let i = 0; i < 8; ++i) e.read(page(i), 8);
    expect(intervalsOf(e.insn(4).end().take(), 4).end).toEqual([4, 8]);
  });

  it("are cut at markers", () => {
    const e = guest();
    e.read(page(0), 8).mark(7).read(page(1), 8).read(page(1), 8).mark(9).mark(9).read(page(2), 8);
    const intervals = intervalsOf(e.end().take(), "markers");
    expect(intervals.markers).toEqual([7, 9, 9, null]);
    expect(intervals.accesses).toEqual([1, 2, 0, 1]);
    expect(intervals.workingSet).toEqual([1, 1, 0, 1]);
  });

  it("begin after the warm-up, and are counted from the start of the trace", () => {
    const e = guest();
    for (let i = 0; i < 10; ++i) e.read(page(i), 8);
    const { end, accesses } = intervalsOf(e.end().take(), 4, 3);
    expect(end).toEqual([4, 8, 10]);
    expect(accesses).toEqual([1, 4, 2]);
  });

  it("pass over several ends in a record of many fetches", () => {
    const e = guest().fetch(page(0), 4).fetchRun(20).read(page(1), 8);
    const { end, accesses } = intervalsOf(e.end().take(), 4);
    expect(end).toEqual([21, 22]);
    expect(accesses).toEqual([21, 1]);
  });

  it("count a page that a page fault before has looked up in the TLB", () => {
    const e = guest();
    for (let i = 0; i < 4; ++i) e.read(page(5), 8);
    /* The tables do not raise the recorded fault: the TLB's entry is found for it, and by the accesses after it. */
    e.exception(14, 4, page(0), page(5));
    for (let i = 0; i < 4; ++i) e.read(page(5), 8);
    expect(intervalsOf(e.end().take(), 4).workingSet).toEqual([1, 1]);
  });

  it("count a page that an access crosses into", () => {
    const e = guest()
      .read(page(1) - 4, 8)
      .read(page(1), 8);
    expect(intervalsOf(e.end().take(), 100).workingSet).toEqual([2]);
  });
});

describe.each(["redis", "pcid", "hugepages"])("the intervals of %s", (name) => {
  it.each([[{}], [{ warmup: 1234 }]])("sum to the figures of the run, %o", async (more) => {
    const result = await replay(name, { intervals: 1000, ...more }, "clock.window=64", "caches.data=true");
    expect(broken(result)).toEqual([]);
    for (const { laws } of result.machines)
      expect(laws.filter(({ name }) => name === "intervals")).toHaveLength(1);
    expect(result.laws.map(({ name }) => name)).toEqual(["guest digest", "working sets"]);
  });

  it("change no other figure, and are the same however the stream is cut", async () => {
    const plain = await replay(name, {});
    const sampled = await replay(name, { intervals: 777 });
    const without = sampled.machines.map(({ intervals, laws, ...rest }) => rest);
    expect(without).toEqual(plain.machines.map(({ laws, ...rest }) => rest));

    const source = await openTrace(await openFile(fixture(name)));
    const machine = new Machine(configs()[1]!);
    machine.sampleIntervals(777);
    for await (const slice of source.records())
      for (let at = 0; at < slice.length; at += 1021) machine.feed(slice.subarray(at, at + 1021));
    expect(machine.finish().intervals).toEqual(sampled.machines[1]!.intervals);
  });

  it("have the working set that the recorded mapping shows", async () => {
    const every = 1000;
    const { machines } = await replay(name, { intervals: every });
    const frames = new Map<bigint, bigint>();
    const sets: Set<bigint>[] = [new Set()];
    let accesses = 0;
    await walkRecords(await openTrace(await openFile(fixture(name))), {
      access(_, hi, lo, size) {
        if (accesses > 0 && accesses % every === 0) sets.push(new Set());
        ++accesses;
        const va = joined(hi, lo);
        for (const at of [va, va + BigInt(size) - 1n]) sets.at(-1)!.add(frames.get(at >> 12n)!);
      },
      event({ type, values }) {
        if (type === EventType.MAP) frames.set(values[0]! >> 12n, values[1]!);
      },
    });
    expect(machines[0]!.intervals!.workingSet).toEqual(sets.map(({ size }) => size));
  });
});

describe("--interval", () => {
  it("puts the intervals into the JSON and itself into what was asked", async () => {
    const { code, stdout, stderr } = await nestwalk([
      "run",
      fixture("redis"),
      "--interval",
      "5000",
      "--json",
      "-",
    ]);
    expect([code, stderr]).toEqual([0, ""]);
    const result = JSON.parse(stdout) as Result;
    expect(result.config.interval).toBe(5000);
    expect(result.machines[0]!.intervals!.every).toBe(5000);
  });

  it.each(["0", "-1", "1.5", "many", "99999999999999999999"])("refuses %s", async (value) => {
    const { code, stderr } = await nestwalk(["run", fixture("redis"), `--interval=${value}`]);
    expect(code).toBe(2);
    expect(stderr).toBe(
      `nestwalk: --interval is "${value}"; it must be a number of accesses, such as 100000, or markers\n`,
    );
  });
});
