import type { ExplainExports } from "./explain/log.js";
import {
  Counter,
  counters,
  exitReasons,
  parameterCount,
  structureCells,
  structures,
  tracepoints,
} from "./generated/declarations.js";
import { type CoreBuild, instantiate, simdSupported } from "./instantiate.js";

export { type CoreBuild, simdSupported } from "./instantiate.js";

/** What the core exports: numbers and addresses (assembly/index.ts). */
export interface CoreExports extends ExplainExports {
  readonly memory: WebAssembly.Memory;
  /** Privilege level of the guest. */
  currentCpl(): number;
  parametersAddress(): number;
  countersAddress(): number;
  referencesAddress(): number;
  walkLengthsAddress(): number;
  exitCountsAddress(): number;
  exitCyclesAddress(): number;
  structuresAddress(): number;
  tracepointsAddress(): number;
  /** Error codes of faults and exits, and how many there were: 32 pairs of cells for each family. */
  errorCodesAddress(): number;
  mismatchAddress(): number;
  windowAddress(): number;
  windowSize(): number;
  start(): void;
  /** Replays whole records of the window's bytes `from` to `length`; returns the byte where it ended. */
  replay(from: number, length: number): number;
  stopReason(): number;
  /** Lets `replay` pause once, after so many accesses or records; Infinity for never. */
  pauseAfter(accesses: number): void;
  pauseAfterEvents(events: number): void;
  /** Lets `replay` pause after each marker. */
  pauseAtMarkers(yes: boolean): void;
  /** The marker that `replay` paused at, or 256. */
  markerReached(): number;
  /** Starts an interval in which the guest's frames that accesses reach are counted. */
  watchFrames(): void;
  framesReached(): number;
  eventCountNumber(): number;
  finish(): void;
  kernelLargeRange(firstLow: number, firstHigh: number, endLow: number, endHigh: number): void;
  kernelPlacedRange(
    firstLow: number,
    firstHigh: number,
    endLow: number,
    endHigh: number,
    frameLow: number,
    frameHigh: number,
  ): void;
  /** Most levels of the tables that the hardware walked. */
  guestLevelsMost(): number;
  guestDigestLow(): number;
  guestDigestHigh(): number;
}

/** Levels of a reference cell: 0 (the final address, or the guest entry itself) to 5. */
export const LEVELS = 6;
const WALK_BUCKETS = 64;

/** Exact below 2^53, which no counter reaches in a lifetime of replay. */
function numbers(cells: BigUint64Array): number[] {
  return Array.from(cells, Number);
}

/** One instance of the core: one machine. */
export class Core {
  readonly exports: CoreExports;

  /** `which` is a build, a compiled module of the core (the debug build, say), or an instance's exports. */
  constructor(which: CoreBuild | WebAssembly.Module | CoreExports = simdSupported() ? "simd" : "scalar") {
    const isBuild = typeof which === "string" || which instanceof WebAssembly.Module;
    this.exports = isBuild ? instantiate(which) : which;
  }

  /** The parameter block, to be filled before `start`. */
  get parameters(): Uint32Array {
    return new Uint32Array(this.exports.memory.buffer, this.exports.parametersAddress(), parameterCount);
  }

  /** Views on the core's memory are taken anew each time: growth detaches old ones. */
  cells(address: number, length: number): BigUint64Array {
    return new BigUint64Array(this.exports.memory.buffer, address, length);
  }

  counter(counter: keyof typeof Counter): number {
    return Number(this.cells(this.exports.countersAddress(), counters.length)[Counter[counter]]);
  }

  counters(): Record<string, number> {
    const cells = numbers(this.cells(this.exports.countersAddress(), counters.length));
    return Object.fromEntries(counters.map((c) => [c.name, cells[c.value]!]));
  }

  /** KVM's tracepoints. */
  tracepoints(): Record<string, number> {
    const cells = numbers(this.cells(this.exports.tracepointsAddress(), tracepoints.length));
    return Object.fromEntries(tracepoints.map((t) => [t.name, cells[t.value]!]));
  }

  /** References by guest level (row) and host level (column). */
  references(): number[][] {
    const cells = numbers(this.cells(this.exports.referencesAddress(), LEVELS * LEVELS));
    return Array.from({ length: LEVELS }, (_, g) => cells.slice(g * LEVELS, (g + 1) * LEVELS));
  }

  /** Walks by number of references; the last bucket holds everything longer. Trailing zeros are cut. */
  walkLengths(): number[] {
    const cells = numbers(this.cells(this.exports.walkLengthsAddress(), WALK_BUCKETS));
    let end = cells.length;
    while (end > 0 && cells[end - 1] === 0) --end;
    return cells.slice(0, end);
  }

  exits(): { reason: string; count: number; cycles: number }[] {
    const counts = numbers(this.cells(this.exports.exitCountsAddress(), exitReasons.length));
    const cycles = numbers(this.cells(this.exports.exitCyclesAddress(), exitReasons.length));
    return exitReasons
      .map((r) => ({ reason: r.name, count: counts[r.value]!, cycles: cycles[r.value]! }))
      .filter((row) => row.count > 0);
  }

  structures(): Record<string, Record<string, number>> {
    const cells = numbers(
      this.cells(this.exports.structuresAddress(), structures.length * structureCells.length),
    );
    return Object.fromEntries(
      structures.map((s) => [
        s.name,
        Object.fromEntries(
          structureCells.map((c) => [c.name, cells[s.value * structureCells.length + c.value]!]),
        ),
      ]),
    );
  }

  /** Copies of all figures as they are now. */
  snapshot(): BigUint64Array[] {
    return this.#regions().map((cells) => cells.slice());
  }

  /** Takes the figures of an earlier snapshot off, but for gauges and peaks: what is left was counted since. */
  subtract(earlier: readonly BigUint64Array[]): void {
    const [all, ...others] = this.#regions() as [BigUint64Array, ...BigUint64Array[]];
    for (const { value, unit } of counters) {
      if (!/\((gauge|peak)\)/.test(unit)) all[value]! -= earlier[0]![value]!;
    }
    for (const [i, cells] of others.entries()) {
      for (let at = 0; at < cells.length; ++at) cells[at]! -= earlier[i + 1]![at]!;
    }
  }

  #regions(): BigUint64Array[] {
    const { exports } = this;
    return [
      this.cells(exports.countersAddress(), counters.length),
      this.cells(exports.referencesAddress(), LEVELS * LEVELS),
      this.cells(exports.walkLengthsAddress(), WALK_BUCKETS),
      this.cells(exports.exitCountsAddress(), exitReasons.length),
      this.cells(exports.exitCyclesAddress(), exitReasons.length),
      this.cells(exports.structuresAddress(), structures.length * structureCells.length),
      this.cells(exports.tracepointsAddress(), tracepoints.length),
    ];
  }

  /** Sixteen hexadecimal digits. */
  guestDigest(): string {
    const part = (n: number) => (n >>> 0).toString(16).padStart(8, "0");
    return part(this.exports.guestDigestHigh()) + part(this.exports.guestDigestLow());
  }
}
