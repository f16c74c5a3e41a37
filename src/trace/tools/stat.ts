import { EventType } from "../records.js";
import type { TraceSource } from "../source.js";
import { type AccessKind, type GuestEvent, walkRecords } from "./decode.js";
import { pageOf } from "./tables.js";

export interface Reuse {
  accesses: number;
  /** First touches of a page: their reuse distance is infinite. */
  cold: number;
  /**
   * Touches by reuse distance: [0] the page touched just before, [k] with 2^(k-1) to 2^k - 1 other pages in between. A
   * fully associative LRU TLB of 2^k entries hits those in [0] to [k].
   */
  histogram: number[];
}

export interface TraceStatistics {
  file: string;
  pageBytes: number;
  /** Touches of pages: an access that crosses touches two. */
  fetch: Reuse;
  data: Reuse;
  workingSet: {
    /** Accesses in a window. */
    window: number;
    /** Distinct pages in each window, of instructions, of data, and of both. */
    fetch: number[];
    data: number[];
    all: number[];
  };
}

/** Distinct pages since the last touch of each page: a Fenwick tree over the times of last touches (Olken 1981). */
class Distances {
  readonly reuse: Reuse = { accesses: 0, cold: 0, histogram: [] };
  #last = new Map<number, number>();
  #tree = new Int32Array(1 << 16);
  #time = 0;
  #recent = -1;

  touch(page: number): void {
    const { reuse } = this;
    reuse.accesses++;
    if (page === this.#recent) {
      this.#count(0);
      return;
    }
    this.#recent = page;
    if (this.#time + 1 >= this.#tree.length) this.#compact();
    const last = this.#last.get(page);
    if (last === undefined) reuse.cold++;
    else {
      // Pages whose last touch is later.
      this.#count(this.#last.size - this.#sum(last));
      this.#add(last, -1);
    }
    this.#time++;
    this.#add(this.#time, 1);
    this.#last.set(page, this.#time);
  }

  #count(distance: number): void {
    const bucket = distance === 0 ? 0 : 32 - Math.clz32(distance);
    const { histogram } = this.reuse;
    while (histogram.length <= bucket) histogram.push(0);
    histogram[bucket]!++;
  }

  #add(at: number, change: number): void {
    for (let i = at; i < this.#tree.length; i += i & -i) this.#tree[i]! += change;
  }

  #sum(at: number): number {
    let sum = 0;
    for (let i = at; i > 0; i -= i & -i) sum += this.#tree[i]!;
    return sum;
  }

  /** Numbers the times anew, without gaps, in a tree with room for as many again. */
  #compact(): void {
    const order = [...this.#last].sort(([, a], [, b]) => a - b);
    const size = Math.max(1 << 16, 2 ** Math.ceil(Math.log2(order.length * 4 + 2)));
    this.#tree = new Int32Array(size);
    this.#time = 0;
    this.#last = new Map();
    for (const [page] of order) {
      this.#time++;
      this.#last.set(page, this.#time);
      this.#add(this.#time, 1);
    }
  }
}

/** Distinct pages by window of accesses. */
class WorkingSet {
  readonly counts: number[] = [];
  #pages = new Set<number>();
  #recent = -1;

  touch(page: number): void {
    if (page === this.#recent) return;
    this.#recent = page;
    this.#pages.add(page);
  }

  close(): void {
    this.counts.push(this.#pages.size);
    this.#pages = new Set();
    this.#recent = -1;
  }
}

const SHIFTS = { "4k": 0, "2m": 9, "1g": 18 } as const;

export interface StatOptions {
  /** Page size by which pages are told apart. */
  page?: "4k" | "2m" | "1g";
  /** Accesses in a window of the working set; chosen so that there are at most 1000 when absent and the length is known. */
  window?: number;
}

/** Reuse distances by page and working sets. Pages of different processes are different; those of the kernel are shared. */
export async function traceStatistics(
  trace: TraceSource,
  options: StatOptions = {},
  onSlice: (accesses: number) => void = () => {},
): Promise<TraceStatistics> {
  const shift = SHIFTS[options.page ?? "4k"];
  const { totals } = trace.header;
  const total = totals ? totals.fetches + totals.reads + totals.writes : 0;
  const window = options.window ?? Math.max(10_000, Math.ceil(total / 1000));
  const visitor = new Statistics(shift, window, trace.header.recorded.tables !== false);
  await walkRecords(trace, visitor, (scanner) => onSlice(scanner.accesses));
  visitor.finish();
  return {
    file: trace.name,
    pageBytes: 4096 * 2 ** shift,
    fetch: visitor.fetch.reuse,
    data: visitor.data.reuse,
    workingSet: {
      window,
      fetch: visitor.sets.fetch.counts,
      data: visitor.sets.data.counts,
      all: visitor.sets.all.counts,
    },
  };
}

class Statistics {
  readonly fetch = new Distances();
  readonly data = new Distances();
  readonly sets = { fetch: new WorkingSet(), data: new WorkingSet(), all: new WorkingSet() };
  #left: number;
  /** Who runs, as a number that tells pages apart. */
  #space = 0;
  #spaces = new Map<bigint, number>();
  #scale: number;

  constructor(
    readonly shift: number,
    readonly window: number,
    readonly hasTables: boolean,
  ) {
    this.#left = window;
    this.#scale = 2 ** shift;
  }

  access(kind: AccessKind, hi: number, lo: number, size: number): void {
    const page = pageOf(hi, lo);
    this.#touch(kind, hi, page);
    if ((lo & 4095) + size > 4096) this.#touch(kind, hi, page + 1);
    if (--this.#left === 0) this.finish();
  }

  #touch(kind: AccessKind, hi: number, page: number): void {
    let key = Math.floor(page / this.#scale);
    // The upper half is the kernel's. Of the lower half, 47 bits of address leave room for who runs.
    if (hi >= 0 && hi < 0x8000) key += this.#space * 2 ** 36;
    (kind === 0 ? this.fetch : this.data).touch(key);
    (kind === 0 ? this.sets.fetch : this.sets.data).touch(key);
    this.sets.all.touch(key);
  }

  event({ type, values }: GuestEvent): void {
    // With page-table isolation a process has two roots, 4 KiB apart.
    const space =
      type === EventType.CR3 && this.hasTables
        ? values[0]! & 0x000f_ffff_ffff_e000n
        : type === EventType.SWITCH && !this.hasTables
          ? values[0]!
          : undefined;
    if (space === undefined) return;
    const known = this.#spaces.get(space) ?? this.#spaces.size % 2 ** 15;
    this.#spaces.set(space, known);
    this.#space = known;
  }

  finish(): void {
    if (this.#left === this.window) return;
    this.#left = this.window;
    for (const set of Object.values(this.sets)) set.close();
  }
}
