import { describe, expect, it } from "vitest";
import { Access, createMmu, Kind, MemoryType, Right, Status } from "../src/embed/index.js";
import { A, CR4, D, G, Guest, MIB, P, PS, RW, US, XD } from "./embed/guest.js";

const VA = 0x7f12_3456_7000n;
const USER_ALL = Right.userRead | Right.userFetch | Right.read | Right.fetch | Right.implicitRead;
const WRITES = Right.userWrite | Right.write | Right.implicitWrite;

describe.each([
  ["a WebAssembly memory", () => new WebAssembly.Memory({ initial: 320 })],
  ["an ArrayBuffer", () => new ArrayBuffer(320 * 65536)],
  ["a view", () => new Uint8Array(new ArrayBuffer(321 * 65536), 8)],
  ["a SharedArrayBuffer", () => new SharedArrayBuffer(320 * 65536)],
] as const)("guest RAM in %s", (_, memory) => {
  it("is walked where it is, and its flags are set there", () => {
    const g = new Guest({ memory: memory() }, 4 * MIB);
    const root = g.table();
    const leaf = g.map(root, VA, 0x5000);
    g.start(root);
    expect(g.go(VA + 0x123n, Access.read | Access.user)).toBe(Status.ok);
    const { mmu } = g;
    expect(mmu.physical).toBe(0x5123);
    expect(mmu.offset).toBe(4 * MIB + 0x5123);
    expect(mmu.kind).toBe(Kind.ram);
    expect(mmu.memoryType).toBe(MemoryType.writeBack);
    expect([mmu.pageShift, mmu.stage1Shift, mmu.global]).toEqual([12, 12, false]);
    expect(mmu.cycles).toBeGreaterThan(0);
    expect(g.read(leaf)).toBe(0x5000n | P | RW | US | A);
    expect(mmu.rights).toBe(USER_ALL);

    expect(g.go(VA, Access.write | Access.user)).toBe(Status.ok);
    expect(g.read(leaf)).toBe(0x5000n | P | RW | US | A | D);
    expect(mmu.rights).toBe(USER_ALL | WRITES);
    expect(g.go(VA, Access.read)).toBe(Status.ok);
    expect(mmu.cycles).toBe(0);
  });
});

it("a fault comes with vector, error code and address", () => {
  const g = new Guest();
  const root = g.table();
  g.map(root, VA, 0x5000, P);
  g.start(root);
  const { mmu } = g;
  expect(g.go(VA + 8n, Access.write | Access.user)).toBe(Status.pageFault);
  expect([mmu.vectorOf(Status.pageFault), mmu.errorCode, mmu.faultAddress]).toEqual([14, 7, VA + 8n]);
  expect([mmu.faultLow, mmu.faultHigh]).toEqual([0x3456_7008, 0x7f12]);
  expect(g.go(0x8000_0000_0000n, Access.read)).toBe(Status.generalProtection);
  expect(mmu.vectorOf(Status.generalProtection)).toBe(13);
  expect(g.go(VA + 0x1000n, Access.fetch)).toBe(Status.pageFault);
  expect(mmu.errorCode).toBe(0x10);
});

describe.each([
  ["native", {}],
  ["ept", { hypervisor: "model" }],
  ["npt", { hypervisor: "model" }],
  ["shadow", {}],
] as const)("a non-canonical address under %s", (technique, more) => {
  it("is refused before any TLB is asked and any walk begins", () => {
    const g = new Guest({ technique, ...more });
    const root = g.table();
    g.map(root, VA, 0x5000);
    g.start(root);
    expect(g.go(VA, Access.read | Access.user)).toBe(Status.ok);
    const before = g.mmu.counters();
    const structures = g.mmu.structures();
    for (const bit of [47n, 48n, 56n, 57n, 62n, 63n]) {
      expect([bit, g.go(VA ^ (1n << bit), Access.read | Access.user)]).toEqual([
        bit,
        Status.generalProtection,
      ]);
      const [low, high] = [Number(VA & 0xffff_ffffn), Number((VA ^ (1n << bit)) >> 32n)];
      expect(g.mmu.probe(low, high, Access.read | Access.user)).toBe(Status.generalProtection);
    }
    const after = g.mmu.counters();
    expect(g.mmu.structures()).toEqual(structures);
    expect([after.nonCanonical, after.accesses! - before.accesses!]).toEqual([6, 6]);
    for (const name of ["walks", "walksFaulted", "tableReferences", "rightsMisses", "exits", "pf_taken"])
      expect([name, after[name]]).toEqual([name, before[name]]);
    expect(g.mmu.result().laws.filter((law) => !law.holds)).toEqual([]);
  });
});

it("without 64-bit paging only the lower half of an address counts", () => {
  const g = new Guest();
  const { mmu } = g;
  for (const high of [0, 1, 0x8000_0000, 0xffff_ffff]) {
    expect(mmu.translate(0x5000, high, Access.write)).toBe(Status.ok);
    expect(mmu.physical).toBe(0x5000);
    expect(mmu.explain((BigInt(high) << 32n) | 0x5000n).accesses[0]!.translation!.hpa).toBe("0x5000");
  }
});

it("rights that may be kept follow WP, SMEP, SMAP, AC, the keys and NX", () => {
  const g = new Guest();
  const root = g.table();
  const user = P | RW | US | A | D;
  g.map(root, VA, 0x5000, user | (5n << 59n));
  g.map(root, VA + 0x1000n, 0x6000, P | A | D | US);
  g.map(root, VA + 0x2000n, 0x7000, P | RW | A | D | XD);
  g.start(root);
  const rights = (va: bigint) => {
    expect(g.go(va, Access.read | (va === VA + 0x2000n ? 0 : Access.user))).toBe(Status.ok);
    return g.mmu.rights;
  };
  expect(rights(VA)).toBe(USER_ALL | WRITES);
  expect(rights(VA + 0x1000n)).toBe(USER_ALL);
  expect(rights(VA + 0x2000n)).toBe(Right.read | Right.write | Right.implicitRead | Right.implicitWrite);

  g.mmu.setCr0(0x8000_0001n);
  expect(rights(VA + 0x1000n)).toBe(USER_ALL | Right.write | Right.implicitWrite);
  g.mmu.setCr0(0x8001_0001n);

  const [SMEP, SMAP, PKE] = [1n << 20n, 1n << 21n, 1n << 22n];
  g.mmu.setCr4(CR4 | SMEP | SMAP);
  const userOnly = Right.userRead | Right.userWrite | Right.userFetch;
  expect(rights(VA)).toBe(userOnly);
  g.mmu.setAc(true);
  expect(rights(VA)).toBe(userOnly | Right.read | Right.write);
  g.mmu.setAc(false);

  g.mmu.setCr4(CR4 | PKE);
  g.mmu.setPkru(2 << 10);
  /* With CR0.WP the key's write-disable binds the supervisor too. */
  expect(rights(VA)).toBe(USER_ALL);
  g.mmu.setPkru(0);
  expect(rights(VA)).toBe(USER_ALL | WRITES);
});

it("a probe answers as a translation would, and does nothing", () => {
  const g = new Guest();
  const root = g.table();
  const leaf = g.map(root, VA, 0x5000);
  g.start(root);
  const ram = () => Buffer.from(g.view.buffer as ArrayBuffer, 0, 16 * MIB);
  const before = [g.mmu.counters(), g.mmu.structures()];
  const content = Buffer.from(ram());
  for (const access of [0, 1, 2, 4, 5, 6, 8, 9]) {
    expect(g.probe(VA + 0x10n, access)).toBe(Status.ok);
    expect(g.mmu.physical).toBe(0x5010);
  }
  expect(g.probe(VA + 0x1000n, Access.write)).toBe(Status.pageFault);
  expect(g.mmu.errorCode).toBe(2);
  expect([g.mmu.counters(), g.mmu.structures()]).toEqual(before);
  expect(ram().equals(content)).toBe(true);
  expect(g.read(leaf)).toBe(0x5000n | P | RW | US);
  /* What the TLB holds is answered though the tables say otherwise by now. */
  expect(g.go(VA, Access.read)).toBe(Status.ok);
  g.write(leaf, 0n);
  expect(g.probe(VA, Access.read)).toBe(Status.ok);
  g.mmu.invlpg(Number(VA & 0xffff_ffffn), Number(VA >> 32n));
  expect(g.probe(VA, Access.read)).toBe(Status.pageFault);
});

it("large and global pages are told as such", () => {
  const g = new Guest();
  const root = g.table();
  g.map(root, VA & ~0x1f_ffffn, 0x20_0000, P | RW | US | G, 2);
  g.map(root, 0x40_0000_0000n, 0, P | RW, 3);
  g.start(root);
  expect(g.go(VA, Access.read)).toBe(Status.ok);
  expect(g.mmu.physical).toBe(0x20_0000 + Number(VA & 0x1f_ffffn));
  expect([g.mmu.stage1Shift, g.mmu.global]).toEqual([21, true]);
  expect(g.go(0x40_0012_3456n, Access.read)).toBe(Status.ok);
  expect([g.mmu.stage1Shift, g.mmu.physical]).toEqual([30, 0x12_3456]);
});

it("memory types come from PAT, and from the kind of memory", () => {
  const g = new Guest({ physical: { kind: () => Kind.mmio } });
  const root = g.table();
  const flags = P | RW | A | D;
  const [PWT, PCD, PAT] = [8n, 16n, 0x80n];
  g.map(root, VA, 0x5000, flags | PWT);
  g.map(root, VA + 0x1000n, 0x5000, flags | PCD | PWT);
  g.map(root, VA + 0x2000n, 0xfee0_0000, flags);
  g.map(root, VA + 0x3000n, 0x6000, flags | PAT);
  g.map(root, VA + 0x4000n, 0xfee0_1000, flags | PAT);
  g.start(root);
  const type = (va: bigint) => {
    expect(g.go(va, Access.read)).toBe(Status.ok);
    return g.mmu.memoryType;
  };
  expect(type(VA)).toBe(MemoryType.writeThrough);
  expect(type(VA + 0x1000n)).toBe(MemoryType.uncacheable);
  expect(type(VA + 0x2000n)).toBe(MemoryType.uncacheable);
  expect(g.mmu.kind).toBe(Kind.mmio);
  expect(g.mmu.offset).toBe(-1);
  expect(type(VA + 0x3000n)).toBe(MemoryType.writeBack);
  g.mmu.setPat(0x0007_0401_0007_0406n);
  expect(type(VA + 0x3000n)).toBe(MemoryType.writeBack);
  g.mmu.flush();
  expect(type(VA + 0x3000n)).toBe(MemoryType.writeCombining);
  expect(type(VA + 0x4000n)).toBe(MemoryType.writeCombining);
});

describe("the memory type in two dimensions", () => {
  const [PWT, PCD, PAT] = [8n, 16n, 0x80n];
  const { uncacheable, writeCombining, writeThrough, writeBack } = MemoryType;
  /** A guest with a page of each of `guest` types, whose second stage maps them with `second`'s bits. */
  const types = (technique: "ept" | "npt", guest: readonly bigint[], second: bigint) => {
    const g = new Guest({ technique });
    const root = g.table();
    const flags = P | RW | A | D;
    for (const [i, bits] of guest.entries()) g.map(root, VA + 4096n * BigInt(i), 0x5000, flags | bits);
    const host = g.table();
    const table = technique === "ept" ? 7n : P | RW | US;
    const leaf = (table | (technique === "ept" ? 6n << 3n : 0n)) & 0xfffn;
    const [pdpt, pd, pt] = [g.table(), g.table(), g.table()];
    g.write(host, BigInt(pdpt) | table);
    g.write(pdpt, BigInt(pd) | table);
    for (let i = 1; i < 8; ++i) g.write(pd + 8 * i, BigInt(i << 21) | leaf | PS);
    g.write(pd, BigInt(pt) | table);
    for (let i = 0; i < 512; ++i) g.write(pt + 8 * i, BigInt(i << 12) | leaf);
    g.write(pt + 8 * 5, 0x5000n | table | second);
    if (technique === "ept") expect(g.mmu.setEptp(BigInt(host) | 0x1en)).toBe(Status.ok);
    else expect(g.mmu.setNcr3(host)).toBe(Status.ok);
    g.start(root);
    return (prepare: (mmu: Guest["mmu"]) => void = () => {}) => {
      prepare(g.mmu);
      g.mmu.flush();
      return guest.map((_, i) => {
        expect(g.go(VA + 4096n * BigInt(i), Access.read)).toBe(Status.ok);
        return g.mmu.memoryType;
      });
    };
  };
  const guest = [0n, PWT, PCD, PCD | PWT];

  it("is EPT's with the guest's, or EPT's alone", () => {
    expect(types("ept", guest, 6n << 3n)()).toEqual([writeBack, writeThrough, uncacheable, uncacheable]);
    expect(types("ept", guest, 0n)()).toEqual([uncacheable, uncacheable, uncacheable, uncacheable]);
    expect(types("ept", guest, (4n << 3n) | (1n << 6n))()).toEqual(Array(4).fill(writeThrough));
  });

  it("is the guest's where NPT says write-back, else what both allow", () => {
    const plain = [writeBack, writeThrough, uncacheable, uncacheable];
    expect(types("npt", guest, 0n)()).toEqual(plain);
    expect(types("npt", guest, PWT)()).toEqual([writeThrough, writeThrough, uncacheable, uncacheable]);
    expect(types("npt", guest, PCD | PWT)()).toEqual(Array(4).fill(uncacheable));
    /* UC- in both gives way to nothing here, as the MTRRs say write-back. */
    expect(types("npt", guest, PAT)()).toEqual(plain);
  });

  it("follows both PATs, each by its own instruction", () => {
    const g = new Guest({ technique: "npt" });
    const pat = 0x0007_0406_0007_0401n;
    expect([g.mmu.setPat(pat), g.mmu.setHostPat(pat)]).toEqual([Status.ok, Status.ok]);
    for (const reserved of [2n, 3n, 8n, 0x86n, 2n << 56n])
      expect([g.mmu.setPat(reserved), g.mmu.setHostPat(reserved)]).toEqual([
        Status.generalProtection,
        Status.generalProtection,
      ]);
    const both = types("npt", [0n, PWT], 0n);
    expect(both()).toEqual([writeBack, writeThrough]);
    expect(both((mmu) => mmu.setPat(pat))).toEqual([writeCombining, writeThrough]);
    expect(both((mmu) => mmu.setHostPat(pat))).toEqual([writeCombining, uncacheable]);
    expect(both((mmu) => mmu.setPat(0x0007_0406_0007_0406n))).toEqual([writeCombining, uncacheable]);
    expect(() => new Guest().mmu.setHostPat(pat)).toThrow(
      /^setHostPat is for a host that is the hypervisor of npt/,
    );
  });

  it.each(["ept", "npt", "shadow"] as const)(
    "is write-back for plain RAM under the model's %s",
    (technique) => {
      const g = new Guest({ technique, hypervisor: "model" });
      const root = g.table();
      g.map(root, VA, 0x5000);
      g.start(root);
      expect(g.go(VA, Access.read | Access.user)).toBe(Status.ok);
      expect(g.mmu.memoryType).toBe(writeBack);
    },
  );
});

it("host functions serve tables outside of RAM, with the reason, and may refuse an exchange", () => {
  const far = new Map<number, bigint>();
  const asked: string[] = [];
  let refusals = 2;
  const g = new Guest({
    physical: {
      kind: (at) => (far.has(at & ~7) ? Kind.ram : Kind.none),
      read: (at, bytes, reason) => {
        asked.push(`read ${at.toString(16)} ${bytes} ${reason}`);
        return far.get(at) ?? 0n;
      },
      compareExchange: (at, bytes, expected, value, reason) => {
        asked.push(
          `exchange ${at.toString(16)} ${bytes} ${expected.toString(16)} ${value.toString(16)} ${reason}`,
        );
        if (refusals-- > 0) return false;
        far.set(at, value);
        return true;
      },
    },
  });
  const root = g.table();
  const FAR = 0x1_0000_0000;
  const pml4 = root + 8 * Number((VA >> 39n) & 0x1ffn);
  g.map(root, VA, 0x5000);
  const pdpt = Number(g.read(pml4) & ~0xfffn);
  const at = FAR + 8 * Number((VA >> 30n) & 0x1ffn);
  far.set(at, g.read(pdpt + (at - FAR)));
  g.write(pml4, BigInt(FAR) | P | RW | US);
  g.start(root);
  expect(g.go(VA, Access.read)).toBe(Status.ok);
  const entry = far.get(at)! & ~A;
  const name = at.toString(16);
  const once = [
    `read ${name} 8 19`,
    `exchange ${name} 8 ${entry.toString(16)} ${(entry | A).toString(16)} 19`,
  ];
  expect(asked).toEqual([...once, ...once, ...once]);
  expect(far.get(at)).toBe(entry | A);

  refusals = Number.POSITIVE_INFINITY;
  far.set(at, entry);
  g.mmu.flush();
  expect(g.go(VA, Access.read)).toBe(Status.contended);
});

it("options that make no sense are refused in a sentence", () => {
  const memory = new WebAssembly.Memory({ initial: 16, maximum: 16 });
  const refused = (options: object) => {
    try {
      createMmu({ memory, ram: { base: 0, size: MIB }, ...options } as never);
    } catch (error) {
      return (error as Error).message;
    }
    return "accepted";
  };
  expect(refused({})).toMatch(/cannot grow by \d+ pages/);
  expect(refused({ ram: { base: 0, size: 17 * 65536 } })).toMatch(
    /ends at byte 1114112 of the memory, which has 1048576/,
  );
  expect(refused({ ram: { size: 100 } })).toMatch(/^ram.size is 100; it must be a multiple of 4096 bytes$/);
  expect(
    refused({
      ram: [
        { address: 0, base: 0, size: 8192 },
        { address: 4096, base: 0, size: 4096 },
      ],
    }),
  ).toMatch(/overlap/);
  expect(refused({ technique: "hybrid" })).toMatch(/technique "hybrid" is not known/);
  expect(refused({ technique: "shadow", hypervisor: "host" })).toMatch(/shadow paging has the model's/);
  expect(refused({ features: { wings: true } })).toMatch(/features.wings is not known/);
  expect(refused({ cpu: "8086" })).toMatch(/8086/);
  expect(refused({ technique: "ept", record: true, memory: undefined })).toMatch(
    /a trace holds what the guest sees/,
  );
});

it("a core beyond the first 2 GiB of a memory works as any other", async () => {
  const base = 2 ** 31;
  const fed: number[] = [];
  const mmu = createMmu({
    ram: { base, size: MIB },
    record: true,
    onInvalidate: ({ kind }) => fed.push(kind),
  });
  const view = new DataView(mmu.memory.buffer);
  const put = (at: number, value: bigint) => view.setBigUint64(base + at, value, true);
  for (const [at, value] of [
    [0x1000, 0x2007n],
    [0x2000, 0x3007n],
    [0x3010, 0x4007n],
    [0x4000, 0x5007n],
  ] as const)
    put(at, value);
  mmu.setCodeLong(false);
  const loads = [mmu.setCr4(0x20), mmu.setCr3(0x1000), mmu.setEfer(0x900), mmu.setCr0(0x8001_0001)];
  expect(loads).toEqual([0, 0, 0, 0]);
  mmu.setCodeLong(true);
  expect(mmu.translate(0x40_0008, 0, Access.write, 8)).toBe(Status.ok);
  expect([mmu.offset, mmu.physicalOf(0x40_0010, 0, Access.read)]).toEqual([base + 0x5008, 0x5010]);
  expect(view.getBigUint64(base + 0x4000, true)).toBe(0x5067n);
  expect(fed.length).toBeGreaterThan(0);
  expect(mmu.explain(0x40_0000).accesses[0]!.translation!.hpa).toBe("0x5000");
  expect(mmu.state().cr3).toBe(0x1000n);
  expect([mmu.counters().writes, mmu.counters().reads, mmu.batch().length]).toEqual([
    1,
    1,
    8 * mmu.batchMost,
  ]);
  expect(mmu.exports.embedTlbArray(0, 0)).toBeGreaterThan(base);
  expect(mmu.result().laws.filter(({ holds }) => !holds)).toEqual([]);
  expect((await mmu.trace()).length).toBeGreaterThan(300);
});
