import { describe, expect, it } from "vitest";
import { resolveConfig, type TechniqueName, techniqueKeys } from "../src/config/index.js";
import { Machine } from "../src/machine.js";
import { RecordEncoder } from "../src/trace/index.js";

/* exits.hosted: what a type-2 hypervisor pays more than a type-1, for the exits that its kernel cannot finish. */

const CODE = 0x401000;
const DEVICE = 0x402000;

/** A guest with a page of code and one of device memory, that reads the device and executes instructions that exit. */
function guest(reads: number, instructions: readonly number[]): Uint8Array {
  const e = new RecordEncoder();
  e.cr0(0x80050033).cr4(0x20).efer(0xd01).cr3(0x1000);
  e.ptp(1, 4, [[0, 0x2067n]])
    .ptp(2, 3, [[0, 0x4067n]])
    .ptp(4, 2, [[2, 0x5067n]]);
  e.ptp(5, 1, [
    [1, 0x9067n],
    [2, 0xfeb0_0067n],
  ]);
  e.mode(0).map(CODE, 0x9000).map(DEVICE, 0xfeb00000).fetch(CODE, 4);
  for (let i = 0; i < reads; ++i) e.read(DEVICE, 4, { device: true });
  for (const what of instructions) e.insn(what);
  return new Uint8Array(e.fetch(CODE, 4).end().take());
}

function run(technique: TechniqueName, stream: Uint8Array, hosted: number, more: readonly string[] = []) {
  const options = Object.entries(techniqueKeys(technique)).map(([path, value]) => ({
    option: "--technique",
    path,
    value,
  }));
  const machine = new Machine(resolveConfig({ set: [`exits.hosted=${hosted}`, ...more], options }));
  machine.feed(stream);
  const result = machine.finish();
  expect(result.laws.filter((law) => !law.holds)).toEqual([]);
  return result;
}

describe.each(["shadow", "ept", "npt"] as const)("a hosted hypervisor under %s", (technique) => {
  const more = (stream: Uint8Array) => {
    const [near, far] = [run(technique, stream, 0), run(technique, stream, 5000)];
    expect(far.counters.exits).toBe(near.counters.exits);
    expect(far.cycles.total - near.cycles.total).toBe(far.cycles.exitHandler - near.cycles.exitHandler);
    return far.cycles.exitHandler - near.cycles.exitHandler;
  };

  it("pays for each access to a device", () => {
    for (const reads of [1, 2, 5]) expect(more(guest(reads, []))).toBe(reads * 5000);
  });

  it("pays for I/O, and for nothing that its kernel does by itself", () => {
    const [CPUID, HLT, WRMSR, RDMSR, IO] = [4, 5, 6, 7, 8];
    expect(more(guest(0, [IO, IO]))).toBe(10_000);
    expect(more(guest(0, [CPUID, HLT, WRMSR, RDMSR]))).toBe(0);
  });
});

describe("profiles of exits", () => {
  const exits = (...set: string[]) => resolveConfig({ set }).exits;

  it("are values that a file and assignments may replace, whatever the order", () => {
    const preset = exits();
    expect(preset).toMatchObject({ generation: "cpu", hypervisor: "type-1", hosted: 0 });
    expect(exits("exits.generation=prescott")).toEqual({
      ...preset,
      generation: "prescott",
      hardwareCycles: 3963,
    });
    expect(exits("exits.hardwareCycles=5", "exits.generation=nehalem").hardwareCycles).toBe(5);
    expect(exits("exits.hypervisor=hosted").hosted).toBe(4000);
    expect(exits("exits.hosted=7", "exits.hypervisor=hosted").hosted).toBe(7);
    const file = { name: "file", value: { exits: { generation: "westmere", hypervisor: "hosted" } } };
    expect(resolveConfig({ file }).exits).toMatchObject({ hardwareCycles: 761, hosted: 4000 });
    expect(() => exits("exits.generation=pentium")).toThrow(/exits\.generation is "pentium"/);
    expect(() => exits("exits.hypervisor=type-3")).toThrow(/exits\.hypervisor is "type-3"/);
  });

  it("cost what the generation's round trip says, for each exit", () => {
    const of = (name: string) => run("ept", guest(3, [4]), 0, [`exits.generation=${name}`]);
    const [old, late] = [of("prescott"), of("sandy-bridge")];
    expect(old.counters.exits).toBe(late.counters.exits);
    expect(old.cycles.exitHardware - late.cycles.exitHardware).toBe(
      Number(late.counters.exits) * (3963 - 784),
    );
  });
});

it("native execution has nobody to pay", () => {
  const stream = guest(3, [8]);
  expect(run("native", stream, 5000).cycles).toEqual(run("native", stream, 0).cycles);
});
