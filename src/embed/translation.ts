import { ConfigError } from "../config/index.js";
import { readExplanation } from "../explain/read.js";
import type { Explanation } from "../explain/types.js";
import { Cell, Status } from "../generated/abi.js";
import type { Value } from "./block.js";
import { checkInteger } from "./check-options.js";
import { PlacedCore } from "./placed-core.js";

const NOWHERE = 0xffff_ffff;
/** log2 of the page sizes, as TLB entries code them. */
const SHIFTS = [12, 21, 30, 22, 14];
/** SDM 3C appendix C; AMD's exit code of a nested page fault, APM 2 appendix C. */
const EXIT_CODES: Partial<Record<number, number>> = {
  [Status.eptViolation]: 48,
  [Status.eptMisconfig]: 49,
  [Status.pmlFull]: 62,
  [Status.nestedPageFault]: 0x400,
};
const VECTORS: Partial<Record<number, number>> = {
  [Status.pageFault]: 14,
  [Status.generalProtection]: 13,
  [Status.virtualizationException]: 20,
};

/** Translations, and what each of them left. */
export class Translation extends PlacedCore {
  /**
   * Translates the linear address `high`:`low` for `access`, bits of `Access`, as the CPU would make it: with its TLBs,
   * accessed and dirty flags, counters and cycles. Returns a `Status`. An access that crosses a page is two translations,
   * the second with 0 bytes; only a recorder looks at `bytes`.
   */
  translate(low: number, high: number, access: number, bytes = 1): number {
    if (this.plain) return this.exports.embedTranslate(low, high, access);
    if (this.recorder !== undefined) return this.#recorded(low, high, access, bytes);
    return this.after(this.exports.embedTranslate(low, high, access));
  }

  /**
   * `translate` and `physical` in one: the physical address after ok, else the negative status. The other properties are
   * as after `translate`.
   */
  physicalOf(low: number, high: number, access: number, bytes = 1): number {
    if (this.plain) return this.exports.embedPhysical(low, high, access);
    if (this.recorder === undefined) return this.after(this.exports.embedPhysical(low, high, access));
    const status = this.#recorded(low, high, access, bytes);
    return status === Status.ok ? this.physical : -status;
  }

  #recorded(low: number, high: number, access: number, bytes: number): number {
    const recorder = this.recorder!;
    recorder.checkAccess(access);
    if (bytes !== 0) recorder.settle();
    const status = this.exports.embedTranslate(low, high, access);
    this.functions.check();
    recorder.access(low, high, access, bytes, status);
    this.feed?.drain();
    return status;
  }

  /**
   * What `translate` would answer, without an effect on flags, TLBs, counters or the clock. TLBs and tables are asked,
   * paging-structure caches are not. Where the model's hypervisor would have to act, the guest's own tables answer.
   */
  probe(low: number, high: number, access: number): number {
    return this.asked(this.exports.embedProbe(low, high, access));
  }

  /**
   * What an access to `va`, bits of `Access`, would do, step by step, for a person to read: as `translate` would make it,
   * with its TLBs and paging-structure caches, up to the fault or the exit that it may end in, and without an effect on
   * anything. `cold`: as if TLBs, paging-structure caches and the nested TLB were empty. `explanationText` makes lines of it. The memory
   * that the core lies in may grow by it.
   */
  explain(va: Value, access = 0, { cold = false } = {}): Explanation {
    const address = BigInt.asUintN(64, BigInt(va));
    this.exports.explainProbe(Number(address & 0xffff_ffffn), Number(address >> 32n), access, cold);
    this.functions.check();
    return readExplanation(this.exports, "probe", null, cold);
  }

  /** After ok and emulated: the physical address, in the guest's own if the model is its hypervisor. */
  get physical(): number {
    return this.block.number(Cell.hostPhysical);
  }
  /** After ok and emulated: the byte of `memory` (or of the host's buffer) that it is, or -1 outside of the ranges. */
  get offset(): number {
    if (this.linear) {
      const at = this.exports.embedOffset() >>> 0;
      return at === NOWHERE ? -1 : at;
    }
    const at = this.physical;
    const range = this.ranges.find(({ address, size }) => at >= address && at < address + size);
    return range === undefined ? -1 : range.base + at - range.address;
  }
  /** After ok and emulated: what answers there, a `Kind`. */
  get kind(): number {
    return this.asked(this.exports.embedKind());
  }
  /**
   * After ok: bits of `Right`, what may be kept with the translation until the feed says otherwise. A write is among them
   * only while the leaf is dirty.
   */
  get rights(): number {
    return this.exports.embedRights();
  }
  /** After ok: log2 of the bytes around the address that one translation covers, 12, 14, 21, 22 or 30. */
  get pageShift(): number {
    return SHIFTS[(this.block.word(2 * Cell.entry + 1) >>> 20) & 7]!;
  }
  /** After ok: log2 of the page in the guest's own tables, 30 with paging off. */
  get stage1Shift(): number {
    return SHIFTS[(this.block.word(2 * Cell.entry + 1) >>> 23) & 7]!;
  }
  /** After ok: whether the page is global (and CR4.PGE makes it so). */
  get global(): boolean {
    return (this.block.word(2 * Cell.entry) & 64) !== 0;
  }
  /** After ok: protection key. */
  get key(): number {
    return (this.block.word(2 * Cell.entry) >>> 8) & 15;
  }
  /** After ok: a `MemoryType`. */
  get memoryType(): number {
    return this.asked(this.exports.embedMemoryType());
  }
  /** Core cycles of the translation beyond a first-level hit, exits left out. */
  get cycles(): number {
    return this.exports.embedCycles();
  }

  /** Most translations of one batch. */
  get batchMost(): number {
    return this.exports.embedManyMost();
  }
  /**
   * The batch: eight words for each translation. The host fills the address in words 0 and 1 and the access in word 2;
   * `translateBatch` answers with the status in word 3, the physical address in words 4 and 5, the rights (after a page
   * fault the error code) in word 6 and the cycles in word 7. To be taken anew for each batch, as memory may grow.
   */
  batch(): Uint32Array {
    const at = this.exports.embedManyAddress();
    return new Uint32Array(this.memory.buffer, at, this.exports.embedManyMost() * 8);
  }
  /**
   * Makes the translations `first` up to `end` of the batch, in order. Returns the number of the first that was not
   * answered by ok, from where the host goes on, or `end`.
   */
  translateBatch(first: number, end: number): number {
    if (this.recorder !== undefined)
      throw new ConfigError("a recorder must see each store: translate one by one while recording");
    checkInteger(end, "the end of the batch", 0, this.batchMost);
    checkInteger(first, "the first of the batch", 0, end);
    return this.after(this.exports.embedMany(first, end));
  }

  // ── Faults and exits

  /** Vector of the exception that a status stands for, or -1: 14, 13 or 20. */
  vectorOf(status: number): number {
    return VECTORS[status] ?? -1;
  }
  /** Basic exit reason (SDM 3C appendix C), or the exit code of a nested page fault (APM 2), that a status stands for, or -1. */
  exitReasonOf(status: number): number {
    return EXIT_CODES[status] ?? -1;
  }
  /** After pageFault. */
  get errorCode(): number {
    return this.block.word(2 * Cell.errorCode);
  }
  /** After pageFault: CR2; after an exit: the guest-linear address. */
  get faultLow(): number {
    return this.block.word(2 * Cell.faultAddress);
  }
  get faultHigh(): number {
    return this.block.word(2 * Cell.faultAddress + 1);
  }
  get faultAddress(): bigint {
    return this.block.get(Cell.faultAddress);
  }
  /** After eptViolation: the exit qualification; after nestedPageFault: EXITINFO1. */
  get qualification(): bigint {
    return this.block.get(Cell.qualification);
  }
  /** After an exit: the guest-physical address. */
  get guestPhysical(): number {
    return this.block.number(Cell.exitAddress);
  }
}
