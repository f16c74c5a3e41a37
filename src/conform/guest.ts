import { lower, type MachineConfig } from "../config/index.js";
import { Core } from "../core.js";
import { machineLaws } from "../laws.js";
import type { Law, StructureCounts } from "../result.js";
import { Cell, type EmbedExports } from "./bare/exports.js";
import { scatter } from "./silicon/random.js";

/**
 * A guest laid out by hand in the product's core: its tables and, under nested paging, the second stage's, entry by
 * entry. Addresses are exact in a double: none reaches 2^53.
 */

/** The low 12 bits of entries that lead to a table, and of leaves. */
export interface Flags {
  table: number;
  leaf: number;
}
/** Present, writable, user, accessed and dirty: no walk has a flag to set. */
const ORDINARY: Flags = { table: 0x67, leaf: 0x67 };
/** The same of EPT: all rights, write-back, accessed and dirty. */
const EPT: Flags = { table: 0x107, leaf: 0x337 };
const LARGE = 0x80;
const PAGE = 4096;

/** Host frames of data, of the guest's tables and of the second stage's tables, apart from each other. */
const DATA_FRAMES = 2 ** 28;
const TABLE_FRAMES = 2 * 2 ** 28;
const HOST_TABLE_FRAMES = 3 * 2 ** 28;
const FRAME_BITS = 28;

/** Tables of four levels, built as they are needed. */
class Tables {
  readonly root: number;
  readonly #children: Map<number, number>[] = [];
  readonly #allocate: () => number;
  readonly #write: (frame: number, index: number, entry: number) => void;
  readonly #flags: Flags;

  constructor(
    flags: Flags,
    allocate: () => number,
    write: (frame: number, index: number, entry: number) => void,
  ) {
    this.#flags = flags;
    this.#allocate = allocate;
    this.#write = write;
    for (let level = 0; level <= 4; ++level) this.#children.push(new Map());
    this.root = allocate();
  }

  map(address: number, leafLevel: number, frame: number): void {
    let table = this.root;
    for (let level = 4; level > leafLevel; --level) {
      const prefix = Math.floor(address / 2 ** (12 + 9 * (level - 1)));
      let child = this.#children[level]!.get(prefix);
      if (child === undefined) {
        child = this.#allocate();
        this.#children[level]!.set(prefix, child);
        this.#write(table, prefix % 512, child * PAGE + this.#flags.table);
      }
      table = child;
    }
    const index = Math.floor(address / 2 ** (12 + 9 * (leafLevel - 1))) % 512;
    this.#write(table, index, frame * PAGE + this.#flags.leaf + (leafLevel > 1 ? LARGE : 0));
  }
}

export interface Layout {
  /** Guest frame of the n-th table, or undefined for consecutive ones. */
  tableFrame?: (n: number) => number;
  /** Flags of the guest's entries; default is all that a walk needs and sets. */
  flags?: Flags;
  seed: number;
}

/** First guest frame of the tables, and of data. */
const FIRST_TABLE = 0x10_0000;
export const FIRST_DATA = 0x100_0000;

export class Guest {
  readonly core: Core;
  readonly #exports: EmbedExports;
  readonly #config: MachineConfig;
  readonly #seed: number;
  readonly #hosts = new Map<number, number>();
  readonly #second: Tables | undefined;
  readonly #guest: Tables;
  #cells: Uint32Array;
  #hostTables = 0;
  #tables = 0;

  constructor(config: MachineConfig, layout: Layout) {
    this.#config = config;
    this.#seed = layout.seed;
    this.core = new Core();
    this.#exports = this.core.exports as unknown as EmbedExports;
    this.core.parameters.set(lower(config));
    this.#exports.start();
    this.#exports.embedLeaveExits(true);
    this.#exports.embedSequenceAddress();
    this.#cells = new Uint32Array(0);
    if (config.technique === "nested") {
      this.#second = new Tables(
        config.format === "ept" ? EPT : ORDINARY,
        () => HOST_TABLE_FRAMES + scatter(this.#hostTables++, FRAME_BITS, this.#seed + 2),
        (frame, index, entry) => this.#store(frame, index, entry),
      );
    }
    const taken = new Set<number>();
    this.#guest = new Tables(
      layout.flags ?? ORDINARY,
      () => {
        let gfn: number;
        do gfn = FIRST_TABLE + (layout.tableFrame?.(this.#tables++) ?? this.#tables++);
        while (taken.has(gfn));
        taken.add(gfn);
        this.back(gfn, TABLE_FRAMES + scatter(gfn - FIRST_TABLE, FRAME_BITS, this.#seed + 1));
        return gfn;
      },
      (gfn, index, entry) => this.#store(this.#hosts.get(gfn)!, index, entry),
    );
    this.#setRegisters();
  }

  #setRegisters(): void {
    const cells = this.core.cells(this.#exports.embedAddress(), 32);
    const CR0 = 0x8001_0033n;
    const CR4_PAE = 0x20n;
    const EFER = 0xd00n;
    cells.set([CR0, BigInt(this.#guest.root * PAGE), CR4_PAE, EFER, 0n, 0n, 0n]);
    cells[Cell.secondRoot] = BigInt((this.#second?.root ?? 0) * PAGE);
    cells[Cell.vpid] = this.#second ? 1n : 0n;
    cells[Cell.codeLong] = 1n;
    this.#exports.embedSetState();
  }

  #store(frame: number, index: number, entry: number): void {
    if (this.#cells.length === 0)
      this.#cells = new Uint32Array(this.core.exports.memory.buffer, this.#exports.embedAddress(), 64);
    const cells = this.#cells;
    const address = frame * PAGE + index * 8;
    cells[Cell.address * 2] = address >>> 0;
    cells[Cell.address * 2 + 1] = Math.floor(address / 0x1_0000_0000);
    cells[Cell.value * 2] = entry >>> 0;
    cells[Cell.value * 2 + 1] = Math.floor(entry / 0x1_0000_0000);
    this.#exports.embedWrite(8);
  }

  /** Gives a guest frame its host frame. Natively both are the same. */
  back(gfn: number, hfn: number): void {
    if (this.#hosts.has(gfn)) return;
    const frame = this.#second ? hfn : gfn;
    this.#hosts.set(gfn, frame);
    this.#second?.map(gfn * PAGE, 1, frame);
  }

  /** Data frames whose host frames come in runs of 16, each run somewhere; a run does not begin where a group of four does. */
  backInRuns(gfn: number): void {
    const n = gfn - FIRST_DATA;
    const run = scatter(Math.floor(n / 16), FRAME_BITS - 4, this.#seed);
    this.back(gfn, DATA_FRAMES + run * 16 + ((n + 1) % 16));
  }

  /** Data frames whose host frames are anywhere. */
  backAnywhere(gfn: number): void {
    this.back(gfn, DATA_FRAMES + scatter(gfn - FIRST_DATA, FRAME_BITS, this.#seed));
  }

  /** Maps a page of the guest; its frames must be backed. */
  map(va: number, leafLevel: number, gfn: number): void {
    this.#guest.map(va, leafLevel, gfn);
  }

  /** Drops all that TLBs and paging-structure caches hold. */
  flush(): void {
    this.#exports.embedFlush();
  }

  /** Where accesses are written: two 32-bit halves each. */
  addresses(): Uint32Array {
    return new Uint32Array(
      this.core.exports.memory.buffer,
      this.#exports.embedSequenceAddress(),
      2 * this.#exports.embedSequenceMost(),
    );
  }

  run(first: number, accesses: number, access: number): void {
    this.#exports.embedSequence(first, accesses, access);
  }

  /** The conservation laws that do not hold. */
  brokenLaws(): Law[] {
    const counters = this.core.counters();
    const levels = { guest: this.core.exports.guestLevelsMost(), host: this.#second ? 4 : 0 };
    const cycles = {
      total: counters.cyclesTotal!,
      issue: counters.cyclesIssue!,
      tlb: counters.cyclesTlb!,
      walk: counters.cyclesWalk!,
      walkerQueue: counters.cyclesWalkerQueue!,
      data: counters.cyclesData!,
      exitHardware: counters.cyclesExitHardware!,
      exitHandler: counters.cyclesExitHandler!,
    };
    return machineLaws({
      counters,
      references: this.core.references(),
      walkLengths: this.core.walkLengths(),
      structures: this.core.structures() as unknown as Record<string, StructureCounts>,
      exits: this.core.exits(),
      cycles,
      levels,
      oracle: { mismatches: counters.oracleMismatches! },
    }).filter((law) => !law.holds);
  }

  get config(): MachineConfig {
    return this.#config;
  }
}
