import fc from "fast-check";
import { expect, it } from "vitest";
import { BareCore, cachesOf, parametersOf } from "../src/conform/bare/core.js";
import type { Access, Ept, Outcome } from "../src/conform/bare/types.js";
import { Parameter } from "../src/generated/declarations.js";
import { Random } from "./core/random-world.js";
import { CouldBeCached, type Possible, permits } from "./tlb/could-be-cached.js";
import { CR0, CR4, LONG, NO_FLUSH } from "./tlb/machine.js";

const runs = Number(process.env.NESTWALK_HISTORIES ?? 500);
const STEPS = 120;

const P = 1n;
const PS = 0x80n;
const G = 0x100n;
const XD = 1n << 63n;

/** Four pages of one table, one of another table of the same directory (its region may be a 2 MiB page), one beyond. */
const GROUP = [0x80_4020_0000n, 0x80_4020_1000n, 0x80_4020_2000n, 0x80_4020_3000n];
const LARGE_VA = 0x80_4040_1000n;
const ADDRESSES = [...GROUP, LARGE_VA, 0x80_8020_1000n];
const INDEX = (va: bigint, level: number) => (va >> BigInt(3 + 9 * level)) & 0x1ffn;

const ROOTS = [0x10_0000n, 0x10_1000n];
const TABLES = {
  3: [0x10_2000n, 0x10_3000n],
  2: [0x10_4000n, 0x10_5000n],
  1: [0x10_6000n, 0x10_7000n, 0x10_8000n],
};
const FRAMES = [0x20_0000n, 0x20_1000n, 0x20_2000n, 0x20_3000n];
const LARGE_FRAMES = [0x40_0000n, 0x60_0000n];
/** Every guest page that has a second-stage mapping of 4 KiB. */
const PAGES = [
  ...ROOTS,
  ...Object.values(TABLES).flat(),
  ...FRAMES,
  ...LARGE_FRAMES.map((f) => f | (LARGE_VA & 0x1f_f000n)),
];

const EPT: Ept = {
  kind: "ept",
  root: 0n,
  levels: 4,
  maxphyaddr: 46,
  accessedDirty: false,
  executeOnly: true,
  mbec: false,
};
const EPT_ROOT = 0x1_0000_0000n;
const EPTP = EPT_ROOT | 0x1en;

/** A first-level TLB for stores: 4 entries of any size. */
const STORES = [7, 4, 0, 0, 0, 0];

/** TLBs and paging-structure caches of one of many shapes. */
function hardware(r: Random): (readonly [number, number])[] {
  const cells = [...cachesOf(r.chance(0.7) ? 0 : 2)];
  cells.push([Parameter.nestedTlbData, r.below(2)], [Parameter.pscLeaves, r.pick([0, 0, 1, 3])]);
  cells.push([Parameter.l2TlbInclusion, r.below(3)]);
  if (r.chance(0.4)) for (let i = 0; i < 18; ++i) cells.push([Parameter.tlbCoalesce + i, 1]);
  if (r.chance(0.4)) cells.push(...STORES.map((n, i) => [Parameter.tlbArrays + 6 * 14 + i, n] as const));
  /* The caches of one stage in the second-level TLB, or of all its levels in one array. */
  const place = r.pick([1, 1, 2, 3]);
  if (place === 2) for (let i = 0; i < 9; ++i) cells.push([Parameter.pscArrays + 6 * i, 2]);
  if (place === 3) for (const i of [1, 2, 3, 5, 6, 7]) cells.push([Parameter.pscArrays + 6 * i, 3]);
  return cells;
}

class History {
  readonly r: Random;
  readonly mmu: BareCore;
  readonly model: CouldBeCached;
  readonly nested: boolean;
  /** Host page by guest page; EPT's leaves hold the same. */
  readonly hosts = new Map<bigint, bigint | undefined>();
  readonly said: string[] = [];
  /** The memory that the model sees: stores of the guest and of the hypervisor, without A and D. */
  readonly memory = new Map<bigint, bigint>();
  pcid = 0;
  cr0 = LONG.cr0;
  cr4 = LONG.cr4 | CR4.PCIDE;
  stale = 0;

  constructor(seed: number) {
    this.r = new Random(seed);
    this.nested = this.r.chance(0.5);
    const regs = { ...LONG, cr4: this.cr4, cr3: ROOTS[0]! };
    const stage2 = this.nested ? EPT : ({ kind: "none" } as const);
    this.mmu = BareCore.with(parametersOf(regs, stage2), hardware(this.r));
    for (const page of PAGES) this.hosts.set(page, this.nested ? page + 0x1000_0000n : page);
    if (this.nested) {
      this.mmu.write(EPT_ROOT, (EPT_ROOT + 0x1000n) | 7n);
      this.mmu.write(EPT_ROOT + 0x1000n, (EPT_ROOT + 0x2000n) | 7n);
      for (let i = 0n; i < 4n; ++i)
        this.mmu.write(EPT_ROOT + 0x2000n + 8n * i, (EPT_ROOT + 0x3000n + 0x1000n * i) | 7n);
      for (const page of PAGES) this.setHost(page, this.hosts.get(page));
    }
    this.mmu.setState(regs, this.nested ? { ...EPT, root: EPT_ROOT } : { kind: "none" });
    if (this.nested) this.mmu.enter(EPTP);
    this.model = new CouldBeCached(ADDRESSES, ROOTS, {
      read: (hpa) => this.memory.get(hpa) ?? 0n,
      host: (gpa) => this.hosts.get(gpa),
    });
    for (const pcid of [0, 1]) {
      for (const va of ADDRESSES) for (const level of [4, 3, 2, 1] as const) this.edit(level, va, pcid, true);
    }
    this.model.settle(this.pcid, true);
  }

  setHost(page: bigint, host: bigint | undefined): void {
    this.hosts.set(page, host);
    const at = EPT_ROOT + 0x3000n + ((page >> 21n) << 12n) + 8n * ((page >> 12n) & 0x1ffn);
    this.mmu.write(at, host === undefined ? 0n : host | 0x37n);
  }

  /** A store of the guest: into the host page that holds the guest page now. */
  store(gpa: bigint, value: bigint): void {
    const host = this.hosts.get(gpa & ~0xfffn);
    if (host === undefined) return;
    const hpa = host | (gpa & 0xfffn);
    this.mmu.write(hpa, value);
    this.memory.set(hpa, value);
  }

  edit(level: 1 | 2 | 3 | 4, va: bigint, pcid: number, mapped = false): void {
    const { r } = this;
    const table = level === 4 ? ROOTS[pcid]! : r.pick(TABLES[level]);
    if (level === 1 && r.chance(0.3)) {
      this.editGroup(table);
      return;
    }
    const rights = P | (r.chance(0.9) ? 2n : 0n) | (r.chance(0.9) ? 4n : 0n) | (r.chance(0.08) ? XD : 0n);
    let value = 0n;
    if (mapped || r.chance(0.93)) {
      if (level === 1) value = r.pick(FRAMES) | rights | (r.chance(0.3) ? G : 0n);
      else if (level === 2 && va === LARGE_VA && r.chance(0.4))
        value = r.pick(LARGE_FRAMES) | rights | PS | (r.chance(0.3) ? G : 0n);
      else value = r.pick(TABLES[(level - 1) as 1 | 2 | 3]) | rights;
    }
    this.store(table + 8n * INDEX(va, level), value);
    this.said.push(
      `entry ${level} of 0x${va.toString(16)} in 0x${table.toString(16)} = 0x${value.toString(16)}`,
    );
  }

  /** Four pages side by side, in attributes and frames: what one TLB entry may hold. */
  editGroup(table: bigint): void {
    const flags = P | 2n | 4n | this.r.pick([0x20n, 0x60n]);
    for (const [i, va] of GROUP.entries()) this.store(table + 8n * INDEX(va, 1), FRAMES[i]! | flags);
    this.said.push(`a group of four in 0x${table.toString(16)}`);
  }

  get globalPages(): boolean {
    return (this.cr4 & CR4.PGE) !== 0n;
  }

  step(): void {
    const { r, mmu, model } = this;
    const va = r.pick(ADDRESSES);
    const kind = r.below(this.nested ? 19 : 15);
    if (kind < 3) this.edit(r.pick([1, 1, 2, 2, 3, 4]), va, r.below(2));
    else if (kind < 9) this.access(va);
    else if (kind === 9) {
      const at = va + BigInt(r.below(4096)) + (r.chance(0.2) ? 0x5000n : 0n);
      this.said.push(`INVLPG 0x${at.toString(16)}`);
      mmu.invlpg(at);
      model.invalidate({ pcid: this.pcid, at: at & ~0xfffn, globals: true, tables: "all" });
    } else if (kind === 10 || kind === 11) {
      const flush = r.chance(0.4);
      this.pcid = r.below(2);
      this.said.push(`CR3 = PCID ${this.pcid}${flush ? ", flush" : ""}`);
      mmu.load("cr3", ROOTS[this.pcid]! | BigInt(this.pcid) | (flush ? 0n : NO_FLUSH));
      if (flush) model.invalidate({ pcid: this.pcid, globals: false, tables: "all" });
    } else if (kind === 12) {
      const type = r.below(4);
      const pcid = r.below(2);
      this.said.push(`INVPCID ${type}, PCID ${pcid}, 0x${va.toString(16)}`);
      mmu.invpcid(type, type < 2 ? BigInt(pcid) : 0n, type === 0 ? va : 0n);
      if (type === 0) model.invalidate({ pcid, at: va, globals: false, tables: "all" });
      else if (type === 1) model.invalidate({ pcid, globals: false, tables: "all" });
      else model.invalidate({ globals: type === 2, tables: "all" });
    } else if (kind === 13) {
      const bit = r.pick([CR4.SMAP, CR4.SMEP, CR4.PGE, CR4.PKE]);
      this.cr4 ^= bit;
      this.said.push(`CR4 = 0x${this.cr4.toString(16)}`);
      mmu.load("cr4", this.cr4);
      if (bit === CR4.PGE) model.invalidate({ globals: true, tables: "all" });
      if (bit === CR4.SMEP && this.cr4 & bit)
        model.invalidate({ pcid: this.pcid, globals: true, tables: "all" });
    } else if (kind === 14) {
      this.cr0 ^= CR0.WP;
      this.said.push(`CR0 = 0x${this.cr0.toString(16)}`);
      mmu.load("cr0", this.cr0);
    } else if (kind === 15 || kind === 16) this.editHost();
    else if (kind === 17) {
      const type = r.pick([1, 2]);
      this.said.push(`INVEPT ${type}`);
      mmu.invept(type, EPTP);
      model.forgetPhysical();
      model.invalidate({ globals: true, tables: "all" });
    } else {
      const type = r.below(4);
      this.said.push(`INVVPID ${type}`);
      mmu.invvpid(type, type === 2 ? 0n : 1n, va);
      if (type === 0) model.invalidate({ at: va, globals: true, tables: "used" });
      else model.invalidate({ globals: type !== 3, tables: "all" });
    }
    model.settle(this.pcid, this.globalPages);
  }

  /** The hypervisor moves a page, with its content, or takes it away. */
  editHost(): void {
    const page = this.r.pick(PAGES);
    const before = this.hosts.get(page);
    const to = this.r.chance(0.1) ? undefined : page + this.r.pick([0x1000_0000n, 0x2000_0000n]);
    this.said.push(`EPT 0x${page.toString(16)} = ${to?.toString(16)}`);
    if (to !== undefined && before !== undefined && to !== before) {
      for (const va of ADDRESSES) {
        for (let level = 1; level <= 4; ++level) {
          const offset = 8n * INDEX(va, level);
          const value = this.memory.get(before | offset) ?? 0n;
          this.mmu.write(to | offset, value);
          this.memory.set(to | offset, value);
        }
      }
    }
    this.setHost(page, to);
  }

  access(va: bigint): void {
    const { r } = this;
    const user = r.chance(0.5);
    const access: Access = { kind: r.pick(["read", "write", "fetch"]), user, implicit: false };
    const possible = this.model.possible(va, this.pcid, this.globalPages);
    const outcome = this.mmu.access(va, access);
    this.said.push(`${user ? "user" : "supervisor"} ${access.kind} 0x${va.toString(16)}: ${show(outcome)}`);
    const wrong = this.judge(outcome, va, access, possible);
    if (wrong) throw new Error(`${wrong}\n${this.said.join("\n")}`);
    if (!outcome.ok && "fault" in outcome) {
      this.model.invalidate({ pcid: this.pcid, at: va, globals: true, tables: "used" });
    }
    if (!outcome.ok && "exit" in outcome && outcome.exit === "EPT_VIOLATION") {
      this.model.forgetPhysical(outcome.gpa);
      this.model.invalidate({ pcid: this.pcid, at: va, globals: true, tables: "used" });
    }
  }

  /** Nothing where the architecture allows the outcome. */
  judge(outcome: Outcome, va: bigint, access: Access, possible: Possible): string | undefined {
    if (outcome.ok) {
      const frame = outcome.hpa & ~0xfffn;
      const rights = possible.rights.get(frame);
      if (rights === undefined) return `no translation of 0x${va.toString(16)} could give ${show(outcome)}`;
      if (![...rights].some((its) => this.permits(its, access)))
        return `no right could allow ${show(outcome)}`;
      if (possible.frames.size > 1) ++this.stale;
      return undefined;
    }
    if ("exit" in outcome) {
      if (outcome.exit !== "EPT_VIOLATION") return `no ${outcome.exit} is possible`;
      return possible.missing.has(outcome.gpa & ~0xfffn)
        ? undefined
        : `0x${outcome.gpa.toString(16)} is mapped`;
    }
    if (outcome.fault !== "PF") return `no #${outcome.fault} is possible`;
    if ((outcome.errorCode & 1) === 0) return possible.notPresent ? undefined : "every entry is present";
    const denied = [...possible.refusals].some((its) => !this.permits(its, access));
    return denied ? undefined : "no right could refuse it";
  }

  permits(rights: bigint, { kind, user }: Access): boolean {
    return permits(rights, { user, write: kind === "write", fetch: kind === "fetch" }, this);
  }
}

function show(outcome: Outcome): string {
  return JSON.stringify(outcome, (_, v) => (typeof v === "bigint" ? `0x${v.toString(16)}` : v));
}

it("a stale translation is used only where the architecture allows one", () => {
  let stale = 0;
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 0x7fff_ffff }), (seed) => {
      const history = new History(seed);
      for (let i = 0; i < STEPS; ++i) history.step();
      stale += history.stale;
    }),
    { numRuns: runs, seed: 20260202, endOnFailure: true },
  );
  /* The histories are worth something only if caches and tables disagree in many of them. */
  expect(stale).toBeGreaterThan(runs);
});
