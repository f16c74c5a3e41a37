import type { MachineConfig } from "./config/index.js";
import { lower } from "./config/index.js";
import { Core, type CoreBuild } from "./core.js";
import { exitReasons } from "./generated/declarations.js";
import { machineLaws } from "./laws.js";
import { layPages } from "./played.js";
import type { Cycles, MachineResult, Oracle, StructureCounts } from "./result.js";
import type { Recorded } from "./trace/source.js";

/** A replay that cannot go on: the records contradict themselves or what was replayed. The message is one sentence. */
export class ReplayError extends Error {
  override name = "ReplayError";
  constructor(
    message: string,
    /** Byte offset in the record stream. */
    readonly offset: number,
    /** Records replayed before it. */
    readonly events: number,
  ) {
    super(message);
  }
}

/** `Stop` of assembly/replay/events.ts. */
const Stop = {
  none: 0,
  incomplete: 1,
  unknownRecord: 2,
  badVarint: 3,
  badValue: 4,
  end: 5,
  endMismatch: 6,
} as const;

const KINDS = ["read", "write", "fetch"] as const;
/** `Outcome` of assembly/x86/fault.ts. */
const OUTCOMES = [
  "translated",
  "a page fault",
  "a general-protection fault",
  "an EPT violation",
  "an EPT misconfiguration",
  "a nested page fault",
  "a full page-modification log",
] as const;

const NOWHERE = 0xffff_ffff_ffff_ffffn;

/** One machine: feed it the record stream, then take the result. */
export class Machine {
  readonly #core: Core;
  readonly #config: MachineConfig;
  /** Bytes of a record that the last slice did not finish. */
  #carry = new Uint8Array(0);
  #consumed = 0;
  #ended = false;

  constructor(config: MachineConfig, core?: CoreBuild | WebAssembly.Module) {
    this.#core = new Core(core);
    this.#config = config;
    this.#core.parameters.set(lower(config));
    this.#core.exports.start();
  }

  /** How large the pages of a trace without page tables were, and where: for the stand-in kernel, before the first slice. */
  layPages(recorded: Recorded): void {
    layPages(this.#core.exports, recorded);
  }

  /** Accesses replayed so far. */
  get accesses(): number {
    return this.#core.counter("accesses");
  }

  /** Records replayed so far. */
  get events(): number {
    return this.#core.exports.eventCountNumber();
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
    while (at < slice.length && !this.#ended) {
      const carried = this.#carry.length;
      const taken = Math.min(slice.length - at, size - carried);
      const window = new Uint8Array(core.memory.buffer, core.windowAddress(), carried + taken);
      window.set(this.#carry);
      window.set(slice.subarray(at, at + taken), carried);
      at += taken;
      const used = this.#replay(window.length);
      this.#consumed += used;
      const stop = core.stopReason();
      if (stop === Stop.end) {
        this.#ended = true;
      } else if (stop !== Stop.none && stop !== Stop.incomplete) {
        throw this.#failure(stop);
      }
      const rest = new Uint8Array(core.memory.buffer, core.windowAddress() + used, carried + taken - used);
      this.#carry = rest.slice();
      if (used === 0 && this.#carry.length === size) throw this.#failure(Stop.badValue);
    }
  }

  #replay(length: number): number {
    try {
      return this.#core.exports.replay(length);
    } catch (error) {
      if (!(error instanceof WebAssembly.RuntimeError)) throw error;
      const message = `the core stopped near record ${this.events}: ${error.message}; the trace needs more memory than the core can have (4 GiB), or is damaged.`;
      throw new ReplayError(message, this.#consumed, this.events);
    }
  }

  #failure(stop: number): ReplayError {
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
      cycles,
      laws: machineLaws({ counters, references, walkLengths, structures, exits, cycles, levels, oracle }),
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
    if (oracle.mismatches > 0) oracle.first = this.#firstMismatch();
    return oracle;
  }

  #firstMismatch(): string {
    const cells = this.#core.cells(this.#core.exports.mismatchAddress(), 7);
    const [event, va, found, recorded, kind, outcome, code] = Array.from(cells) as [
      bigint,
      bigint,
      bigint,
      bigint,
      bigint,
      bigint,
      bigint,
    ];
    const hex = (n: bigint) => `0x${n.toString(16)}`;
    const what = `event ${event}: the ${KINDS[Number(kind)]} at page ${hex(va)}`;
    const { plays, levels } = this.#config.kernel;
    if (plays !== "none" && outcome !== 0n && recorded === NOWHERE)
      return `${what} is at no address of a program with page tables of ${levels} levels${levels === 4 ? " (kernel.levels=5 has more)" : ""}, or there is no memory left for it (guest.memoryMiB)`;
    const truth =
      recorded === NOWHERE ? "the recording has it succeed" : `the recording says frame ${hex(recorded)}`;
    if (outcome !== 0n) {
      const error = outcome === 1n ? ` with error code ${hex(code)}` : "";
      return `${what} ends in ${OUTCOMES[Number(outcome)]}${error}, but ${truth}`;
    }
    const where = found === NOWHERE ? "memory that is not the guest's" : `frame ${hex(found)}`;
    return `${what} is translated to ${where}, but ${truth}`;
  }
}

/** Reasons an exit can have, in the order of the results. */
export const exitReasonNames: readonly string[] = exitReasons.map((r) => r.name);
