import { expect, it } from "vitest";
import { Access, Status } from "../src/embed/index.js";
import { Random } from "./core/random-world.js";
import { A, D, G, Guest, P, PS, RW, US, XD } from "./embed/guest.js";
import { runs, staleUses, TIMEOUT } from "./embed/histories.js";
import { HostCache, type Space } from "./embed/host-cache.js";
import { CouldBeCached, type Physical, type Possible, permits } from "./tlb/could-be-cached.js";

/*
 * The host is the hypervisor: it has two guests in one MMU, and two second stages that it changes under them. It keeps
 * every translation it is given, drops only what the feed says, and must never use one that the architecture does not
 * allow. The judge has an account for each VPID under each second stage.
 */

const CR4 = { PGE: 1n << 7n, PCIDE: 1n << 17n, SMEP: 1n << 20n, SMAP: 1n << 21n };
const CR0_WP = 1n << 16n;
const NO_FLUSH = 1n << 63n;

const ROOTS = [0x10_0000n, 0x10_1000n] as const;
const TABLES = [0x11_0000n, 0x11_1000n, 0x11_2000n];
const FRAMES = [0x20_0000n, 0x20_1000n, 0x20_2000n];
const LARGE = [0n, 0x20_0000n];
const ADDRESSES = [0x1000n, 0x2000n, 0x20_0000n, 0x20_1000n, 0x4000_1000n, 0x80_0000_2000n];
/** Guest pages that a second stage maps: all that the tables lead to. */
const PAGES = [...ROOTS, ...TABLES, ...FRAMES, ...LARGE.flatMap((f) => [f, f + 0x1000n, f + 0x2000n])];
/** Where a host page may lie: at the guest's address, or beyond. */
const PLACES = [0n, 0x40_0000n];
const index = (va: bigint, level: number) => (va >> BigInt(3 + 9 * level)) & 0x1ffn;

/** Tables of a second stage that map the first 4 MiB by pages. */
class SecondStage {
  readonly hosts = new Map<bigint, bigint | undefined>();
  constructor(
    readonly g: Guest,
    readonly root: bigint,
    /** Bits of a table's entry, and of a leaf. */
    readonly flags: bigint,
    readonly leaf: bigint,
  ) {
    for (let level = 0n; level < 2n; ++level)
      g.write(Number(root + 0x1000n * level), (root + 0x1000n * (level + 1n)) | flags);
    for (let i = 0n; i < 2n; ++i)
      g.write(Number(root + 0x2000n + 8n * i), (root + 0x3000n + 0x1000n * i) | flags);
  }
  set(page: bigint, host: bigint | undefined): void {
    this.hosts.set(page, host);
    const at = this.root + 0x3000n + ((page >> 21n) << 12n) + 8n * ((page >> 12n) & 0x1ffn);
    this.g.write(Number(at), host === undefined ? 0n : host | this.leaf);
  }
}

/** A guest: what runs under one VPID. */
interface Vm {
  vpid: number;
  stage: SecondStage;
}

class History {
  readonly r: Random;
  readonly g: Guest;
  readonly host = new HostCache();
  readonly stages: SecondStage[];
  readonly spaces = new Map<
    string,
    { space: Space; stage: SecondStage; model: CouldBeCached; physical: Physical }
  >();
  readonly said: string[] = [];
  vm: Vm;
  pcid = 0;
  cr0 = 0x8001_0001n;
  cr4 = 0xa0n | CR4.PCIDE;
  used = 0;
  stale = 0;

  constructor(
    seed: number,
    readonly format: "ept" | "npt",
  ) {
    this.r = new Random(seed);
    const g = new Guest({
      technique: format,
      features: { vendor: format === "ept" ? "intel" : "amd" },
      onInvalidate: (i) => this.host.drop(i),
    });
    this.g = g;
    const [flags, leaf] = format === "ept" ? [0x7n, 0x37n] : [P | RW | US | A, P | RW | US | A | D];
    this.stages = [0xc0_0000n, 0xd0_0000n].map((root) => new SecondStage(g, root, flags, leaf));
    for (const [i, stage] of this.stages.entries()) {
      for (const page of PAGES) stage.set(page, page + PLACES[i]!);
      /* Nested translations are the second stage's; under NPT the ASID's that found them. */
      const shared: Physical = new Map();
      for (const vpid of [1, 2]) {
        const physical = format === "ept" ? shared : new Map();
        const model = new CouldBeCached(
          ADDRESSES,
          ROOTS,
          { read: (hpa) => g.read(Number(hpa)), host: (gpa) => stage.hosts.get(gpa) },
          physical,
        );
        this.spaces.set(`${vpid}/${stage.root}`, { space: { vpid }, stage, model, physical });
      }
    }
    this.vm = { vpid: 1, stage: this.stages[0]! };
    /* Tables are written where each second stage has them. */
    for (const stage of this.stages) {
      this.vm.stage = stage;
      for (const root of ROOTS) for (const va of ADDRESSES) this.edit(root, 4, va);
      for (const table of TABLES)
        for (const va of ADDRESSES) for (const level of [1, 2, 3]) this.edit(table, level, va);
    }
    g.start(Number(ROOTS[0]), this.cr4, this.cr0);
    this.enter(1, this.stages[0]!);
    this.settle();
  }

  get globalPages(): boolean {
    return (this.cr4 & CR4.PGE) !== 0n;
  }
  get here() {
    return this.spaces.get(`${this.vm.vpid}/${this.vm.stage.root}`)!;
  }
  settle(): void {
    this.here.model.settle(this.pcid, this.globalPages);
  }
  /** An invalidation of linear and combined mappings reaches the VPID under every second stage. */
  invalidate(vpid: number, what: Parameters<CouldBeCached["invalidate"]>[0]): void {
    for (const { space, model } of this.spaces.values()) if (space.vpid === vpid) model.invalidate(what);
  }

  enter(vpid: number, stage: SecondStage, tlbControl: 0 | 1 | 3 | 7 = 0): void {
    const { mmu } = this.g;
    this.vm = { vpid, stage };
    const status =
      this.format === "ept"
        ? mmu.setEptp(stage.root | 0x1en, vpid)
        : mmu.setNcr3(stage.root, vpid, tlbControl);
    expect(status).toBe(Status.ok);
    this.host.context(this.pcid, this.here.space);
    if (tlbControl !== 0) {
      for (const id of tlbControl === 1 ? [1, 2] : [vpid])
        this.invalidate(id, { globals: tlbControl !== 7, tables: "all" });
      for (const { space, physical } of this.spaces.values())
        if (tlbControl === 1 || space.vpid === vpid) physical.clear();
    }
  }

  edit(table: bigint, level: number, va: bigint): void {
    const { r } = this;
    let value: bigint;
    if (r.below(10) === 0) value = 0n;
    else if (level > 1 && (level > 3 || r.below(4) > 0)) value = r.pick(TABLES) | P | RW | US | A;
    else {
      const frame = level === 1 ? r.pick(FRAMES) : level === 2 ? r.pick(LARGE) : 0n;
      value = frame | P | A | (r.below(5) ? RW : 0n) | (r.below(5) ? US : 0n) | (r.below(3) ? D : 0n);
      if (r.below(4) === 0) value |= XD;
      if (r.below(4) === 0) value |= G;
      if (level > 1) value |= PS;
    }
    const host = this.vm.stage.hosts.get(table);
    if (host === undefined) return;
    const at = host + 8n * index(va, level);
    this.g.write(Number(at), value);
    this.said.push(`0x${at.toString(16)} = 0x${value.toString(16)}`);
  }

  /** The hypervisor moves a page, with its content, or takes it away. */
  editHost(): void {
    const { r, g } = this;
    const stage = r.pick(this.stages);
    const page = r.pick(PAGES);
    const before = stage.hosts.get(page);
    const to = r.below(8) === 0 ? undefined : page + r.pick(PLACES);
    if (to !== undefined && before !== undefined && to !== before)
      for (let offset = 0n; offset < 4096n; offset += 8n)
        g.write(Number(to + offset), g.read(Number(before + offset)));
    this.said.push(`stage 0x${stage.root.toString(16)}: 0x${page.toString(16)} = 0x${to?.toString(16)}`);
    stage.set(page, to);
    if (r.below(2)) this.flushSecond(stage);
  }

  flushSecond(stage: SecondStage): void {
    const { r } = this;
    if (this.format === "npt") {
      this.said.push("VMRUN that flushes");
      this.enter(this.vm.vpid, this.vm.stage, r.pick([1, 3, 7]));
      return;
    }
    const type = r.pick([1, 2]);
    this.said.push(`INVEPT ${type}`);
    expect(this.g.mmu.invept(type, type === 1 ? stage.root | 0x1en : 0n)).toBe(Status.ok);
    for (const its of this.spaces.values()) {
      if (type === 1 && its.stage !== stage) continue;
      its.physical.clear();
      its.model.invalidate({ globals: true, tables: "all" });
    }
  }

  step(): void {
    const { r, vm } = this;
    const { mmu } = this.g;
    const va = r.pick(ADDRESSES);
    const kind = r.below(19);
    if (kind < 3) this.edit(r.pick([...ROOTS, ...TABLES, ...TABLES]), r.pick([1, 2, 3]), va);
    else if (kind < 9) for (let i = 0; i < 4; ++i) this.access(r.pick(ADDRESSES));
    else if (kind === 9) {
      this.said.push(`INVLPG 0x${va.toString(16)}`);
      mmu.invlpg(Number(va & 0xffff_ffffn), Number(va >> 32n));
      this.invalidate(vm.vpid, { pcid: this.pcid, at: va & ~0xfffn, globals: true, tables: "all" });
    } else if (kind < 12) {
      const flush = r.below(2) === 0;
      this.pcid = r.below(2);
      this.said.push(`CR3 = PCID ${this.pcid}${flush ? ", flush" : ""}`);
      mmu.setCr3(ROOTS[this.pcid]! | BigInt(this.pcid) | (flush ? 0n : NO_FLUSH));
      this.host.context(this.pcid, this.here.space);
      if (flush) this.invalidate(vm.vpid, { pcid: this.pcid, globals: false, tables: "all" });
    } else if (kind === 12) {
      const type = r.below(4);
      const pcid = r.below(2);
      this.said.push(`INVPCID ${type}, PCID ${pcid}, 0x${va.toString(16)}`);
      mmu.invpcid(type, type < 2 ? pcid : 0, Number(va & 0xffff_ffffn), Number(va >> 32n));
      if (type === 0) this.invalidate(vm.vpid, { pcid, at: va, globals: false, tables: "all" });
      else if (type === 1) this.invalidate(vm.vpid, { pcid, globals: false, tables: "all" });
      else this.invalidate(vm.vpid, { globals: type === 2, tables: "all" });
    } else if (kind === 13) {
      const bit = r.pick([CR4.SMAP, CR4.SMEP]);
      this.cr4 ^= bit;
      this.said.push(`CR4 = 0x${this.cr4.toString(16)}`);
      mmu.setCr4(this.cr4);
      if (bit === CR4.SMEP && this.cr4 & bit)
        this.invalidate(vm.vpid, { pcid: this.pcid, globals: true, tables: "all" });
    } else if (kind === 14) {
      this.cr0 ^= CR0_WP;
      this.said.push(`CR0 = 0x${this.cr0.toString(16)}`);
      mmu.setCr0(this.cr0);
    } else if (kind < 17) this.editHost();
    else if (kind === 17) this.ofVpid(va);
    else {
      const vpid = 1 + r.below(2);
      const stage = r.pick(this.stages);
      this.said.push(`entry of ${vpid} under 0x${stage.root.toString(16)}`);
      this.enter(vpid, stage);
    }
    this.settle();
  }

  /** INVVPID, INVLPGA. */
  ofVpid(va: bigint): void {
    const { mmu } = this.g;
    const vpid = 1 + this.r.below(2);
    const [low, high] = [Number(va & 0xffff_ffffn), Number(va >> 32n)];
    if (this.format === "npt") {
      this.said.push(`INVLPGA 0x${va.toString(16)}, ${vpid}`);
      mmu.invlpga(low, high, vpid);
      this.invalidate(vpid, { at: va & ~0xfffn, globals: true, tables: "used" });
      return;
    }
    const type = this.r.below(4);
    this.said.push(`INVVPID ${type}, ${vpid}, 0x${va.toString(16)}`);
    expect(mmu.invvpid(type, type === 2 ? 0 : vpid, low, high)).toBe(Status.ok);
    if (type === 0) this.invalidate(vpid, { at: va & ~0xfffn, globals: true, tables: "used" });
    else
      for (const id of type === 2 ? [1, 2] : [vpid])
        this.invalidate(id, { globals: type !== 3, tables: "all" });
  }

  access(va: bigint): void {
    const { r, g, host, vm } = this;
    const access = r.pick([Access.read, Access.write, Access.fetch]) | (r.below(2) ? Access.user : 0);
    for (;;) {
      const { model } = this.here;
      const possible = model.possible(va, this.pcid, this.globalPages);
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
        host.keep(va, g.mmu.physical, rights, global, stage1Shift);
        return;
      }
      const used = { pcid: this.pcid, at: va, globals: true, tables: "used", faulted: true } as const;
      if (status === Status.pageFault) {
        this.invalidate(vm.vpid, used);
        return;
      }
      if (status !== Status.eptViolation && status !== Status.nestedPageFault)
        throw new Error(`status ${status}\n${this.said.join("\n")}`);
      /* The hypervisor maps the page, and the guest goes on. */
      const page = BigInt(g.mmu.guestPhysical) & ~0xfffn;
      if (!possible.missing.has(page))
        throw new Error(`0x${page.toString(16)} is mapped\n${this.said.join("\n")}`);
      model.forgetPhysical(page);
      model.invalidate(used);
      vm.stage.set(page, page + r.pick(PLACES));
      this.settle();
    }
  }

  judge(va: bigint, access: number, frame: bigint, possible: Possible): void {
    const rights = possible.rights.get(frame & ~0xfffn);
    const how = {
      user: (access & Access.user) !== 0,
      write: (access & Access.write) !== 0,
      fetch: (access & Access.fetch) !== 0,
    };
    if (rights === undefined || ![...rights].some((its) => permits(its, how, this)))
      throw new Error(
        `nothing allows ${access} at 0x${va.toString(16)} to be 0x${frame.toString(16)}\n${this.said.join("\n")}`,
      );
  }
}

it.each(["ept", "npt"] as const)(
  "what a host keeps of its guests while it changes their second stages is what the architecture allows: %s",
  (format) => {
    expect(staleUses((seed) => new History(seed, format), 20260404)).toBeGreaterThan(runs);
  },
  TIMEOUT,
);

it("a second stage whose root is the page 0 is flushed as any other", () => {
  const g = new Guest({ technique: "ept" });
  const stage = new SecondStage(g, 0n, 7n, 0x37n);
  for (const page of PAGES) stage.set(page, page);
  const root = ROOTS[0];
  for (const [i, table] of [root, ...TABLES].entries())
    g.write(Number(table + 8n * index(0x1000n, 4 - i)), (TABLES[i] ?? FRAMES[0]!) | P | RW | US | A | D);
  g.start(Number(root));
  expect(g.mmu.setEptp(0x1en)).toBe(Status.ok);
  const read = () => [g.go(0x1000n, Access.read), g.mmu.physical];
  expect(read()).toEqual([Status.ok, 0x20_0000]);
  stage.set(FRAMES[0]!, 0x60_0000n);
  expect(read()).toEqual([Status.ok, 0x20_0000]);
  g.mmu.invept(1, 0x1en);
  expect(read()).toEqual([Status.ok, 0x60_0000]);
});
