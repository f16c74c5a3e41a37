import type { MachineConfig } from "./config/index.js";
import type { Core } from "./core.js";
import { Counter, exitReasons, structureCells, structures } from "./generated/declarations.js";
import type { Cycles, ExitCount, Law, StructureCounts } from "./result.js";

/** Most intervals of a run: more would be no figure any more, and a result too large to hold. */
export const MOST_INTERVALS = 100_000;

/** Columns by interval. */
export interface Intervals {
  /** Accesses to an interval, or that each marker of the trace ends one. The last one may be shorter. */
  every: number | "markers";
  /** Accesses replayed up to the end of each, from the start of the trace, those of a warm-up included. */
  end: number[];
  /** With `markers`: the marker that ended each; null where the trace ended it. */
  markers?: (number | null)[];
  /** Accesses in the interval. This and every column but the working set sums to the machine's figure. */
  accesses: number[];
  /** Distinct 4 KiB pages of guest-physical memory that the accesses reached. */
  workingSet: number[];
  /** Misses of each TLB that the machine has. */
  misses: Partial<Record<TlbName, number[]>>;
  walks: number[];
  /** Page-table entries read by hardware walks. */
  references: number[];
  /** Exits by reason, of the reasons that occurred. */
  exits: Record<string, number[]>;
  /** Core cycles of these exits. */
  exitCycles: Record<string, number[]>;
  /** Core cycles and their parts. */
  cycles: Partial<Record<keyof Cycles, number[]>>;
}

const TLBS = ["l1d", "l1i", "l1s", "l2", "l2i"] as const;
export type TlbName = (typeof TLBS)[number];

const CYCLES = {
  total: Counter.cyclesTotal,
  issue: Counter.cyclesIssue,
  tlb: Counter.cyclesTlb,
  walk: Counter.cyclesWalk,
  walkerQueue: Counter.cyclesWalkerQueue,
  data: Counter.cyclesData,
  exitHardware: Counter.cyclesExitHardware,
  exitHandler: Counter.cyclesExitHandler,
  kernel: Counter.cyclesKernel,
} as const;

/** One cumulative figure of the core, cut into what each interval added. */
class Column {
  readonly values: number[] = [];
  #last = 0n;

  /** `cell` is the number of its 64-bit cell in the core's memory. */
  constructor(
    readonly name: string,
    readonly cell: number,
  ) {}

  start(memory: BigUint64Array): void {
    this.#last = memory[this.cell]!;
  }
  sample(memory: BigUint64Array): void {
    const now = memory[this.cell]!;
    this.values.push(Number(now - this.#last));
    this.#last = now;
  }
  /** What was added since the last sample belongs to it. */
  extend(memory: BigUint64Array): void {
    const now = memory[this.cell]!;
    this.values[this.values.length - 1]! += Number(now - this.#last);
    this.#last = now;
  }
}

const MISSES = structureCells.find(({ name }) => name === "misses")!.value;

function missesCell(tlb: TlbName): number {
  return structures.find(({ name }) => name === tlb)!.value * structureCells.length + MISSES;
}

/** Takes the figures of one machine apart by intervals: samples them wherever its replay pauses. */
export class IntervalSampler {
  readonly #core: Core;
  readonly #every: number | "markers";
  readonly #end: number[] = [];
  readonly #markers: (number | null)[] = [];
  readonly #workingSet: number[] = [];
  readonly #accesses: Column;
  readonly #walks: Column;
  readonly #references: Column;
  readonly #misses: Column[];
  readonly #exits: Column[];
  readonly #exitCycles: Column[];
  readonly #cycles: Column[];
  readonly #columns: Column[];

  constructor(core: Core, every: number | "markers", config: MachineConfig) {
    this.#core = core;
    this.#every = every;
    const { exports } = core;
    const counter = (index: number) => exports.countersAddress() / 8 + index;
    this.#accesses = new Column("accesses", counter(Counter.accesses));
    this.#walks = new Column("walks", counter(Counter.walks));
    this.#references = new Column("references", counter(Counter.tableReferences));
    this.#misses = TLBS.filter((name) => config.tlb[name].length > 0).map(
      (name) => new Column(name, exports.structuresAddress() / 8 + missesCell(name)),
    );
    this.#exits = exitReasons.map(
      ({ name, value }) => new Column(name, exports.exitCountsAddress() / 8 + value),
    );
    this.#exitCycles = exitReasons.map(
      ({ name, value }) => new Column(name, exports.exitCyclesAddress() / 8 + value),
    );
    this.#cycles = Object.entries(CYCLES)
      .filter(([name]) => name !== "kernel" || config.kernel.plays !== "none")
      .map(([name, index]) => new Column(name, counter(index)));
    this.#columns = [
      this.#accesses,
      this.#walks,
      this.#references,
      ...this.#misses,
      ...this.#exits,
      ...this.#exitCycles,
      ...this.#cycles,
    ];
  }

  /** The first interval begins. */
  start(): void {
    for (const column of this.#columns) column.start(this.#memory());
    this.#core.exports.watchFrames();
    if (this.#every === "markers") this.#core.exports.pauseAtMarkers(true);
    else this.#await(this.#core.counter("accesses"));
  }

  /** An interval ends where the replay paused, and the next begins. False if there are too many. */
  next(): boolean {
    const { exports } = this.#core;
    if (this.#end.length === MOST_INTERVALS) return false;
    const marker = exports.markerReached();
    this.#sample(marker > 255 ? null : marker);
    exports.watchFrames();
    this.#await(this.#core.counter("accesses"));
    return true;
  }

  #memory(): BigUint64Array {
    return new BigUint64Array(this.#core.exports.memory.buffer);
  }

  /** Interval ends are multiples of `every`; a record that holds many accesses may pass several of them. */
  #await(accesses: number): void {
    if (this.#every === "markers") return;
    this.#core.exports.pauseAfter(accesses - (accesses % this.#every) + this.#every);
  }

  #sample(marker: number | null): void {
    const memory = this.#memory();
    for (const column of this.#columns) column.sample(memory);
    this.#end.push(this.#core.counter("accesses"));
    this.#workingSet.push(this.#core.exports.framesReached());
    if (this.#every === "markers") this.#markers.push(marker);
  }

  /** The columns, once the machine has finished. What came after the last access belongs to the last interval. */
  finish(): Intervals {
    const { length } = this.#end;
    const last = length === 0 ? undefined : this.#end[length - 1];
    if (last === this.#core.counter("accesses"))
      for (const column of this.#columns) column.extend(this.#memory());
    else this.#sample(null);
    const table = (columns: readonly Column[]) =>
      Object.fromEntries(columns.map(({ name, values }) => [name, values]));
    const used = (columns: readonly Column[]) =>
      table(columns.filter((_, i) => this.#exits[i]!.values.some((n) => n > 0)));
    return {
      every: this.#every,
      end: this.#end,
      ...(this.#every === "markers" ? { markers: this.#markers } : {}),
      accesses: this.#accesses.values,
      workingSet: this.#workingSet,
      misses: table(this.#misses),
      walks: this.#walks.values,
      references: this.#references.values,
      exits: used(this.#exits),
      exitCycles: used(this.#exitCycles),
      cycles: table(this.#cycles),
    };
  }
}

interface Totals {
  counters: Record<string, number>;
  structures: Record<string, StructureCounts>;
  exits: readonly ExitCount[];
  cycles: Cycles;
}

/** The intervals sum to the totals, column by column. */
export function intervalLaws(intervals: Intervals, { counters, structures, exits, cycles }: Totals): Law[] {
  const sum = (numbers: readonly number[] = []) => numbers.reduce((a, b) => a + b, 0);
  const byReason = (columns: Record<string, number[]>, of: (exit: ExitCount) => number) =>
    exits.map((exit): [string, number, number] => [
      `${exit.reason} exits`,
      sum(columns[exit.reason]),
      of(exit),
    ]);
  const compared: [string, number, number][] = [
    ["accesses", sum(intervals.accesses), counters.accesses!],
    ["walks", sum(intervals.walks), counters.walks!],
    ["references", sum(intervals.references), counters.tableReferences!],
    ...Object.entries(intervals.misses).map(([name, column]): [string, number, number] => [
      `${name} misses`,
      sum(column),
      structures[name]!.misses,
    ]),
    ...byReason(intervals.exits, ({ count }) => count),
    ...byReason(intervals.exitCycles, (exit) => exit.cycles),
    ...Object.entries(intervals.cycles).map(([name, column]): [string, number, number] => [
      `${name} cycles`,
      sum(column),
      cycles[name as keyof Cycles]!,
    ]),
  ];
  const wrong = compared.find(([, intervalSum, total]) => intervalSum !== total);
  const [name, intervalSum, total] = wrong ?? compared[0]!;
  return [
    {
      name: "intervals",
      holds: wrong === undefined,
      detail: `sum of ${name} ${intervalSum} = ${total}`,
    },
  ];
}
