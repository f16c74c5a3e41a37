import { Access, Status } from "nestwalk/embed";
import { describe, expect, test } from "vitest";
import type { Fault } from "../examples/interpreter/guest/results.js";
import { Machine, type MachineOptions } from "../examples/interpreter/machine.js";
import { bytesInMemory, compare, openTrace, resolveConfig } from "../src/index.js";
import { checkTrace } from "../src/trace/tools/check.js";

/* What the guest does is told in examples/interpreter/guest: these are its addresses. */
const DEMAND = 0x4000_0000;
const SHARED = 0x5000_0000;
const USER_DEMAND = 0x8000_0000;
const USER_END = 0x8400_0000;
const USER_CODE = 0x40_0000;
const RESULTS = 0x2_0000;
const SCRATCH = 0x6000_0000;

const machines: Record<string, MachineOptions> = {
  "native on AMD": { technique: "native", cpu: "zen4" },
  "EPT of the model": { technique: "ept" },
  "NPT of the model": { technique: "npt", cpu: "zen4" },
  "EPT of the host": { technique: "ept", hypervisor: "host" },
  "NPT of the host": { technique: "npt", hypervisor: "host", cpu: "zen4" },
  "shadow as KVM 6.1 has it": { technique: "shadow" },
  "shadow as KVM 6.12 has it": { technique: "shadow", set: ["shadow.profile=kvm-6.12"] },
  "native, recorded": { technique: "native", record: true },
};

const native = new Machine({ technique: "native" });
const natively = native.run();

/** The faults that the guest's program must meet, in order: vector, error code, CR2. */
function expectedFaults(): [vector: number, errorCode: number, cr2: number][] {
  const pages = Array.from({ length: 64 }, (_, i) => DEMAND + 0x1000 * i + 8 * i);
  const tables = Array.from({ length: 16 }, (_, i) => DEMAND + 0x20_0000 * (i + 1));
  const sieve = [USER_DEMAND + 4, USER_DEMAND + 0x1000, USER_END - 8];
  return [
    ...[...pages, ...tables].map((address): [number, number, number] => [14, 2, address]),
    [14, 3, SHARED + 0x1000],
    [14, 3, SHARED + 0x3000],
    ...sieve.map((address): [number, number, number] => [14, 6, address]),
    [14, 5, RESULTS],
    [14, 7, USER_CODE],
    [14, 0x15, USER_DEMAND],
    [13, 0, USER_DEMAND],
    [14, 0x11, USER_CODE],
    [14, 1, USER_DEMAND],
    [14, 3, 0x7c00],
    [14, 0x11, RESULTS],
    [14, 9, SCRATCH],
    [13, 0, SCRATCH],
    [6, 0, SCRATCH],
    [14, 0x21, SCRATCH + 0x2000],
    [14, 0x23, SCRATCH + 0x2000],
  ];
}

const seen = ({ vector, errorCode, cr2 }: Fault) => [vector, errorCode, Number.parseInt(cr2, 16)];

describe("the interpreter's guest", () => {
  test("runs to its end and finds what its program computes", () => {
    expect(natively.stopped).toBe("halted");
    expect(natively.exitCode).toBe(0x600d);
    expect(natively.results).toEqual({
      demandSum: 85_344 + 136,
      sharedSum: 7 + 7 + 100 + 7 + 1007,
      primes: 783,
      userCalls: 6,
      spacesSum: 8 * 3 + 428,
      taggedSum: 8 * 3 + 492,
      beforeInvlpg: 0x1d,
      afterInvlpg: 0x2e3,
      accessed: 0x20,
      dirty: 0x60,
      windowSum: natively.results.windowSum,
      smapValue: natively.results.smapValue,
      faults: expectedFaults().length,
      userInterrupts: 2,
      features: 0x10_0480,
      keySum: SCRATCH + 0x2000 + 8,
      finished: 0x600d,
    });
  });

  test("meets the faults that its program provokes, with their error codes and addresses", () => {
    expect(natively.faults.map(seen)).toEqual(expectedFaults());
  });
});

describe.each(Object.entries(machines))("%s", (_, options) => {
  test("the guest sees what it sees natively: registers, memory, faults", () => {
    expect(new Machine(options).run()).toEqual(natively);
  });
});

test("the page cache answers nine accesses of ten, and only the feed empties it", () => {
  expect(native.memory.pages.hits).toBeGreaterThan(9 * native.mmu.counters().accesses!);
});

/** Frames that the guest touches: its tables are among them, since it zeroes each. */
function framesTouched(): number {
  const machine = new Machine({ technique: "native" });
  const frames = new Set<number>();
  const { mmu } = machine;
  const translate = mmu.translate.bind(mmu);
  mmu.translate = (...operands) => {
    const status = translate(...operands);
    if (status === Status.ok) frames.add(Math.floor(mmu.physical / 4096));
    return status;
  };
  machine.run();
  return frames.size;
}

function exitsOf(machine: Machine): Record<string, number> {
  return Object.fromEntries(machine.mmu.result().exits.map(({ reason, count }) => [reason, count]));
}

const runs = new Map<string, Machine>();
/** A machine that has run. */
function ran(options: MachineOptions): Machine {
  const name = JSON.stringify(options);
  let machine = runs.get(name);
  if (machine === undefined) {
    machine = new Machine(options);
    machine.run();
    runs.set(name, machine);
  }
  return machine;
}

/** No paging-structure caches in either stage, and no nested TLB. */
const WITHOUT_CACHES = ["hostPde", "hostPdpte", "hostPml4e", "nested"].map(
  (name) => `psc.${name}.place=none`,
);

describe("what a machine counts", () => {
  /** What the guest's program does that exits: MOV to CR0 and CR4, WRMSR, and the instructions that always exit. */
  const ALWAYS = { write_cr0: 2, write_cr4: 6, wrmsr: 4, rdmsr: 1, cpuid: 1, io: 1, hlt: 1 };

  test("a hypervisor of EPT or NPT sees each frame's first touch, and the loads of CR0, CR4 and EFER", () => {
    const touched = framesTouched();
    expect(touched).toBe(391);
    expect(exitsOf(ran({ technique: "ept" }))).toEqual({ ...ALWAYS, ept_violation: touched });
    expect(exitsOf(ran({ technique: "npt" }))).toEqual({ ...ALWAYS, npf: touched });
    for (const technique of ["ept", "npt"] as const)
      expect(ran({ technique, hypervisor: "host" }).hypervisor!.violations).toBe(touched);
  });

  test("shadow paging sees each load of CR3 and each INVLPG, too", () => {
    /* CR3: 2 + 16 without PCIDs, 16 + 1 with; INVLPG: after the two copies and the changed entry. */
    const { page_fault, ...others } = exitsOf(ran({ technique: "shadow" }));
    expect(others).toEqual({ ...ALWAYS, write_cr3: 35 + 1, invlpg: 3, invpcid: 1 });
    expect(page_fault).toBe(503);
  });

  test("walks and their references", () => {
    const touched = framesTouched();
    const counts = (options: MachineOptions) => {
      const { walks, tableReferences, walksFaulted } = ran(options).mmu.counters();
      return { walks, tableReferences, walksFaulted };
    };
    /* Natively a walk fails for each exception but the privileged and the undefined instruction and the non-canonical address. */
    const faulted = natively.faults.length - 3;
    expect(counts({ technique: "native" })).toEqual({
      walks: 248,
      tableReferences: 611,
      walksFaulted: faulted,
    });
    const nested = { walks: 1036, tableReferences: 4252, walksFaulted: faulted + touched };
    expect(counts({ technique: "ept" })).toEqual(nested);
    expect(counts({ technique: "ept", hypervisor: "host" })).toEqual(nested);
    expect(counts({ technique: "shadow" }).walks).toBe(1450);
  });

  test("a cold walk of the guest's four levels takes 4 references, and 24 under EPT", () => {
    const cold = (options: MachineOptions) => {
      const machine = new Machine({ ...options, set: WITHOUT_CACHES });
      machine.run();
      const { mmu } = machine;
      mmu.flush();
      const before = mmu.counters().tableReferences!;
      expect(mmu.translate(DEMAND, 0, Access.read)).toBe(Status.ok);
      return mmu.counters().tableReferences! - before;
    };
    expect(cold({ technique: "native" })).toBe(4);
    expect(cold({ technique: "ept" })).toBe(24);
    expect(cold({ technique: "ept", hypervisor: "host" })).toBe(24);
    expect(cold({ technique: "shadow" })).toBe(4);
  });
});

describe("a translation that the tables no longer hold", () => {
  test("shows until INVLPG, unless the hypervisor takes each table store into its tables at once", () => {
    const read = (options: MachineOptions) => {
      const { beforeInvlpg, afterInvlpg } = new Machine(options).run().results;
      return [beforeInvlpg, afterInvlpg];
    };
    expect(read({ technique: "native" })).toEqual([0x1d, 0x2e3]);
    expect(read({ technique: "shadow" })).toEqual([0x1d, 0x2e3]);
    expect(read({ technique: "shadow", set: ["shadow.profile=textbook"] })).toEqual([0x2e3, 0x2e3]);
  });
});

describe("a recorded run", () => {
  const techniques = {
    native: ["technique=native"],
    ept: ["technique=nested", "format=ept"],
    npt: ["technique=nested", "format=npt"],
    shadow: ["technique=shadow"],
  } as const;
  const recorded = () => ran({ technique: "native", record: true }).mmu.trace();

  test("is a trace that each technique replays with no mismatch, to the figures of a live run", async () => {
    const trace = await openTrace(bytesInMemory("guest.nwt", await recorded()));
    const sets = Object.values(techniques);
    const { machines: replayed, laws } = await compare(
      trace,
      sets.map((set) => resolveConfig({ set: [...set, "guest.memoryMiB=16"] })),
    );
    expect(laws.filter(({ holds }) => !holds)).toEqual([]);
    for (const [i, technique] of (["native", "ept", "npt", "shadow"] as const).entries()) {
      const { references, exits, shadowPages } = ran({ technique, record: true }).mmu.result();
      const again = replayed[i]!;
      expect([again.references, again.exits, again.shadowPages]).toEqual([references, exits, shadowPages]);
      expect(again.oracle).toEqual({ checked: 300_302, unknown: 0, mismatches: 0 });
      expect(again.laws.filter(({ holds }) => !holds)).toEqual([]);
    }
  });

  test("is the same whatever machine it was recorded in", async () => {
    const bytes = await recorded();
    for (const technique of ["ept", "shadow"] as const)
      expect(Buffer.compare(bytes, await ran({ technique, record: true }).mmu.trace())).toBe(0);
  });

  test("trace check finds it good, with the one translation that the guest used after it had gone", async () => {
    const trace = await openTrace(bytesInMemory("guest.nwt", await recorded()));
    const { fault, stale, translated, withoutTruth, untranslated } = await checkTrace(trace);
    expect([fault, stale, withoutTruth, untranslated]).toEqual([undefined, 1, 0, 0]);
    expect(translated).toBeGreaterThan(300_000);
  });
});
