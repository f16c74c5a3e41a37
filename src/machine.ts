import type { MachineConfig } from "./config/index.js";
import { lower } from "./config/index.js";
import { Core, type CoreBuild } from "./core.js";
import { type ProbedAccess, probe, readExplanation } from "./explain/read.js";
import type { Explanation, Place } from "./explain/types.js";
import { exitReasons } from "./generated/declarations.js";
import { IntervalSampler, intervalLaws, MOST_INTERVALS } from "./intervals.js";
import { machineLaws } from "./laws.js";
import { mismatchText } from "./mismatch.js";
import { layPages } from "./played.js";
import { ReplayError } from "./replay-error.js";
import type { Cycles, MachineResult, Oracle, ShadowPages, StructureCounts } from "./result.js";
import type { Recorded } from "./trace/source.js";

/** `Stop` of assembly/replay/events.ts. */
const Stop = {
  none: 0,
  incomplete: 1,
  unknownRecord: 2,
  badVarint: 3,
  badValue: 4,
  end: 5,
  endMismatch: 6,
  stuck: 7,
  paused: 8,
} as const;

/** A core whose memory has grown this far has failed for want of more. */
const NEARLY_ALL_MEMORY = 3 * 2 ** 30;

/** AssemblyScript's allocator aborts by a message for one block over 1 GiB, and traps when memory cannot grow. */
function outOfMemory(error: unknown, memory: WebAssembly.Memory): boolean {
  return (
    memory.buffer.byteLength >= NEARLY_ALL_MEMORY ||
    (error instanceof Error && error.message.includes("Allocation too large"))
  );
}

/** One machine: feed it the record stream, then take the result. */
export class Machine {
  readonly #core: Core;
  readonly #config: MachineConfig;
  /** Bytes of a record that the last slice did not finish. */
  #carry = new Uint8Array(0);
  #consumed = 0;
  #ended = false;
  #warming = false;
  /** Figures at the end of the warm-up. */
  #before: BigUint64Array[] | undefined;
  #intervals: IntervalSampler | undefined;
  #onPause: (() => boolean) | undefined;
  #stopped = false;
  /** Accesses replayed when the explanation under way began. */
  #explainedFrom = 0;

  /** With a core that runs already, what is fed goes on from there. */
  constructor(config: MachineConfig, core?: CoreBuild | WebAssembly.Module | Core) {
    this.#config = config;
    if (core instanceof Core) {
      this.#core = core;
      return;
    }
    this.#core = new Core(core);
    this.#core.parameters.set(lower(config));
    this.#core.exports.start();
  }

  /** How large the pages of a trace without page tables were, and where: for the stand-in kernel, before the first slice. */
  layPages(recorded: Recorded): void {
    layPages(this.#core.exports, recorded);
  }

  /**
   * Leaves the first `accesses` out of the figures: they fill the TLBs, the caches and the hypervisor's tables. To be
   * called before the first slice.
   */
  warmUp(accesses: number): void {
    this.#warming = true;
    this.#core.exports.pauseAfter(accesses);
  }

  /**
   * Takes the figures apart by intervals of `every` accesses, or by the trace's markers, from the end of the warm-up on. To
   * be called before the first slice and after `warmUp`.
   */
  sampleIntervals(every: number | "markers"): void {
    this.#intervals = new IntervalSampler(this.#core, every, this.#config);
    if (!this.#warming) this.#intervals.start();
  }

  /**
   * Stops at once the replay has come so far, in accesses or in records, and then after every record for as long as
   * `onPause` gives true; false ends the replay there. In place of a warm-up and intervals.
   */
  pauseAt(place: { accesses: number } | { events: number }, onPause: () => boolean): void {
    const { exports } = this.#core;
    this.#onPause = onPause;
    if ("accesses" in place) exports.pauseAfter(place.accesses);
    else exports.pauseAfterEvents(place.events);
  }

  /** From here on, until `takeExplanation`, what each access does is kept step by step. */
  beginExplanation(): void {
    this.#explainedFrom = this.accesses;
    this.#core.exports.explainBegin();
  }

  /** Steps kept so far. */
  get explainedSteps(): number {
    return this.#core.exports.explainLogLength();
  }

  /** What was done since `beginExplanation`, before the access and the record that come next. */
  takeExplanation(): Explanation {
    const { exports } = this.#core;
    exports.explainEnd();
    return readExplanation(exports, "replayed", this.#place());
  }

  /**
   * What an access to `va` would do now, up to the fault or the exit that it may end in; the machine stays as it is. It
   * is made at the guest's privilege level unless `access` says otherwise. `cold`: as if the TLBs, the paging-structure
   * caches and the nested TLB were empty.
   */
  explain(va: bigint, access: ProbedAccess = {}, { cold = false } = {}): Explanation {
    const { exports } = this.#core;
    const user = access.user ?? exports.currentCpl() === 3;
    return probe(exports, va, { ...access, user }, { cold, at: this.#place() });
  }

  #place(): Place {
    const access = this.accesses;
    return { access, event: this.events - 1, isAccess: access > this.#explainedFrom };
  }

  /** Accesses replayed so far. */
  get accesses(): number {
    return this.#core.counter("accesses");
  }

  /** Records replayed so far. */
  get events(): number {
    return this.#core.exports.eventCountNumber();
  }

  /** Whether the replay was ended by who paused it. */
  get stopped(): boolean {
    return this.#stopped;
  }

  /** Whether the END record was replayed. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Replays a slice of the record stream; slices need not end where records do. Throws ReplayError. */
  feed(slice: Uint8Array): void {
    const core = this.#core.exports;
    const size = core.windowSize();
    let at = 0;
    while (at < slice.length && !this.#ended && !this.#stopped) {
      const carried = this.#carry.length;
      const taken = Math.min(slice.length - at, size - carried);
      const window = new Uint8Array(core.memory.buffer, core.windowAddress(), carried + taken);
      window.set(this.#carry);
      window.set(slice.subarray(at, at + taken), carried);
      at += taken;
      this.#carry = this.#replayWindow(window.length);
      if (this.#carry.length === size) throw this.#failure(Stop.badValue);
    }
    const after = this.#ended ? this.#carry.length + slice.length - at : 0;
    if (after > 0) {
      throw new ReplayError(
        `${after} bytes follow the END record at byte ${this.#consumed} of the record stream; the trace is damaged or was put together from several.`,
        this.#consumed,
        this.events,
      );
    }
  }

  /** Replays the window's first `length` bytes; returns the bytes of the record that it does not finish. */
  #replayWindow(length: number): Uint8Array<ArrayBuffer> {
    const core = this.#core.exports;
    let at = 0;
    while (true) {
      const end = this.#replay(at, length);
      this.#consumed += end - at;
      at = end;
      const stop = core.stopReason();
      if (stop === Stop.paused) {
        this.#pause();
        if (!this.#stopped) continue;
      }
      if (stop === Stop.end) this.#ended = true;
      else if (stop !== Stop.none && stop !== Stop.incomplete && stop !== Stop.paused)
        throw this.#failure(stop);
      return new Uint8Array(core.memory.buffer, core.windowAddress() + at, length - at).slice();
    }
  }

  /** The warm-up or an interval ends here, or somebody looks. */
  #pause(): void {
    if (this.#onPause !== undefined) {
      if (this.#onPause()) this.#core.exports.pauseAfter(0);
      else this.#stopped = true;
      return;
    }
    if (this.#warming) {
      this.#warming = false;
      this.#before = this.#core.snapshot();
      this.#intervals?.start();
    } else if (this.#intervals?.next() === false) {
      throw new ReplayError(
        `the run has more than ${MOST_INTERVALS} intervals; let each be of more accesses.`,
        this.#consumed,
        this.events,
      );
    }
  }

  #replay(from: number, length: number): number {
    const core = this.#core.exports;
    try {
      return core.replay(from, length);
    } catch (error) {
      if (!outOfMemory(error, core.memory)) throw error;
      throw new ReplayError(
        `the core ran out of memory (4 GiB) near record ${this.events}: the trace has more page tables or mapped pages than it can hold; cut it into shorter windows.`,
        this.#consumed,
        this.events,
      );
    }
  }

  #failure(stop: number): ReplayError {
    if (stop === Stop.stuck) {
      return new ReplayError(
        `event ${this.events} never resolves: the host's tables cannot map the guest memory that it needs; give the host more levels or address bits (host.levels, host.addressBits).`,
        this.#consumed,
        this.events,
      );
    }
    const where = `record ${this.events} at byte ${this.#consumed} of the record stream`;
    const what =
      stop === Stop.unknownRecord
        ? `${where} is of a type that this version does not know`
        : stop === Stop.badVarint
          ? `${where} holds a number longer than 64 bits`
          : stop === Stop.endMismatch
            ? `the END record's counts are not those of the ${this.accesses} accesses before it (${where})`
            : `${where} holds a value that its type does not allow`;
    return new ReplayError(
      `${what}; the trace is damaged or was written by a faulty recorder.`,
      this.#consumed,
      this.events,
    );
  }

  /** Lets everything under way finish and reads the figures. */
  finish(): MachineResult {
    const core = this.#core;
    core.exports.finish();
    const intervals = this.#intervals?.finish();
    if (this.#before !== undefined) core.subtract(this.#before);
    const counters = core.counters();
    const config = this.#config;
    const structures = core.structures() as unknown as Record<string, StructureCounts>;
    const references = core.references();
    const walkLengths = core.walkLengths();
    const exits = core.exits();
    const cycles: Cycles = {
      total: counters.cyclesTotal!,
      issue: counters.cyclesIssue!,
      tlb: counters.cyclesTlb!,
      walk: counters.cyclesWalk!,
      walkerQueue: counters.cyclesWalkerQueue!,
      data: counters.cyclesData!,
      exitHardware: counters.cyclesExitHardware!,
      exitHandler: counters.cyclesExitHandler!,
      ...(config.kernel.plays === "none" ? {} : { kernel: counters.cyclesKernel! }),
    };
    const oracle = this.#oracle(counters);
    const nested = config.technique === "nested";
    const levels = { guest: core.exports.guestLevelsMost(), host: nested ? config.host.levels : 0 };
    return {
      technique: config.technique,
      format: nested ? config.format : null,
      config,
      counters,
      references,
      walkLengths,
      structures,
      exits,
      ...(config.technique === "native" ? {} : { shadowPages: shadowPages(core.tracepoints()) }),
      cycles,
      ...(intervals === undefined ? {} : { intervals }),
      laws: [
        ...machineLaws({ counters, references, walkLengths, structures, exits, cycles, levels, oracle }),
        ...(intervals === undefined ? [] : intervalLaws(intervals, { counters, structures, exits, cycles })),
      ],
      oracle,
      guestDigest: core.guestDigest(),
    };
  }

  #oracle(counters: Record<string, number>): Oracle {
    const oracle: Oracle = {
      checked: counters.oracleChecked!,
      unknown: counters.oracleUnknown!,
      mismatches: counters.oracleMismatches!,
    };
    if (oracle.mismatches > 0) oracle.first = mismatchText(this.#core, this.#config);
    return oracle;
  }
}

function shadowPages(points: Record<string, number>): ShadowPages {
  const byLevel = (event: string): Record<string, number> =>
    Object.fromEntries(
      Object.entries(points)
        .filter(([name, count]) => count > 0 && name.startsWith(`sp_${event}_L`))
        .map(([name, count]) => [name.slice(`sp_${event}_L`.length), count]),
    );
  return {
    created: byLevel("created"),
    reused: byLevel("reused"),
    zapped: byLevel("zapped"),
    unsynced: byLevel("unsynced"),
    synced: byLevel("synced"),
  };
}

/** Reasons an exit can have, in the order of the results. */
export const exitReasonNames: readonly string[] = exitReasons.map((r) => r.name);
