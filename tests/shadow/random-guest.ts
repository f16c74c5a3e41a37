import { Random } from "../core/random-world.js";
import { type Driven, FETCH, type Kind, READ, type Result, WRITE } from "./driven.js";

/** Paging modes of the random guests. */
export const guestModes = ["32-bit", "pae", "4-level", "5-level"] as const;
export type GuestMode = (typeof guestModes)[number];

const P = 1n;
const W = 2n;
const U = 4n;
const A = 0x20n;
const D = 0x40n;
const PS = 0x80n;
const G = 0x100n;
const NX = 1n << 63n;

const CR0 = 0x80000033n;
const WP = 0x10000n;
const PSE = 0x10n;
const PAE = 0x20n;
const PGE = 0x80n;
const LA57 = 0x1000n;
const PCIDE = 0x20000n;
const SMEP = 0x100000n;
const SMAP = 0x200000n;
const PKE = 0x400000n;
const LONG = 0x500n;
const NXE = 0x800n;

/** Frames: what may become a table, roots first, and data. All lie below 32 MiB, so that one large page maps them. */
const ROOTS = 4;
const TABLES = 13;
const FIRST_TABLE = 0x1000;
const DATA = [0x1010, 0x1011, 0x1012, 0x1400, 0x1401, 0x3000];
/** The kernel's own tables, which the guest leaves alone. */
const KERNEL = 0x10;

/** Slots that the addresses use, so that few entries matter. */
const SLOTS = [0, 1, 2, 9];

const gpaOf = (frame: number) => BigInt(frame) << 12n;

/**
 * A guest of nonsense: any frame may be a table of any level, its own too, under any rights; it stores into its tables
 * wherever they are mapped, and flushes what the architecture asks it to flush, and no more.
 */
export class RandomGuest {
  private readonly r: Random;
  private readonly tables = Array.from({ length: TABLES }, (_, i) => FIRST_TABLE + i);
  private cr0 = CR0 | WP;
  private cr4: bigint;
  private efer: bigint;
  private cr3: bigint;
  /** Whether something was taken from an entry that may be cached: by itself, an access is then led by an INVLPG. */
  private stale = false;
  private pcids = false;

  /** `machines` get the same operations; `check` hears of each result. */
  constructor(
    seed: number,
    readonly mode: GuestMode,
    private readonly machines: readonly Driven[],
    private readonly check: (what: string, results: readonly unknown[]) => void,
  ) {
    this.r = new Random(seed);
    const long = mode === "4-level" || mode === "5-level";
    this.cr4 = mode === "32-bit" ? PSE : mode === "5-level" ? PAE | LA57 : PAE;
    this.efer = long ? LONG | NXE : mode === "pae" ? NXE : 0n;
    this.cr3 = gpaOf(FIRST_TABLE);
    for (const table of this.tables) {
      for (const slot of SLOTS) {
        const value = this.entryPair(table);
        this.both((m) => m.store(this.entryAddress(table, slot), value));
      }
    }
    for (let i = 0; i < ROOTS; ++i) this.linkKernel(FIRST_TABLE + i);
    this.fillKernel();
    this.both((m) => {
      m.load("efer", this.efer);
      m.load("cr4", this.cr4);
      m.load("cr3", this.cr3);
      m.load("cr0", this.cr0);
      m.instruction(this.window(0x100000n), mode === "32-bit" ? 4 : 8);
    });
  }

  private both(act: (machine: Driven) => void): void {
    for (const machine of this.machines) act(machine);
  }

  /** All memory below 32 MiB through supervisor pages of the kernel. */
  private window(gpa: bigint): bigint {
    if (this.mode === "32-bit" || this.mode === "pae") return 0xc0000000n + gpa;
    return this.mode === "5-level" ? 0xffff_ffff_8000_0000n + gpa : 0xffff_ffff_8000_0000n + gpa;
  }

  private linkKernel(root: number): void {
    const to = gpaOf(KERNEL);
    const link = (slot: number, value: bigint) =>
      this.both((m) => m.store(gpaOf(root) + BigInt(slot * 8), value));
    if (this.mode === "32-bit") {
      for (let i = 0; i < 8; i += 2) {
        const pde = (n: number) => (BigInt(n) << 22n) | PS | A | D | W | P;
        link((768 + i) / 2, pde(i) | (pde(i + 1) << 32n));
      }
    } else if (this.mode === "pae") link(3, to | P);
    else link(511, to | A | W | P);
  }

  private fillKernel(): void {
    const put = (frame: number, slot: number, value: bigint) =>
      this.both((m) => m.store(gpaOf(frame) + BigInt(slot * 8), value));
    if (this.mode === "32-bit") return;
    let frame = KERNEL;
    if (this.mode === "5-level") put(frame, 511, gpaOf(++frame) | A | W | P);
    if (this.mode !== "pae") put(frame, 510, gpaOf(++frame) | A | W | P);
    for (let i = 0; i < 16; ++i) put(frame, i, (BigInt(i) << 21n) | PS | A | D | W | P);
  }

  private entryAddress(table: number, slot: number): bigint {
    return gpaOf(table) + BigInt(slot * 8);
  }

  /** An entry for `table`, which mostly keeps to the level that it began with. */
  private entry(table: number): bigint {
    const r = this.r;
    if (r.chance(0.08)) return 0n;
    const level = this.levelOf(table);
    let frame = r.chance(0.85) ? r.pick(this.below(level)) : r.pick([...this.tables, ...DATA]);
    if (level === 1 && r.chance(0.15)) frame = r.pick(this.tables);
    let value = gpaOf(frame);
    if (r.chance(0.97)) value |= P;
    if (r.chance(0.8)) value |= W;
    if (r.chance(0.8)) value |= U;
    if (r.chance(0.7)) value |= A;
    if (r.chance(0.6)) value |= D;
    if (r.chance(0.2)) value |= G;
    const large = level === 2 || (level === 3 && this.mode !== "pae");
    if (r.chance(large ? 0.15 : 0.03))
      value = (value & 0xfffn) | PS | (level === 2 && r.chance(0.8) ? 0x1000000n : 0n);
    if (this.mode === "32-bit") return value;
    if (r.chance(0.08)) value |= NX;
    if (this.mode !== "pae" && r.chance(0.3)) value |= BigInt(r.below(3)) << 59n;
    return value;
  }

  private get levels(): number {
    return { "32-bit": 2, pae: 3, "4-level": 4, "5-level": 5 }[this.mode];
  }

  /** The roots are the first tables; the others are dealt to the levels below in turn. */
  private levelOf(table: number): number {
    const i = table - FIRST_TABLE;
    return i < ROOTS ? this.levels : 1 + ((i - ROOTS) % (this.levels - 1));
  }

  private below(level: number): number[] {
    return level === 1 ? DATA : this.tables.filter((table) => this.levelOf(table) === level - 1);
  }

  /** Eight bytes: of 4-byte entries two. */
  private entryPair(table: number): bigint {
    return this.mode === "32-bit" ? this.entry(table) | (this.entry(table) << 32n) : this.entry(table);
  }

  private address(): bigint {
    const r = this.r;
    const offset = BigInt(r.below(512) * 8);
    const slot = () => BigInt(r.pick(SLOTS));
    if (this.mode === "32-bit") {
      const half = () => BigInt(r.pick(SLOTS) * 2 + r.below(2));
      return (half() << 22n) | (half() << 12n) | offset;
    }
    if (this.mode === "pae") return (BigInt(r.below(3)) << 30n) | (slot() << 21n) | (slot() << 12n) | offset;
    const upper = this.mode === "5-level" ? slot() << 48n : 0n;
    return upper | (slot() << 39n) | (slot() << 30n) | (slot() << 21n) | (slot() << 12n) | offset;
  }

  /** An address whose store hits a slot that matters, if it reaches a table. */
  private slotAddress(): bigint {
    return (this.address() & ~0xfffn) | BigInt(this.r.pick(SLOTS) * 8);
  }

  /** What is cached of one address goes; INVPCID leaves global pages. */
  private flush(va: bigint): void {
    const pcid = this.pcids ? Number(this.cr3 & 0xfffn) : 0;
    const long = this.mode === "4-level" || this.mode === "5-level";
    if (long && (this.cr4 & PGE) === 0n && this.r.chance(0.5)) this.both((m) => m.invpcid(0, pcid, va));
    else this.both((m) => m.invlpg(va));
  }

  private access(va: bigint, kind: Kind): Result {
    if (this.stale) this.flush(va);
    const results = this.machines.map((m) => m.access(va, kind));
    this.check(`access ${kind} at ${va.toString(16)}`, results);
    return results[0]!;
  }

  /** A store of eight bytes; the machines' memory holds tables only. */
  private write(va: bigint, value: bigint): void {
    const { outcome, gpa } = this.access(va, WRITE);
    if (outcome !== "ok" || gpa === undefined) return;
    const frame = Number(gpa >> 12n);
    if (!this.tables.includes(frame)) return;
    /* The kernel's part of the roots stays, or nothing could be stored any more. */
    const slot = Number(gpa & 0xfffn) >> 3;
    if (!SLOTS.includes(slot)) return;
    const old = this.machines[0]!.read(gpa);
    this.both((m) => m.store(gpa, value));
    if (this.mode === "32-bit") {
      if (takesAway(old & 0xffffffffn, value & 0xffffffffn) || takesAway(old >> 32n, value >> 32n))
        this.stale = true;
    } else if (takesAway(old, value)) this.stale = true;
  }

  /** The registers are loaded as a kernel does, at CPL 0. */
  private toggle(bits: bigint): void {
    this.cr4 ^= bits;
    this.both((m) => m.load("cr4", this.cr4));
  }

  private flushAll(): void {
    const long = this.mode === "4-level" || this.mode === "5-level";
    if (long && this.r.chance(0.5)) this.both((m) => m.invpcid(2, 0, 0n));
    else {
      this.toggle(PGE);
      this.toggle(PGE);
    }
    this.stale = false;
  }

  private loadCr3(): void {
    const r = this.r;
    let value = gpaOf(FIRST_TABLE + r.below(ROOTS));
    /* Another root has other global pages, which no load of CR3 takes from the TLBs. */
    if ((this.cr4 & PGE) !== 0n && value !== (this.cr3 & ~0xfffn)) this.stale = true;
    if (this.pcids) {
      value |= BigInt(r.below(3));
      /* What is cached for the PCID may be of another root: such a load has to flush. */
      const flushes = this.stale || this.rootOfPcid.get(value & 0xfffn) !== value || r.chance(0.4);
      this.rootOfPcid.set(value & 0xfffn, value);
      this.cr3 = value;
      this.both((m) => m.load("cr3", flushes ? value : value | (1n << 63n)));
      return;
    }
    this.cr3 = value;
    this.both((m) => m.load("cr3", value));
    /* Global pages stay cached. */
    if (this.stale && (this.cr4 & PGE) === 0n) this.stale = false;
  }
  private readonly rootOfPcid = new Map<bigint, bigint>();

  private changeMode(): void {
    const r = this.r;
    const long = this.mode === "4-level" || this.mode === "5-level";
    const choice = r.below(long ? 7 : 5);
    if (choice === 0) {
      this.cr0 ^= WP;
      this.both((m) => m.load("cr0", this.cr0));
    } else if (choice === 1) this.toggle(SMEP);
    else if (choice === 2) this.toggle(SMAP);
    else if (choice === 3) this.toggle(PGE);
    else if (choice === 4) {
      if (this.mode === "32-bit") return;
      this.efer ^= NXE;
      this.both((m) => m.load("efer", this.efer));
    } else if (choice === 5) this.toggle(PKE);
    else {
      if (!this.pcids) {
        this.cr3 &= ~0xfffn;
        this.both((m) => m.load("cr3", this.cr3));
        if ((this.cr4 & PGE) === 0n) this.stale = false;
      }
      this.toggle(PCIDE);
      this.pcids = !this.pcids;
      this.rootOfPcid.clear();
      this.rootOfPcid.set(0n, this.cr3);
      if (!this.pcids) {
        this.cr3 &= ~0xfffn;
        this.both((m) => m.load("cr3", this.cr3));
      }
    }
  }

  /** One random operation. */
  step(hostEvents: boolean): void {
    const r = this.r;
    const p = r.next();
    if (p < 0.5) {
      const state = [r.pick([0, 0, 3]), r.chance(0.3), r.pick([0, 0, 0x4, 0x8, 0x30])] as const;
      this.both((m) => m.state(...state));
      this.access(this.address(), r.pick([READ, READ, WRITE, FETCH]));
      this.both((m) => m.state(0, false, 0));
    } else if (p < 0.72) {
      this.both((m) => m.state(0, true, 0));
      const table = r.pick(this.tables);
      this.write(this.window(this.entryAddress(table, r.pick(SLOTS))), this.entryPair(table));
    } else if (p < 0.8) {
      const cpl = r.pick([0, 3]);
      this.both((m) => m.state(cpl, true, 0));
      this.write(this.slotAddress(), this.entryPair(r.pick(this.tables)));
    } else if (p < 0.84) {
      const va = this.address();
      this.both((m) => m.invlpg(va));
    } else if (p < 0.9) this.loadCr3();
    else if (p < 0.92) this.changeMode();
    else if (p < 0.97) this.flushAll();
    else if (hostEvents) {
      const frame = r.pick([...this.tables, ...DATA]);
      const what = r.pick([1, 1, 2, 3]);
      const frames = 1 + r.below(3);
      this.both((m) => m.host(what, frame, frames));
    }
  }

  /** Every table, with all flags. */
  memory(): void {
    for (const table of this.tables) {
      for (const slot of SLOTS) {
        const gpa = this.entryAddress(table, slot);
        this.check(
          `memory at ${gpa.toString(16)}`,
          this.machines.map((m) => m.read(gpa).toString(16)),
        );
      }
    }
  }
}

/** Whether a cached copy of `old` would allow more than `value` does, or another page, or would hide a flag to be set. */
function takesAway(old: bigint, value: bigint): boolean {
  if ((old & P) === 0n) return false;
  const adds = W | U | A | D;
  return (old & ~adds) !== (value & ~adds) || (old & ~value & adds) !== 0n;
}
