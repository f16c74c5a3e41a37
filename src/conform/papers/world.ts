import { BareCore, type Parameters, parametersOf } from "../bare/core.js";
import { AccessBit } from "../bare/exports.js";
import type { Ept, Registers, Stage2 } from "../bare/types.js";

/** A guest that maps one page over a second stage of any depth, nothing cached: what one walk reads and costs. */

export interface Shape {
  /** Levels of the guest's tables, and the level of its leaf. */
  levels: 4 | 5;
  leaf: number;
  host?: {
    levels: 4 | 5;
    /** Level of the host's leaves for the pages of the guest's tables, and for its data. */
    tableLeaf: number;
    dataLeaf: number;
  };
}

export interface Walked {
  references: number;
  /** Of these, the guest's own entries. */
  guest: number;
  /** log2 of the page that a TLB keeps of it. */
  pageShift: number;
}

const PAGE = 0x1000n;
const GB = 1n << 30n;
const FLAGS = 0x67n;
const EPT_FLAGS = 0x337n;
const PS = 0x80n;
const LA57 = 1n << 12n;

const GUEST_TABLES = GB;
const GUEST_TABLES_HOST = 64n * GB;
const HOST_TABLES = 32n * GB;
const DATA_HOST = 128n * GB;

/** Sizes of a TLB entry by code (assembly/x86/entries.ts). */
const SHIFTS = [12, 21, 30, 22] as const;

class Tables {
  readonly root: bigint;
  #next: bigint;

  constructor(
    private readonly mmu: BareCore,
    first: bigint,
    private readonly levels: number,
    private readonly flags: bigint,
    /** Where a table lies in host memory. */
    private readonly place: (table: bigint) => bigint,
  ) {
    this.root = first;
    this.#next = first;
  }

  map(address: bigint, leaf: number, frame: bigint): void {
    let table = this.root;
    for (let level = this.levels; level >= leaf; --level) {
      const at = this.place(table) + 8n * ((address >> BigInt(3 + 9 * level)) & 0x1ffn);
      if (level === leaf) {
        this.mmu.write(at, frame | this.flags | (leaf > 1 ? PS : 0n));
        return;
      }
      let entry = this.mmu.read(at);
      if (entry === 0n) {
        this.#next += PAGE;
        entry = this.#next | (this.flags & ~0x38n);
        this.mmu.write(at, entry);
      }
      table = entry & 0x000f_ffff_ffff_f000n;
    }
  }
}

const down = (address: bigint, level: number) => address & ~((1n << BigInt(3 + 9 * level)) - 1n);

function build(shape: Shape, more: Parameters): { mmu: BareCore; gva: bigint } {
  const { levels, leaf, host } = shape;
  const registers: Registers = {
    cr0: 0x8001_0033n,
    cr3: GUEST_TABLES,
    cr4: 0x20n | (levels === 5 ? LA57 : 0n),
    efer: 0xd00n,
    pkru: 0n,
    pkrs: 0n,
    ac: false,
    maxphyaddr: 52,
    vendor: "intel",
  };
  const ept: Ept | undefined = host && {
    kind: "ept",
    root: HOST_TABLES,
    levels: host.levels,
    maxphyaddr: 52,
    accessedDirty: true,
    executeOnly: true,
    mbec: false,
  };
  const stage2: Stage2 = ept ?? { kind: "none" };
  const mmu = new BareCore(parametersOf(registers, stage2, more));
  const gva = (levels === 5 ? 1n << 52n : 1n << 45n) + 3n * GB;
  /* In another half of the second stage than the guest's tables, so that the two paths share the root alone. */
  const data = host ? (1n << BigInt(2 + 9 * host.levels)) * 2n : 4n * GB;
  const place = (table: bigint) => (host ? table - GUEST_TABLES + GUEST_TABLES_HOST : table);
  new Tables(mmu, GUEST_TABLES, levels, FLAGS, place).map(gva, leaf, data);
  if (host) {
    const second = new Tables(mmu, HOST_TABLES, host.levels, EPT_FLAGS, (table) => table);
    for (let i = 0n; i < BigInt(levels); ++i) {
      const gpa = GUEST_TABLES + i * PAGE;
      second.map(gpa, host.tableLeaf, down(place(gpa), host.tableLeaf));
    }
    second.map(data, host.dataLeaf, down(DATA_HOST, host.dataLeaf));
  }
  mmu.setState(registers, stage2);
  return { mmu, gva };
}

const READ = { kind: "read", user: false, implicit: false } as const;

export function walkOnce(shape: Shape): Walked {
  const { mmu, gva } = build(shape, {});
  const outcome = mmu.walk(gva, READ);
  if (!outcome.ok) throw new Error("the page is not mapped");
  const guest = mmu.core.references().reduce((sum, row) => sum + row[0]!, 0);
  const code = Number((outcome.entry! >> 52n) & 7n);
  return { references: outcome.references, guest, pageShift: SHIFTS[code]! };
}

/** Cycles of one walk when each reference takes `cycles` and nothing else costs anything. */
export function walkCycles(shape: Shape, cycles: number): number {
  const { mmu, gva } = build(shape, { referenceCycles: cycles, window: 1, walkers: 1 });
  /* The buffer's allocation may replace the memory. */
  const at = mmu.exports.embedSequenceAddress();
  new BigUint64Array(mmu.core.exports.memory.buffer, at, 1)[0] = gva;
  mmu.exports.embedSequence(0, 1, AccessBit.read);
  return mmu.core.counter("cyclesTotal");
}
