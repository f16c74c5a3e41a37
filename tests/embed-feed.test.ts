import { expect, it } from "vitest";
import { FeedReader } from "../src/embed/feed.js";
import { Access, Feed, type Invalidation, Status } from "../src/embed/index.js";
import { A, D, G, Guest, P, RW, US, XD } from "./embed/guest.js";
import { runs, staleUses, TIMEOUT } from "./embed/histories.js";
import { HostCache } from "./embed/host-cache.js";
import { CouldBeCached, type Possible, permits } from "./tlb/could-be-cached.js";

/*
 * A host that keeps every translation it is given, and drops only what the feed says, must never use one that the
 * architecture does not allow: tests/tlb/could-be-cached.ts, which knows nothing of the core, is the judge.
 */

const CR4 = { PGE: 1n << 7n, PCIDE: 1n << 17n, SMEP: 1n << 20n, SMAP: 1n << 21n, PKE: 1n << 22n };
const CR0_WP = 1n << 16n;
const NO_FLUSH = 1n << 63n;

/** Tables of the guest: two roots, and below them few tables, so that histories meet the same again and again. */
const ROOTS = [0x10_0000n, 0x10_1000n] as const;
const TABLES = [0x11_0000n, 0x11_1000n, 0x11_2000n];
const PAGES = [0x20_0000n, 0x20_1000n, 0x40_0000n, 0x60_0000n];
const ADDRESSES = [0x1000n, 0x2000n, 0x20_0000n, 0x20_1000n, 0x4000_0000n, 0x80_0000_0000n];
const FULL = P | RW | US | A;
/** Where the guest has its own tables mapped, and the tables of that. */
const ALIAS = 0xffff_8000_0000_0000n;
const ALIAS_TABLES = [0x12_0000n, 0x12_1000n] as const;
const index = (va: bigint, level: number) => (va >> BigInt(3 + 9 * level)) & 0x1ffn;

class Random {
  #state: number;
  constructor(seed: number) {
    this.#state = seed | 1;
  }
  below(n: number): number {
    this.#state ^= this.#state << 13;
    this.#state ^= this.#state >>> 17;
    this.#state ^= this.#state << 5;
    return (this.#state >>> 0) % n;
  }
  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!;
  }
}

const technique = ["native", "shadow", "ept", "npt"] as const;

class History {
  readonly r: Random;
  readonly g: Guest;
  readonly host = new HostCache();
  readonly model: CouldBeCached;
  readonly said: string[] = [];
  cr4 = 0xa0n | CR4.PCIDE;
  cr0 = 0x8001_0001n;
  pcid = 0;
  pkru = 0;
  running = false;
  stale = 0;
  used = 0;

  constructor(seed: number, how: (typeof technique)[number]) {
    this.r = new Random(seed);
    this.g = new Guest({
      technique: how,
      ...(how === "native" ? {} : { hypervisor: "model" as const }),
      onInvalidate: (i) => this.host.drop(i),
    });
    for (const root of ROOTS) for (const va of ADDRESSES) this.edit(root, 4, va);
    for (const table of TABLES)
      for (const va of ADDRESSES) for (const level of [1, 2, 3]) this.edit(table, level, va);
    const { g } = this;
    for (const root of ROOTS) g.write(Number(root) + 8 * 256, ALIAS_TABLES[0] | FULL);
    g.write(Number(ALIAS_TABLES[0]), ALIAS_TABLES[1] | FULL);
    g.write(Number(ALIAS_TABLES[1]), P | RW | A | D | 0x80n);
    g.start(Number(ROOTS[0]), this.cr4, this.cr0);
    this.model = new CouldBeCached(ADDRESSES, ROOTS, {
      read: (hpa) => g.read(Number(hpa)),
      host: (gpa) => gpa,
    });
    this.host.context(this.pcid);
    this.settle();
    this.running = true;
  }

  get globalPages(): boolean {
    return (this.cr4 & CR4.PGE) !== 0n;
  }
  settle(): void {
    this.model.settle(this.pcid, this.globalPages);
  }

  /** A store into a table, as the guest makes it when its tables are mapped writable elsewhere. */
  edit(table: bigint, level: number, va: bigint): void {
    const { r } = this;
    const at = Number(table + 8n * index(va, level));
    let value: bigint;
    if (r.below(10) === 0) value = 0n;
    else if (level > 1 && (level > 3 || r.below(4) > 0)) value = r.pick(TABLES) | FULL;
    else {
      const size = 1n << BigInt(3 + 9 * level);
      const frame = level === 1 ? r.pick(PAGES) : r.pick([0n, size]) & 0xff_ffffn & ~(size - 1n);
      value = frame | P | A | (r.below(5) ? RW : 0n) | (r.below(5) ? US : 0n) | (r.below(3) ? D : 0n);
      if (r.below(4) === 0) value |= XD;
      if (r.below(4) === 0) value |= G;
      if (level > 1) value |= 0x80n;
    }
    if (this.running) this.store(at, value);
    else this.g.write(at, value);
    this.said.push(`0x${at.toString(16)} = 0x${value.toString(16)}`);
  }

  /** A store of the guest, by the host's own fast path where that has the page. */
  store(at: number, value: bigint): void {
    const { g, host } = this;
    const va = ALIAS + BigInt(at);
    const kept = host.find(va, Access.write);
    if (kept !== undefined) {
      expect(kept).toBe(at);
      g.write(at, value);
      return;
    }
    g.mmu.instruction(0x1000, 0, 8);
    const status = g.go(va, Access.write, 8);
    expect([Status.ok, Status.emulated]).toContain(status);
    expect(g.mmu.physical).toBe(at);
    if (status === Status.ok) host.keep(va, at, g.mmu.rights, false, g.mmu.stage1Shift);
    g.write(at, value);
    if (status === Status.emulated) g.mmu.stored(at, 8);
  }

  step(): void {
    const { r, g, model } = this;
    const { mmu } = g;
    const va = r.pick(ADDRESSES);
    const kind = r.below(16);
    if (kind < 3) this.edit(r.pick([...ROOTS, ...TABLES, ...TABLES]), r.pick([1, 2, 3]), va);
    else if (kind < 10) for (let i = 0; i < 4; ++i) this.access(r.pick(ADDRESSES));
    else if (kind === 10) {
      const at = va + BigInt(r.below(4096));
      this.said.push(`INVLPG 0x${at.toString(16)}`);
      mmu.invlpg(Number(at & 0xffff_ffffn), Number(at >> 32n));
      model.invalidate({ pcid: this.pcid, at: at & ~0xfffn, globals: true, tables: "all" });
    } else if (kind < 13) {
      const flush = r.below(2) === 0;
      this.pcid = r.below(2);
      this.said.push(`CR3 = PCID ${this.pcid}${flush ? ", flush" : ""}`);
      mmu.setCr3(ROOTS[this.pcid]! | BigInt(this.pcid) | (flush ? 0n : NO_FLUSH));
      this.host.context(this.pcid);
      if (flush) model.invalidate({ pcid: this.pcid, globals: false, tables: "all" });
    } else if (kind === 13) {
      const type = r.below(4);
      const pcid = r.below(2);
      this.said.push(`INVPCID ${type}, PCID ${pcid}, 0x${va.toString(16)}`);
      mmu.invpcid(type, type < 2 ? pcid : 0, Number(va & 0xffff_ffffn), Number(va >> 32n));
      if (type === 0) model.invalidate({ pcid, at: va, globals: false, tables: "all" });
      else if (type === 1) model.invalidate({ pcid, globals: false, tables: "all" });
      else model.invalidate({ globals: type === 2, tables: "all" });
    } else if (kind === 14) {
      const bit = r.pick([CR4.SMAP, CR4.SMEP, CR4.PGE, CR4.PKE]);
      this.cr4 ^= bit;
      this.said.push(`CR4 = 0x${this.cr4.toString(16)}`);
      mmu.setCr4(this.cr4);
      if (bit === CR4.PGE) model.invalidate({ globals: true, tables: "all" });
      if (bit === CR4.SMEP && this.cr4 & bit)
        model.invalidate({ pcid: this.pcid, globals: true, tables: "all" });
    } else if (r.below(2)) {
      this.cr0 ^= CR0_WP;
      this.said.push(`CR0 = 0x${this.cr0.toString(16)}`);
      mmu.setCr0(this.cr0);
    } else {
      this.pkru = r.pick([0, 1, 2, 3]);
      this.said.push(`PKRU = ${this.pkru}`);
      mmu.setPkru(this.pkru);
    }
    this.settle();
  }

  access(va: bigint): void {
    const { r, g, host } = this;
    const access = r.pick([Access.read, Access.write, Access.fetch]) | (r.below(2) ? Access.user : 0);
    const possible = this.model.possible(va, this.pcid, this.globalPages);
    const kept = host.find(va, access);
    if (kept !== undefined) {
      ++this.used;
      this.said.push(`kept: ${access} at 0x${va.toString(16)} is 0x${kept.toString(16)}`);
      this.judge(va, access, BigInt(kept), possible);
      if (possible.frames.size > 1) ++this.stale;
      return;
    }
    const status = g.go(va, access);
    this.said.push(`asked: ${access} at 0x${va.toString(16)}: ${status}, 0x${g.mmu.physical.toString(16)}`);
    if (status === Status.ok) {
      const { rights, global, stage1Shift } = g.mmu;
      this.judge(va, access, BigInt(g.mmu.physical), possible);
      host.keep(va, g.mmu.physical, rights, global && this.globalPages, stage1Shift);
    } else if (status === Status.emulated) {
      /* A write to a table: the host would make it, and tell. */
      this.judge(va, access, BigInt(g.mmu.physical), possible);
    } else if (status === Status.pageFault) {
      this.model.invalidate({ pcid: this.pcid, at: va, globals: true, tables: "used", faulted: true });
    } else throw new Error(`status ${status}\n${this.said.join("\n")}`);
  }

  judge(va: bigint, access: number, frame: bigint, possible: Possible): void {
    const rights = possible.rights.get(frame & ~0xfffn);
    if (rights === undefined)
      throw new Error(
        `no translation of 0x${va.toString(16)} gives 0x${frame.toString(16)}\n${this.said.join("\n")}`,
      );
    if (![...rights].some((its) => this.permits(its, access)))
      throw new Error(`no right allows ${access} at 0x${va.toString(16)}\n${this.said.join("\n")}`);
  }

  permits(rights: bigint, access: number): boolean {
    const userPage = (rights & 4n) !== 0n;
    const user = (access & Access.user) !== 0;
    const fetch = (access & Access.fetch) !== 0;
    const write = (access & Access.write) !== 0;
    if (!permits(rights, { user, write, fetch }, this)) return false;
    if (fetch) return true;
    /* Every page has the key 0. */
    if (!userPage || !(this.cr4 & CR4.PKE)) return true;
    if (this.pkru & 1) return false;
    return !(write && this.pkru & 2 && (user || this.cr0 & CR0_WP));
  }
}

it.each(technique)(
  "what a host keeps by the feed is what the architecture allows: %s",
  (how) => {
    const stale = staleUses((seed) => new History(seed, how), 20260303);
    if (how === "native") expect(stale).toBeGreaterThan(runs);
  },
  TIMEOUT,
);

it("each change says what it flushed", () => {
  const seen: Invalidation[] = [];
  const g = new Guest({ onInvalidate: (i) => seen.push(i) });
  const root = g.table();
  g.map(root, 0x40_0000n, 0x20_0000, P | RW | US, 2);
  g.map(root, 0x1000n, 0x5000);
  g.start(root, 0xa0n | CR4.PCIDE);
  const { mmu } = g;
  const after = (change: () => unknown) => {
    seen.length = 0;
    change();
    return [mmu.flushed, ...seen.map((i) => i.kind)];
  };
  g.go(0x1000n, Access.read);
  expect(after(() => mmu.invlpg(0x1000, 0))).toEqual([Feed.address, Feed.address]);
  expect(seen[0]).toMatchObject({ low: 0x1000, high: 0, span: 12, globals: true, everyPcid: false, pcid: 0 });
  g.go(0x40_1234n, Access.read);
  after(() => mmu.invlpg(0x40_5000, 0));
  expect(seen[0]!.span).toBe(21);
  expect(after(() => mmu.setCr3(BigInt(root)))).toEqual([Feed.space, Feed.space]);
  expect(seen[0]).toMatchObject({ globals: false, everyPcid: false, pcid: 0 });
  expect(after(() => mmu.setCr3(BigInt(root) | 5n | NO_FLUSH))).toEqual([Feed.switched, Feed.switched]);
  expect(seen[0]!.pcid).toBe(5);
  expect(after(() => mmu.setCr0(0x8000_0001n))).toEqual([Feed.rights, Feed.rights]);
  expect(after(() => mmu.setCr0(0x8000_0001n))).toEqual([0]);
  expect(after(() => mmu.setCr4(0xa0n | CR4.PCIDE | CR4.SMAP))).toEqual([Feed.rights, Feed.rights]);
  expect(after(() => mmu.setAc(true))).toEqual([Feed.rights, Feed.rights]);
  expect(after(() => mmu.setAc(true))).toEqual([0]);
  expect(after(() => mmu.setPkru(3))).toEqual([0]);
  mmu.setCr4(0xa0n | CR4.PCIDE | CR4.PKE);
  expect(after(() => mmu.setPkru(0))).toEqual([Feed.rights, Feed.rights]);
  expect(after(() => mmu.invpcid(2, 0))).toEqual([Feed.space, Feed.space]);
  expect(seen[0]).toMatchObject({ globals: true, everyPcid: true, everyVpid: false });
  expect(after(() => mmu.setEfer(0x100n))).toEqual([Feed.space, Feed.space]);
  expect(after(() => mmu.setEfer(2n))).toEqual([0]);
  expect(after(() => mmu.flush())).toEqual([Feed.everything, Feed.everything]);
  expect(after(() => g.go(0x7000n, Access.read))).toEqual([Feed.address, Feed.address]);
});

it("a host that falls behind the ring is told to drop everything", () => {
  const g = new Guest();
  const before = new Uint32Array(g.mmu.memory.buffer, g.mmu.exports.fedAddress(), 1)[0]!;
  for (let i = 0; i < 300; ++i) g.mmu.invlpg(i * 4096, 0);
  expect(new Uint32Array(g.mmu.memory.buffer, g.mmu.exports.fedAddress(), 1)[0]! - before).toBe(300);
  const heard: Invalidation[] = [];
  const late = new FeedReader(g.mmu.exports, (i) => heard.push(i));
  for (let i = 0; i < 257; ++i) g.mmu.invlpg(i * 4096, 0);
  late.drain();
  expect(heard.map((i) => i.kind)).toEqual([Feed.everything]);
  g.mmu.invlpg(4096, 0);
  late.drain();
  expect(heard.map((i) => i.kind)).toEqual([Feed.everything, Feed.address]);
});
