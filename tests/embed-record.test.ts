import { describe, expect, it } from "vitest";
import { Access, Status } from "../src/embed/index.js";
import { bytesOfBlob, compare, openTrace, resolveConfig, techniqueKeys } from "../src/index.js";
import { checkTrace } from "../src/trace/tools/check.js";
import { A, D, G, Guest, P, RW, US } from "./embed/guest.js";

const [R, W, F, U] = [Access.read, Access.write, Access.fetch, Access.user];
const CODE = 0x40_0000n;
const DATA = 0x7f00_0000_0000n;
const KERNEL = 0xffff_8000_0000_0000n;
const SECOND_ROOT = 0x30_0000;

/** A guest that runs at two privileges in two address spaces, edits its tables, faults, and flushes. */
function run(g: Guest, store: (va: bigint, value: bigint) => void): void {
  const { mmu } = g;
  const fine = (va: bigint, access: number, bytes = 1) =>
    expect([va, g.go(va, access, bytes)]).toEqual([va, Status.ok]);
  for (let round = 0; round < 40; ++round) {
    mmu.instruction(Number(CODE), 0, 8);
    for (let i = 0n; i < 16n; ++i) {
      fine(CODE + 4n * i, F | U, 4);
      fine(DATA + 4096n * (i % 8n) + 8n * i, (i & 1n ? W : R) | U, 8);
    }
    /* An access that crosses a page. */
    fine(DATA + 4092n, R | U, 8);
    fine(DATA + 4096n, R | U, 0);
    fine(KERNEL + 0x10n, F, 3);
    /* The kernel points a page elsewhere. */
    const leaf = BigInt(LEAF.at);
    store(KERNEL + leaf, BigInt(0x50_0000 + 4096 * (round % 4)) | P | RW | US | A | D);
    mmu.invlpg(Number(DATA & 0xffff_ffffn), Number(DATA >> 32n));
    fine(DATA, R | U, 8);
    /* A page fault at a page that is not there yet, which the kernel then maps. */
    const late = DATA + 0x20_0000n + 4096n * BigInt(round);
    expect(g.go(late, W | U, 4)).toBe(Status.pageFault);
    store(KERNEL + BigInt(LATE.at + 8 * round), BigInt(0x60_0000 + 4096 * round) | P | RW | US);
    fine(late, W | U, 4);
    if (round % 5 === 4) {
      mmu.setCr3(BigInt(round % 10 === 4 ? SECOND_ROOT : FIRST.root));
      fine(KERNEL, R, 8);
      if (round % 10 === 4) {
        fine(DATA, R | U, 1);
        mmu.setCr3(BigInt(FIRST.root));
      }
    }
    if (round === 10) expect(g.go(1n << 50n, W | U, 8)).toBe(Status.generalProtection);
    if (round === 20) mmu.setCr4(0x20n);
    if (round === 21) mmu.setCr4(0xa0n);
  }
}

const FIRST = { root: 0 };
const LEAF = { at: 0 };
const LATE = { at: 0 };

function build(g: Guest): void {
  const root = g.table();
  FIRST.root = root;
  g.map(root, CODE, 0x40_0000);
  for (let i = 0; i < 8; ++i) {
    const at = g.map(root, DATA + 4096n * BigInt(i), 0x50_0000 + 4096 * i);
    if (i === 0) LEAF.at = at;
  }
  LATE.at = g.map(root, DATA + 0x20_0000n, 0, 0n);
  for (let i = 0; i < 8; ++i)
    g.map(root, KERNEL + 0x20_0000n * BigInt(i), 0x20_0000 * i, P | RW | A | D | G, 2);
  g.write(SECOND_ROOT + 8 * 256, g.read(root + 8 * 256));
  g.map(SECOND_ROOT, DATA, 0x70_0000);
}

describe.each([
  ["native", {}],
  ["ept", { hypervisor: "model" }],
  ["npt", { hypervisor: "model" }],
  ["shadow", {}],
] as const)("a guest under %s", (technique, more) => {
  it("is recorded in one option, and its trace replays without a mismatch in every machine", async () => {
    const g = new Guest({ technique, ...more, record: { guest: "a test" } });
    build(g);
    g.start(FIRST.root);
    run(g, (va, value) => {
      const status = g.go(va, W, 8);
      expect([Status.ok, Status.emulated]).toContain(status);
      g.write(g.mmu.physical, value);
      if (status === Status.emulated) g.mmu.stored(g.mmu.physical, 8);
    });
    const file = await g.mmu.trace();
    const trace = await openTrace(bytesOfBlob("guest.nwt", new Blob([file as Uint8Array<ArrayBuffer>])));
    const machines = (["native", "shadow", "ept", "npt"] as const).map((name) =>
      resolveConfig({
        options: Object.entries(techniqueKeys(name)).map(([path, value]) => ({
          option: "test",
          path,
          value,
        })),
      }),
    );
    const result = await compare(trace, machines);
    expect(result.trace.recorded).toMatchObject({ guest: "a test", ramMiB: 16 });
    for (const machine of result.machines) {
      expect(machine.oracle).toMatchObject({ mismatches: 0, unknown: 0 });
      expect(machine.laws.filter((law) => !law.holds)).toEqual([]);
      expect(machine.counters.faultsConfirmed).toBe(40);
      expect(machine.counters.tableWrites).toBe(80);
      expect(machine.counters.guestExceptions).toBe(1);
    }
    expect(result.laws.every((law) => law.holds)).toBe(true);

    /* What the host saw is what the same machine replays. */
    const live = g.mmu.result();
    expect(live.laws.filter((law) => !law.holds)).toEqual([]);
    const its = result.machines.find((m) => (m.format ?? m.technique) === technique)!;
    for (const name of ["fetches", "writes", "reads"] as const)
      expect([name, its.counters[name]]).toEqual([
        name,
        live.counters[name]! - (name === "reads" ? 40 : name === "writes" ? 41 : 0),
      ]);
    for (const name of ["walks", "walksFaulted", "walksRetried", "tableReferences"] as const)
      expect([name, its.counters[name]]).toEqual([name, live.counters[name]]);
    expect([live.counters.nonCanonical, its.counters.nonCanonical]).toEqual([1, 0]);
  });
});

it("exits of the model's hypervisor are counted as in a replay", () => {
  const g = new Guest({ technique: "shadow", set: ["shadow.profile=textbook"] });
  build(g);
  g.start(FIRST.root);
  expect(g.go(DATA, R | U)).toBe(Status.ok);
  const exits = () => Object.fromEntries(g.mmu.result().exits.map((e) => [e.reason, e.count]));
  const first = exits();
  expect(first.page_fault).toBeGreaterThan(0);
  /* A store to a table traps, and the host makes it. */
  expect(g.go(KERNEL + BigInt(LEAF.at), W, 8)).toBe(Status.emulated);
  expect(g.mmu.physical).toBe(LEAF.at);
  g.write(LEAF.at, 0x55_0000n | P | RW | US);
  g.mmu.stored(LEAF.at, 8);
  expect(exits().page_fault).toBe(first.page_fault! + 1);
  expect(g.go(DATA, R | U)).toBe(Status.ok);
  g.mmu.invlpg(0, 0x7f00);
  g.mmu.setCr3(BigInt(FIRST.root));
  g.mmu.exits("cpuid");
  const now = exits();
  expect([now.invlpg, now.write_cr3, now.cpuid]).toEqual([1, 1, 1]);
});

it("records of the host's own are replayed into the same figures", () => {
  const g = new Guest();
  build(g);
  g.start(FIRST.root);
  expect(g.go(CODE, F | U)).toBe(Status.ok);
  /* Two fetches of 4 bytes at 0x400000 and after it, as traces/FORMAT.md codes them, and a MODE of CPL 3 before. */
  g.mmu.replay(Uint8Array.from([0x17, 3, 0x10, 0x80, 0x80, 0x80, 0x04, 0x50]));
  const { counters, laws } = g.mmu.result();
  expect([counters.fetches, counters.accesses]).toEqual([3, 3]);
  expect(laws.filter((law) => !law.holds)).toEqual([]);
  expect(() => g.mmu.replay(new Uint8Array(20_000).fill(0xff))).toThrow(/record 3 at byte 8 .* is of a type/);
});

it("a batch answers until the first that is not ok", () => {
  const g = new Guest();
  build(g);
  g.start(FIRST.root);
  const words = g.mmu.batch();
  const addresses = [CODE, DATA, DATA + 4096n, 0x1234_5000n, DATA];
  for (const [i, va] of addresses.entries()) {
    words[8 * i] = Number(va & 0xffff_ffffn);
    words[8 * i + 1] = Number(va >> 32n);
    words[8 * i + 2] = R | U;
  }
  expect(g.mmu.translateBatch(0, 5)).toBe(3);
  const after = g.mmu.batch();
  expect([0, 1, 2].map((i) => after[8 * i + 4])).toEqual([0x40_0000, 0x50_0000, 0x50_1000]);
  expect([after[8 * 3 + 3], after[8 * 3 + 6]]).toEqual([Status.pageFault, 4]);
  expect(g.mmu.translateBatch(4, 5)).toBe(5);
  expect(after[8 * 4 + 4]).toBe(0x50_0000);
});

describe("what a recording says of tables", () => {
  const PD_SLOT = 0n;
  /** A guest whose page DATA has tables of its own below the root, and its kernel's window. */
  function recorded() {
    const g = new Guest({ record: true });
    const root = g.table();
    g.map(root, CODE, 0x40_0000);
    const leaf = g.map(root, DATA, 0x50_0000);
    for (let i = 0; i < 8; ++i)
      g.map(root, KERNEL + 0x20_0000n * BigInt(i), 0x20_0000 * i, P | RW | A | D | G, 2);
    g.start(root);
    const table = leaf - (leaf % 4096);
    const directory = table - 4096;
    expect(g.read(directory + 8 * Number(PD_SLOT)) & ~0xfffn).toBe(BigInt(table));
    const store = (at: number, value: bigint) => {
      expect(g.go(KERNEL + BigInt(at), W, 8)).toBe(Status.ok);
      g.write(at, value);
    };
    const read = () => expect(g.go(DATA, R | U, 8)).toBe(Status.ok);
    return { g, table, directory, store, read };
  }
  const opened = async (g: Guest) =>
    openTrace(bytesOfBlob("guest.nwt", new Blob([(await g.mmu.trace()) as Uint8Array<ArrayBuffer>])));

  it("a table that nothing leads to is dropped, and told anew when it is one again", async () => {
    const { g, table, directory, store, read } = recorded();
    read();
    const entry = g.read(directory);
    store(directory, 0n);
    g.mmu.flush();
    /* Data for a while: no store of an entry. */
    store(table + 8, 0x1234n);
    store(table + 8, 0n);
    store(directory, entry);
    read();
    const trace = await opened(g);
    expect(await checkTrace(trace)).toMatchObject({ fault: undefined, stale: 0, withoutTruth: 0 });
    const { machines } = await compare(trace, [resolveConfig({ set: ["technique=native"] })]);
    const { counters, oracle } = machines[0]!;
    expect([counters.tablePagesDropped, counters.tableWrites, counters.guestInvpcid]).toEqual([1, 2, 1]);
    expect(oracle).toMatchObject({ mismatches: 0, unknown: 0 });
  });

  it("one that another entry still leads to stays", async () => {
    const { g, table, directory, store, read } = recorded();
    store(directory + 8 * 100, g.read(directory));
    read();
    store(directory, 0n);
    store(table + 8, 0x1234_5000n | P);
    const trace = await opened(g);
    const { machines } = await compare(trace, [resolveConfig({ set: ["technique=native"] })]);
    expect([machines[0]!.counters.tablePagesDropped, machines[0]!.counters.tableWrites]).toEqual([0, 3]);
  });

  it("refuses what a trace cannot say, before it is done", () => {
    const { g } = recorded();
    const before = g.mmu.counters();
    expect(() => g.go(DATA, R | U | Access.shadowStack)).toThrow(
      /^a trace has no shadow-stack accesses; record a/,
    );
    expect(() => g.mmu.setPkrs(4)).toThrow(
      /^a trace has no IA32_PKRS; record a guest that leaves CR4.PKS clear$/,
    );
    expect(() => g.mmu.setState({ pkrs: 4n })).toThrow(/^a trace has no IA32_PKRS/);
    expect(() => g.mmu.replay(new Uint8Array())).toThrow(/^a recorder must see each event/);
    expect(() => g.mmu.translateBatch(0, 1)).toThrow(/^a recorder must see each store/);
    expect([g.mmu.setPkrs(0), g.mmu.state().pkrs]).toEqual([Status.ok, 0n]);
    expect(g.mmu.counters()).toEqual(before);
  });
});
