import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, it } from "vitest";
import { compare, withMachines } from "../src/compare.js";
import { resolveConfig, type TechniqueName, techniqueKeys } from "../src/config/index.js";
import { Machine } from "../src/machine.js";
import { openFile } from "../src/node/files.js";
import { ReplayError } from "../src/replay-error.js";
import type { MachineResult } from "../src/result.js";
import { bytesInMemory, openTrace, RecordEncoder, type TraceSource } from "../src/trace/index.js";
import { collect, cutStream, nwtFile } from "./fixtures/traces.js";

const TECHNIQUES = ["native", "shadow", "ept", "npt"] as const;

const path = (name: string) => fileURLToPath(new URL(`../traces/${name}.nwt`, import.meta.url));
const open = async (name: string): Promise<TraceSource> => openTrace(await openFile(path(name)));

function configOf(technique: TechniqueName, ...set: string[]) {
  const options = Object.entries(techniqueKeys(technique)).map(([key, value]) => ({
    option: "--technique",
    path: key,
    value,
  }));
  return resolveConfig({ set, options });
}

function replay(
  stream: Uint8Array,
  technique: TechniqueName,
  set: string[] = [],
  core?: "simd" | "scalar" | WebAssembly.Module,
): MachineResult {
  const machine = new Machine(configOf(technique, ...set), core);
  machine.feed(stream);
  return machine.finish();
}

const broken = (result: MachineResult) => result.laws.filter((law) => !law.holds);

describe("the beginning of the pipe-pti guest", () => {
  let stream: Uint8Array;
  beforeAll(async () => {
    stream = cutStream(await collect((await open("pipe-pti")).records()), 600_000);
  });

  it.each(TECHNIQUES)("is replayed in %s without a mismatch and with every law", (technique) => {
    const result = replay(stream, technique);
    expect(broken(result)).toEqual([]);
    expect(result.oracle).toEqual({ checked: result.counters.accesses, unknown: 0, mismatches: 0 });
    expect(result.counters.faultsUnconfirmed).toBe(0);
    expect(result.counters.faultsConfirmed).toBe(result.counters.guestPageFaults);
    expect(result.guestDigest).toBe(replay(stream, "native").guestDigest);
  });

  it.each(TECHNIQUES)(
    "gives the same result in %s from the SIMD, scalar and debug cores, and whole or in pieces",
    (technique) => {
      const debug = new WebAssembly.Module(
        readFileSync(fileURLToPath(new URL("../build/core-debug.wasm", import.meta.url))),
      );
      const part = cutStream(stream, 60_000);
      const bytes = (core: "simd" | "scalar" | WebAssembly.Module) =>
        JSON.stringify(replay(part, technique, [], core));
      const simd = bytes("simd");
      expect(bytes("scalar")).toBe(simd);
      expect(bytes(debug)).toBe(simd);
      const machine = new Machine(configOf(technique));
      for (let at = 0; at < part.length; at += 4099) machine.feed(part.subarray(at, at + 4099));
      expect(JSON.stringify(machine.finish())).toBe(simd);
    },
  );

  it("books cycles on the walker queue when walks must wait for a walker, and fewer cycles pass with more walkers", () => {
    const part = cutStream(stream, 200_000);
    const set = ["clock.window=256", "caches.enabled=false", "caches.referenceCycles=100"];
    const one = replay(part, "ept", [...set, "clock.walkers=1"]);
    const four = replay(part, "ept", [...set, "clock.walkers=4"]);
    expect(one.cycles.walkerQueue).toBeGreaterThan(four.cycles.walkerQueue);
    expect(one.cycles.total).toBeGreaterThan(four.cycles.total);
    expect(broken(one)).toEqual([]);
  });

  it("is measured after a warm-up as the difference of two runs, with every law", () => {
    const part = cutStream(stream, 200_000);
    const whole = replay(part, "ept");
    const machine = new Machine(configOf("ept"));
    machine.warmUp(100_000);
    for (let at = 0; at < part.length; at += 70_001) machine.feed(part.subarray(at, at + 70_001));
    const measured = machine.finish();
    expect(measured.counters.accesses).toBe(whole.counters.accesses! - 100_000);
    expect(measured.oracle.checked).toBe(measured.counters.accesses);
    expect(broken(measured)).toEqual([]);
    expect(measured.guestDigest).toBe(whole.guestDigest);
    expect(measured.counters.pages_4k).toBe(whole.counters.pages_4k);
    expect(measured.counters.pf_fixed).toBeLessThan(whole.counters.pf_fixed! / 2);
    expect(measured.cycles.total).toBeLessThan(whole.cycles.total);
  });

  it("walks 4 entries natively at most, 24 under two stages of four levels, with every cache off", () => {
    const off = ["tlb.l1d=[]", "tlb.l1i=[]", "tlb.l2=[]", "tlb.l2i=[]", "caches.enabled=false"];
    for (const cache of [
      "pde",
      "pdpte",
      "pml4e",
      "pml5e",
      "hostPde",
      "hostPdpte",
      "hostPml4e",
      "hostPml5e",
      "nested",
    ]) {
      off.push(`psc.${cache}.place=none`);
    }
    const part = cutStream(stream, 30_000);
    const native = replay(part, "native", off);
    expect(native.counters.walkReferencesMax).toBe(4);
    expect(native.counters.walks).toBe(native.counters.translations! + native.counters.guestPageFaults!);
    for (const technique of ["ept", "npt"] as const) {
      const nested = replay(part, technique, off);
      expect(nested.counters.walkReferencesMax).toBe(24);
      expect(broken(nested)).toEqual([]);
      const large = replay(part, technique, [...off, "host.page=2m"]);
      expect(large.counters.walkReferencesMax).toBe(19);
    }
  });
});

describe("a comparison", () => {
  it("gives the same bytes twice, and one digest in all machines", async () => {
    const configs = TECHNIQUES.map((technique) => configOf(technique));
    const run = async () => compare(await open("sqlite"), configs);
    const first = await run();
    expect(JSON.stringify(await run())).toBe(JSON.stringify(first));
    expect(first.laws).toHaveLength(1);
    expect(first.laws[0]!.holds).toBe(true);
    for (const machine of first.machines) {
      expect(broken(machine)).toEqual([]);
      expect(machine.oracle).toEqual({ checked: 8_000_001, unknown: 0, mismatches: 0 });
    }
    expect(first.trace.accesses).toBe(8_000_001);
    expect(first.trace.events).toBe(8_002_133);
    const page = readFileSync(path("sqlite").replace(/nwt$/, "md"), "utf8");
    expect(page).toContain(first.trace.streamSha256);
  });
});

describe("records that contradict each other", () => {
  /** One user page at 0x400000, mapped by four tables; the recording says it lies in frame `recorded`. */
  function page(recorded: number, leaf = 0x200_067n): RecordEncoder {
    return new RecordEncoder()
      .cr0(0x8001_0033)
      .cr4(0x20)
      .efer(0xd01)
      .cr3(0x10_0000)
      .ptp(0x100, 4, [[0, 0x10_1067n]])
      .ptp(0x101, 3, [[0, 0x10_2067n]])
      .ptp(0x102, 2, [[2, 0x10_3067n]])
      .ptp(0x103, 1, [[0, leaf]])
      .mode(3)
      .map(0x40_0000, recorded * 4096);
  }

  it.each(["native", "ept", "npt"] as const)(
    "are named, in %s, when the tables translate elsewhere",
    (technique) => {
      const result = replay(page(0x201).read(0x40_0010, 8).end().take(), technique);
      expect(result.oracle.mismatches).toBe(1);
      expect(result.oracle.first).toBe(
        "event 10: the read at page 0x400000 is translated to frame 0x200, but the recording says frame 0x201",
      );
      expect(broken(result).map((law) => law.name)).toEqual(["oracle"]);
    },
  );

  it.each(["native", "ept", "npt"] as const)(
    "are named, in %s, when the tables refuse the access",
    (technique) => {
      const result = replay(page(0x200, 0x200_065n).write(0x40_0010, 8).end().take(), technique);
      expect(result.oracle.first).toBe(
        "event 10: the write at page 0x400000 ends in a page fault with error code 0x7, but the recording says frame 0x200",
      );
    },
  );

  it("stop the replay when END's counts are not those of the accesses", () => {
    const encoder = page(0x200).read(0x40_0010, 8);
    encoder.reads = 2;
    expect(() => replay(encoder.end().take(), "native")).toThrow(ReplayError);
  });

  it("stop the replay at a record of an unknown type, with its place", () => {
    const stream = page(0x200).read(0x40_0010, 8).take();
    const unknown = new Uint8Array([...stream, (40 << 2) | 3, 0, 0, 0]);
    expect(() => replay(unknown, "native")).toThrow(
      `record 11 at byte ${stream.length} of the record stream is of a type that this version does not know`,
    );
  });

  it("stop the replay when no repair of the host's tables gets an access on", () => {
    const far = page(0x1_0000_0000, 0x1000_0000_0067n).read(0x40_0010, 8).end().take();
    expect(() => replay(far, "npt", ["host.levels=3"])).toThrow(
      "event 10 never resolves: the host's tables cannot map the guest memory that it needs; give the host more levels or address bits",
    );
    expect(replay(far, "npt").oracle.mismatches).toBe(0);
  });

  it("stop the replay at bytes after END", () => {
    const stream = page(0x200).read(0x40_0010, 8).end().take();
    expect(() => replay(new Uint8Array([...stream, 0]), "native")).toThrow("1 bytes follow the END record");
  });

  it.each([
    ["an access with bit 7 set", [0x81, 0]],
    ["a fetch without a length", [0x40]],
    ["a mode above 7", [(5 << 2) | 3, 8]],
    ["a host event of no kind", [(21 << 2) | 3, 9, 0, 0]],
    ["a host event of too many frames", [(21 << 2) | 3, 1, 0, 0xff, 0xff, 0xff, 0xff, 0x7f]],
    ["a label of more than 4096 bytes", [(20 << 2) | 3, 0x81, 0x20]],
    ["a run of 2^49 fetches", [(14 << 2) | 3, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1]],
    ["protection keys of 33 bits", [(18 << 2) | 3, 0x80, 0x80, 0x80, 0x80, 0x10]],
    ["an INVPCID of type 4", [(16 << 2) | 3, 4, 0, 0]],
  ])("stop the replay at %s", (_, bytes) => {
    const stream = page(0x200).read(0x40_0010, 8).take();
    expect(() => replay(new Uint8Array([...stream, ...bytes, ...new Uint8Array(20_000)]), "native")).toThrow(
      `record 11 at byte ${stream.length} of the record stream holds a value that its type does not allow`,
    );
  });

  it("stop the replay at a number longer than 64 bits", () => {
    const stream = page(0x200).take();
    const long = new Uint8Array([...stream, (6 << 2) | 3, ...new Array(10).fill(0xff), 1]);
    expect(() => replay(long, "native")).toThrow(/holds a number longer than 64 bits/);
  });
});

it("puts machines that were replayed apart together as if they had been replayed side by side", async () => {
  const machines = [configOf("native"), configOf("shadow"), configOf("ept")];
  const stream = await collect((await open("pcid")).records());
  const cut = await nwtFile(cutStream(stream, 100_000));
  const trace = () => openTrace(bytesInMemory("cut.nwt", cut));
  const together = await compare(await trace(), machines);
  const apart = await Promise.all(machines.map(async (config) => compare(await trace(), [config])));
  expect(apart[0]!.laws).toEqual([]);
  const joined = withMachines(
    apart[2]!,
    apart.flatMap((one) => one.machines),
  );
  expect(JSON.stringify(joined)).toBe(JSON.stringify(together));
});
