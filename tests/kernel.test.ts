import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { compare } from "../src/compare.js";
import { resolveConfig } from "../src/config/index.js";
import { withKernel } from "../src/played.js";
import { bytesInMemory } from "../src/trace/bytes.js";
import { NwtWriter, openTrace } from "../src/trace/index.js";
import { randomNumbers } from "./fixtures/traces.js";
import { broken, DATA, machineFor, PROGRAMS, play, program, stream, TECHNIQUES } from "./kernel/programs.js";

const CHURN = [
  "kernel.quantum=3000",
  "kernel.forks=100",
  "kernel.forkLife=4000",
  "kernel.protects=500",
  "kernel.protectPages=3",
  "kernel.reclaims=100",
  "kernel.merges=1000",
];

describe("a program without page tables", () => {
  const records = program(30_000, 1500, 3);
  const variants: [string, string[]][] = [
    ["plain", []],
    ["with isolated tables", ["kernel.pti=true"]],
    ["without PCIDs", ["kernel.pcid=false", "kernel.pti=true"]],
    ["on 5 levels and 1 GiB pages of the direct map", ["kernel.levels=5", "kernel.directMap=1g"]],
    ["in transparent huge pages", ["kernel.pages=thp", "kernel.zeroPage=true"]],
    ["in 2 MiB pages of fragmented memory", ["kernel.pages=2m", "kernel.fragmentation=60"]],
    ["with churn", [...CHURN, "kernel.zeroPage=true"]],
    ["with churn of huge pages", [...CHURN, "kernel.pages=thp", "kernel.pti=true"]],
    ["mapped beforehand, with churn", [...CHURN, "kernel.populate=true"]],
    ["in little memory", ["guest.memoryMiB=64", "kernel.fragmentation=10"]],
    ["where every table store traps", [...CHURN, "shadow.unsync=false", "shadow.flooding=0"]],
    [
      "with every cache off",
      ["tlb.l1d=[]", "tlb.l1i=[]", "tlb.l2=[]", "tlb.l2i=[]", "psc.nested.place=none", "caches.data=true"],
    ],
  ];
  it.each(variants)("%s: every access goes where the kernel put it, alike in every machine", (_, set) => {
    const results = TECHNIQUES.map((technique) => play(records, technique, set));
    for (const result of results) {
      expect(broken(result)).toEqual([]);
      const { accesses, kernelAccesses, pageCrossings } = result.counters;
      expect(pageCrossings).toBe(0);
      expect(result.oracle).toEqual({ checked: accesses! + kernelAccesses!, unknown: 0, mismatches: 0 });
      expect(result.counters.faultsConfirmed).toBe(result.counters.guestPageFaults);
      expect(result.guestDigest).toBe(results[0]!.guestDigest);
      for (const [name, value] of Object.entries(result.counters))
        if (name.startsWith("kernel") || name.startsWith("guest"))
          expect([name, value]).toEqual([name, results[0]!.counters[name]]);
    }
  });

  it("gives the same bytes from the SIMD, scalar and debug cores, and whole or in pieces", () => {
    const part = program(8000, 900, 2);
    const debug = new WebAssembly.Module(
      readFileSync(fileURLToPath(new URL("../build/core-debug.wasm", import.meta.url))),
    );
    for (const technique of TECHNIQUES) {
      const set = [...CHURN, "kernel.pages=thp"];
      const simd = JSON.stringify(play(part, technique, set, PROGRAMS, "simd"));
      expect(JSON.stringify(play(part, technique, set, PROGRAMS, "scalar"))).toBe(simd);
      expect(JSON.stringify(play(part, technique, set, PROGRAMS, debug))).toBe(simd);
      const machine = machineFor(technique, set);
      for (let at = 0; at < part.length; at += 997) machine.feed(part.subarray(at, at + 997));
      expect(JSON.stringify(machine.finish())).toBe(simd);
    }
  });

  it("holds in any mixture of policies", () => {
    const random = randomNumbers(20);
    const pick = <T>(...list: T[]): T => list[random() % list.length]!;
    for (let round = 0; round < 12; round++) {
      const set = [
        `kernel.pages=${pick("4k", "2m", "thp")}`,
        `kernel.levels=${pick(4, 5)}`,
        `kernel.pti=${pick(true, false)}`,
        `kernel.pcid=${pick(true, false)}`,
        `kernel.zeroPage=${pick(true, false)}`,
        `kernel.populate=${pick(true, false, false)}`,
        `kernel.fragmentation=${pick(0, 30, 100)}`,
        `kernel.faultAround=${pick(1, 16)}`,
        `kernel.seed=${random() % 1000}`,
        `kernel.forks=${pick(0, 200)}`,
        `kernel.forkLife=${pick(500, 5000)}`,
        `kernel.protects=${pick(0, 1000)}`,
        `kernel.protectPages=${pick(1, 40)}`,
        `kernel.reclaims=${pick(0, 300)}`,
        `kernel.merges=${pick(0, 2000)}`,
        `kernel.quantum=${pick(0, 700)}`,
        `guest.memoryMiB=${pick(64, 4096)}`,
        `host.page=${pick("4k", "2m", "1g")}`,
        `shadow.unsync=${pick(true, false)}`,
        `shadow.kernel=${pick("6.1", "6.12")}`,
      ];
      const part = program(4000, pick(40, 1200), pick(1, 4), 150);
      const results = TECHNIQUES.map((technique) => play(part, technique, set));
      for (const result of results) {
        expect(broken(result), set.join(" ")).toEqual([]);
        expect(result.guestDigest, set.join(" ")).toBe(results[0]!.guestDigest);
      }
    }
  });
});

describe("as Linux decides", () => {
  const touch = (...pages: number[]) =>
    stream((e) => {
      for (const page of pages) e.write(DATA + page * 4096, 8);
    });

  it("gives an untouched aligned 2 MiB a huge page, and a touched one small pages", () => {
    const thp = ["kernel.pages=thp", "kernel.faultAround=1"];
    const { counters } = play(touch(3, 4, 700, 3), "native", thp);
    expect([counters.kernelPages2m, counters.kernelPages4k, counters.guestPageFaults]).toEqual([2, 0, 2]);
    const code = stream((e) => e.fetch(DATA, 4).write(DATA + 4096, 8));
    const mixed = play(code, "native", thp).counters;
    expect([mixed.kernelPages2m, mixed.kernelPages4k, mixed.guestPageFaults]).toEqual([0, 2, 2]);
  });

  it("falls back to small pages where no 2 MiB of RAM are free", () => {
    const { counters } = play(touch(0, 1, 512), "native", ["kernel.pages=thp", "kernel.fragmentation=100"]);
    expect([counters.kernelPages2m, counters.kernelPages4k, counters.kernelHugeFallbacks]).toEqual([0, 3, 2]);
  });

  it("maps the zero page for reads, and a page of its own for the first write", () => {
    const records = stream((e) =>
      e
        .read(DATA, 8)
        .read(DATA + 8, 8)
        .write(DATA, 8)
        .write(DATA, 8),
    );
    const zero = play(records, "native", ["kernel.zeroPage=true"]).counters;
    expect([zero.kernelZeroPages, zero.kernelCopies, zero.guestPageFaults, zero.guestInvlpg]).toEqual([
      1, 1, 2, 1,
    ]);
    const own = play(records, "native").counters;
    expect([own.kernelZeroPages, own.kernelCopies, own.guestPageFaults, own.guestInvlpg]).toEqual([
      0, 0, 1, 0,
    ]);
  });

  it("brings 16 pages of code with the first", () => {
    const records = stream((e) => {
      for (let page = 0; page < 17; page++) e.fetch(0x40_0000 + page * 4096, 4);
    });
    expect(play(records, "native").counters.guestPageFaults).toBe(2);
    expect(play(records, "native", ["kernel.faultAround=1"]).counters.guestPageFaults).toBe(17);
  });

  it.each([
    [6, 1],
    [7, 0],
  ])("has six PCIDs in turn: with %i processes a reload keeps the TLB: %i", (processes, keeps) => {
    const rounds = 5;
    const records = stream((e) => {
      for (let i = 0; i < rounds * processes; i++) e.switchTo(1 + (i % processes), 1).read(DATA, 8);
    });
    const { counters } = play(records, "native");
    expect(counters.cr3Loads).toBe(1 + rounds * processes - 1);
    expect(counters.cr3NoFlush).toBe(keeps * (rounds - 1) * processes);
  });

  it.each([
    [33, 33, 0],
    [34, 0, 1],
  ])("flushes %i pages by %i INVLPG and %i loads of CR3", (pages, invlpg, loads) => {
    const records = stream((e) => {
      for (let page = 0; page < 64; page++) e.write(DATA + page * 4096, 8);
      for (let i = 0; i < 40; i++) e.fetch(0x40_0000, 4);
    });
    const base = play(records, "native").counters;
    const set = ["kernel.protects=10000", `kernel.protectPages=${pages}`];
    const { counters } = play(records, "native", set);
    expect(counters.kernelProtects).toBeGreaterThan(0);
    expect(counters.guestInvlpg! - base.guestInvlpg!).toBe(invlpg * counters.kernelProtects!);
    expect(counters.cr3Loads! - base.cr3Loads!).toBe(loads * counters.kernelProtects!);
  });

  it("loads CR3 at each entry and exit under isolation, which shadow paging pays with exits", () => {
    const records = touch(1, 2, 3, 4, 5, 6, 7, 8);
    const plain = play(records, "shadow");
    const isolated = play(records, "shadow", ["kernel.pti=true"]);
    expect(isolated.counters.cr3Loads! - plain.counters.cr3Loads!).toBe(2 * 8 - 1);
    const loads = (result: typeof plain) => result.exits.find((e) => e.reason === "write_cr3")?.count ?? 0;
    expect(loads(isolated) - loads(plain)).toBe(15);
  });
});

describe("page sizes and places of the header", () => {
  const records = stream((e) => {
    for (let page = 0; page < 4; page++) e.write(DATA + page * 0x20_0000, 8);
  });
  const at = (mib: number) => `0x${(DATA + mib * 0x10_0000).toString(16)}`;

  it("gives each range its size", () => {
    const ranges = [{ from: at(2), to: at(6), size: "2m" as const }];
    const { counters } = play(records, "native", [], { ...PROGRAMS, pageSizes: { default: "4k", ranges } });
    expect([counters.kernelPages2m, counters.kernelPages4k]).toEqual([2, 2]);
    const small = [{ from: at(2), to: at(4), size: "4k" as const }];
    const other = play(records, "native", [], { ...PROGRAMS, pageSizes: { default: "2m", ranges: small } });
    expect([other.counters.kernelPages2m, other.counters.kernelPages4k]).toEqual([3, 1]);
    expect(play(records, "native", [], { ...PROGRAMS, pageSizes: "2m" }).counters.kernelPages2m).toBe(4);
    const asked = play(records, "native", ["kernel.pages=4k"], { ...PROGRAMS, pageSizes: "2m" });
    expect(asked.counters.kernelPages2m).toBe(0);
  });

  it("puts pages where the recording had them, as far as that is free RAM", () => {
    const placement = {
      pageSize: "4k" as const,
      runs: [
        [at(0), "0x7654000", 1],
        [at(2), "0x7654000", 1],
        [at(4), "0x40000000000000", 1],
      ] as [string, string, number][],
    };
    const recorded = { ...PROGRAMS, placement };
    for (const technique of TECHNIQUES) {
      const placed = play(records, technique, [], recorded);
      expect(broken(placed)).toEqual([]);
      expect(placed.guestDigest).not.toBe(play(records, technique).guestDigest);
      expect(placed.guestDigest).toBe(play(records, "native", [], recorded).guestDigest);
    }
  });
});

describe("a page whose place is known", () => {
  // Right where frames would be taken from for anything else, in an order that is not the program's.
  const frame = (i: number) => 0x180n + BigInt((i * 37) % 64);
  const at = (i: number) => BigInt(DATA) + BigInt(i) * 4096n;
  const hex = (n: bigint) => `0x${n.toString(16)}`;
  const pages = Array.from({ length: 64 }, (_, i) => i);

  it("lies there, whatever else was given memory before", () => {
    const runs = pages.map((i): [string, string, number] => [hex(at(i)), hex(frame(i) << 12n), 1]);
    const recorded = { ...PROGRAMS, placement: { pageSize: "4k" as const, runs } };
    const machine = machineFor("native", [], recorded);
    const others = 300;
    machine.feed(
      stream((e) => {
        e.fetch(0x40_0000, 4);
        for (let i = 0; i < others; i++) e.write(0x7f00_0000_0000n + BigInt(i) * 4096n, 8);
        for (const i of pages) e.write(at(i), 8);
      }),
    );
    for (const i of pages)
      expect(machine.explain(at(i)).accesses[0]!.translation!.gpa).toBe(hex(frame(i) << 12n));
    for (let i = 0; i < others; i++) {
      const { gpa } = machine.explain(0x7f00_0000_0000n + BigInt(i) * 4096n).accesses[0]!.translation!;
      expect(runs.map(([, place]) => place)).not.toContain(gpa);
    }
  });

  it("of 2 MiB lies there, and so do its parts where the guest has small pages", () => {
    const runs: [string, string, number][] = [[hex(at(0)), "0x8000000", 1]];
    const recorded = { ...PROGRAMS, placement: { pageSize: "2m" as const, runs } };
    for (const [policy, size] of [
      ["2m", "2m"],
      ["4k", "4k"],
    ]) {
      const machine = machineFor("native", [`kernel.pages=${policy}`], recorded);
      machine.feed(stream((e) => e.write(at(5), 8)));
      expect(machine.explain(at(5)).accesses[0]!.translation).toMatchObject({
        gpa: "0x8005000",
        guestSize: size,
      });
    }
  });
});

describe("guest-physical addresses", () => {
  it("are mapped each to itself, before the trace begins", () => {
    const records = stream((e) => e.read(0x1234_5678, 8).write(0x7_0000_1000, 8).fetch(0xf_fff0, 4));
    const recorded = { tables: false, addresses: "guest-physical" as const };
    for (const technique of TECHNIQUES) {
      const result = play(records, technique, ["kernel.forks=1000000"], recorded);
      expect(broken(result)).toEqual([]);
      expect(result.counters.guestPageFaults).toBe(0);
      expect(result.counters.kernelAccesses).toBe(0);
      expect(result.counters.kernelPages4k).toBe(3);
      expect(result.guestDigest).toBe(play(records, "native", [], recorded).guestDigest);
    }
  });
});

describe("what cannot be played", () => {
  it.each([
    ["an address of the kernel", 0xffff_8880_0000_1000n],
    ["an address that is not canonical", 0x1234_0000_0000_0000n],
    ["an address above 47 bits on 4 levels", 0x8000_0000_0000n],
  ])("is named: %s", (_, address) => {
    const result = play(
      stream((e) => e.read(DATA, 8).read(address, 8)),
      "ept",
    );
    expect(result.oracle.mismatches).toBe(1);
    expect(result.oracle.first).toContain("is at no address of a program with page tables of 4 levels");
  });

  it("is not an address of 56 bits on 5 levels", () => {
    const records = stream((e) => e.read(0x80_8000_0000_0000n, 8));
    expect(play(records, "ept", ["kernel.levels=5"]).oracle.mismatches).toBe(0);
  });
});

describe("the result", () => {
  async function trace(recorded: object) {
    const writer = new NwtWriter({ fetch: "insn", recorded: { ...recorded } });
    const parts = [
      writer.start(),
      ...(await writer.push(program(500, 20, 2, 100))),
      ...(await writer.finish()),
    ];
    return openTrace(bytesInMemory("t.nwt", new Uint8Array(Buffer.concat(parts))));
  }
  const config = resolveConfig({ set: ["kernel.pages=thp"] });

  it("says what was recorded and what was played", async () => {
    const { trace: said, laws } = await compare(await trace(PROGRAMS), [
      config,
      { ...config, technique: "shadow" },
    ]);
    expect(said.recorded).toEqual(PROGRAMS);
    expect(said.played).toMatchObject({
      what: "The trace holds no page tables: a stand-in for the Linux kernel played them (transparent huge pages, 4 levels, paging on demand).",
      policy: { plays: "programs", pages: "thp", seed: 1 },
      ramMiB: 16_384,
      processes: 2,
      switches: 4,
      pages2m: 2,
      pages4k: 32,
      pageFaults: 4,
    });
    expect(laws.every((law) => law.holds)).toBe(true);
  });

  it("has nothing played where the trace has page tables, whatever was asked for", () => {
    const asked = resolveConfig({ set: ["kernel.plays=programs"] });
    expect(withKernel(asked, {}).kernel.plays).toBe("none");
    expect(withKernel(asked, { tables: true }).kernel.plays).toBe("none");
  });

  it("names guest-physical addresses", async () => {
    const { trace: said } = await compare(await trace({ tables: false, addresses: "guest-physical" }), [
      config,
    ]);
    expect(said.played?.what).toContain("holds guest-physical addresses");
  });
});
