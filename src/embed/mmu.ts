import { ConfigError, lower, type MachineConfig } from "../config/index.js";
import { suggestion } from "../config/nearest.js";
import { Core } from "../core.js";
import { readExplanation } from "../explain/read.js";
import type { Explanation } from "../explain/types.js";
import { Cell, Kind, Register, Status } from "../generated/abi.js";
import { Counter, counters, exitReasons } from "../generated/declarations.js";
import { placeCore } from "../instantiate.js";
import { Machine } from "../machine.js";
import type { MachineResult } from "../result.js";
import { checkInteger, checkKeys } from "./check-options.js";
import type { EmbedCore } from "./core-exports.js";
import { FeedReader } from "./feed.js";
import type { GuardedFunctions } from "./guarded.js";
import { place } from "./memory.js";
import { configOf, type MemoryRange, type MmuOptions } from "./options.js";
import { Recorder } from "./recorder.js";

/** A register's or an address's value; numbers must be exact. */
export type Value = bigint | number;

const TWO_32 = 2 ** 32;
const NOWHERE = 0xffff_ffff;
const NO_AREA = 0xffff_ffff_ffff_ffffn;
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
const HOST_EVENTS = { reclaim: 1, share: 2, logStores: 3, memorySlots: 4 } as const;

/** The paging registers as a whole. */
export interface RegisterState {
  cr0: bigint;
  cr3: bigint;
  cr4: bigint;
  efer: bigint;
  pkru: bigint;
  pkrs: bigint;
  /** EFLAGS.AC */
  ac: boolean;
  /** CS.L */
  codeLong: boolean;
  /** PAE: the level-3 entries as they were loaded. */
  pdptes: readonly [bigint, bigint, bigint, bigint];
}

/**
 * The MMU of one virtual CPU. Linear addresses are two halves of 32 bits, physical addresses exact numbers: no call on
 * the way of an access makes a BigInt.
 */
export class Mmu {
  /** The memory that the core lies in: the host's own if it brought a WebAssembly.Memory. It may grow. */
  readonly memory: WebAssembly.Memory;
  readonly config: MachineConfig;
  /** What the core exports, for hosts that call it without this class. */
  readonly exports: EmbedCore;
  readonly #core: Core;
  readonly #machine: Machine;
  readonly #ranges: readonly Required<MemoryRange>[];
  readonly #linear: boolean;
  readonly #block: number;
  #cells: BigUint64Array;
  #words: Uint32Array;
  readonly #functions: GuardedFunctions;
  /** Nobody has to hear of a translation. */
  readonly #plain: boolean;
  readonly #feed: FeedReader | undefined;
  readonly #recorder: Recorder | undefined;
  readonly #model: boolean;
  #codeLong = true;

  /** Throws ConfigError for options that make no sense. */
  constructor(options: MmuOptions) {
    const { config, model } = configOf(options);
    const placement = place(options, model);
    this.config = config;
    this.#model = model;
    this.memory = placement.memory;
    this.#ranges = placement.ranges;
    this.#functions = placement.functions;
    this.#linear = placement.linear;
    const core = placeCore<EmbedCore>(undefined, placement.memory, placement.base, placement.functions);
    this.exports = core;
    this.#core = new Core(core);
    this.#machine = new Machine(config, this.#core);
    this.#core.parameters.set(lower(config));
    this.#block = core.embedAddress();
    this.#cells = this.#core.cells(this.#block, 32);
    this.#words = new Uint32Array(this.memory.buffer, this.#block, 64);
    core.embedHostMemory(placement.calls);
    if (placement.linear) {
      for (const { address, base, size, kind } of placement.ranges) {
        this.#set(Cell.address, address);
        this.#set(Cell.value, address + size);
        core.embedRange(base, Kind[kind]);
      }
    }
    core.embedLeaveExits(!model);
    core.start();
    this.#refresh();
    if (!model && config.technique === "nested") core.embedNoRoot();
    this.#set(Cell.veArea, NO_AREA);
    this.#set(Cell.pmlIndex, 511);
    core.embedSetVirtualization();
    core.embedCodeLong(true);
    if (model) this.#checkBacking();
    if (options.record) {
      if (config.technique === "nested" && !model)
        throw new ConfigError(
          "a trace holds what the guest sees: record it natively, or with the model as its hypervisor",
        );
      this.#recorder = this.#record(typeof options.record === "object" ? options.record : {});
    }
    if (options.onInvalidate) this.#feed = new FeedReader(core, options.onInvalidate);
    this.#plain = !placement.calls && this.#feed === undefined && this.#recorder === undefined;
  }

  #record(about: { guest?: string }): Recorder {
    const mmu = this;
    let figures = this.#core.cells(this.exports.countersAddress(), counters.length);
    const ramMiB = Math.ceil(this.#ranges.reduce((sum, { size }) => sum + size, 0) / 2 ** 20);
    return new Recorder(
      {
        peek: (gpa) => {
          mmu.#set(Cell.address, gpa);
          mmu.exports.embedReadGuest();
          return mmu.#get(Cell.value);
        },
        holds: (gpa) => mmu.#ranges.some(({ address, size }) => gpa >= address && gpa < address + size),
        state: () => mmu.state(),
        walks: () => {
          if (figures.length === 0) figures = mmu.#core.cells(mmu.exports.countersAddress(), counters.length);
          return figures[Counter.walks]!;
        },
        get physical() {
          return mmu.physical;
        },
        get errorCode() {
          return mmu.errorCode;
        },
        get faultAddress() {
          return mmu.faultAddress;
        },
        get isDevice() {
          return mmu.kind !== Kind.ram && mmu.kind !== Kind.rom;
        },
      },
      { ramMiB, ...about },
    );
  }

  #checkBacking(): void {
    const bits = this.config.host.addressBits;
    const base = bits < 36 ? 2 ** (bits - 4) : TWO_32;
    for (const { address, size } of this.#ranges)
      if (base + address + size > 2 ** bits)
        throw new ConfigError(
          `ram ends at 0x${(address + size).toString(16)}, which a host of ${bits} address bits cannot back; set features.hostAddressBits`,
        );
  }

  /** Views are taken anew after the memory has grown. */
  #refresh(): void {
    this.#cells = this.#core.cells(this.#block, 32);
    this.#words = new Uint32Array(this.memory.buffer, this.#block, 64);
  }
  #set(cell: number, value: Value): void {
    if (this.#cells.length === 0) this.#refresh();
    this.#cells[cell] = BigInt(value);
  }
  #setHalves(cell: number, low: number, high: number): void {
    if (this.#words.length === 0) this.#refresh();
    this.#words[2 * cell] = low;
    this.#words[2 * cell + 1] = high;
  }
  #get(cell: number): bigint {
    if (this.#cells.length === 0) this.#refresh();
    return this.#cells[cell]!;
  }
  #number(cell: number): number {
    if (this.#words.length === 0) this.#refresh();
    return this.#words[2 * cell]! + this.#words[2 * cell + 1]! * TWO_32;
  }
  #word(index: number): number {
    if (this.#words.length === 0) this.#refresh();
    return this.#words[index]!;
  }
  /** Throws what a function of the host threw meanwhile. */
  #asked(answer: number): number {
    this.#functions.check();
    return answer;
  }
  #after(status: number): number {
    this.#functions.check();
    this.#feed?.drain();
    return status;
  }

  // ── Translation

  /**
   * Translates the linear address `high`:`low` for `access`, bits of `Access`, as the CPU would make it: with its TLBs,
   * accessed and dirty flags, counters and cycles. Returns a `Status`. An access that crosses a page is two translations,
   * the second with 0 bytes; only a recorder looks at `bytes`.
   */
  translate(low: number, high: number, access: number, bytes = 1): number {
    if (this.#plain) return this.exports.embedTranslate(low, high, access);
    if (this.#recorder !== undefined) return this.#recorded(low, high, access, bytes);
    return this.#after(this.exports.embedTranslate(low, high, access));
  }

  /**
   * `translate` and `physical` in one: the physical address after ok, else the negative status. The other properties are
   * as after `translate`.
   */
  physicalOf(low: number, high: number, access: number, bytes = 1): number {
    if (this.#plain) return this.exports.embedPhysical(low, high, access);
    if (this.#recorder === undefined) return this.#after(this.exports.embedPhysical(low, high, access));
    const status = this.#recorded(low, high, access, bytes);
    return status === Status.ok ? this.physical : -status;
  }

  #recorded(low: number, high: number, access: number, bytes: number): number {
    const recorder = this.#recorder!;
    recorder.checkAccess(access);
    if (bytes !== 0) recorder.settle();
    const status = this.exports.embedTranslate(low, high, access);
    this.#functions.check();
    recorder.access(low, high, access, bytes, status);
    this.#feed?.drain();
    return status;
  }

  /**
   * What `translate` would answer, without an effect on flags, TLBs, counters or the clock. TLBs and tables are asked,
   * paging-structure caches are not. Where the model's hypervisor would have to act, the guest's own tables answer.
   */
  probe(low: number, high: number, access: number): number {
    return this.#asked(this.exports.embedProbe(low, high, access));
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
    this.#functions.check();
    return readExplanation(this.exports, "probe", null, cold);
  }

  /** After ok and emulated: the physical address, in the guest's own if the model is its hypervisor. */
  get physical(): number {
    return this.#number(Cell.hostPhysical);
  }
  /** After ok and emulated: the byte of `memory` (or of the host's buffer) that it is, or -1 outside of the ranges. */
  get offset(): number {
    if (this.#linear) {
      const at = this.exports.embedOffset() >>> 0;
      return at === NOWHERE ? -1 : at;
    }
    const at = this.physical;
    const range = this.#ranges.find(({ address, size }) => at >= address && at < address + size);
    return range === undefined ? -1 : range.base + at - range.address;
  }
  /** After ok and emulated: what answers there, a `Kind`. */
  get kind(): number {
    return this.#asked(this.exports.embedKind());
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
    return SHIFTS[(this.#word(2 * Cell.entry + 1) >>> 20) & 7]!;
  }
  /** After ok: log2 of the page in the guest's own tables, 30 with paging off. */
  get stage1Shift(): number {
    return SHIFTS[(this.#word(2 * Cell.entry + 1) >>> 23) & 7]!;
  }
  /** After ok: whether the page is global (and CR4.PGE makes it so). */
  get global(): boolean {
    return (this.#word(2 * Cell.entry) & 64) !== 0;
  }
  /** After ok: protection key. */
  get key(): number {
    return (this.#word(2 * Cell.entry) >>> 8) & 15;
  }
  /** After ok: a `MemoryType`. */
  get memoryType(): number {
    return this.#asked(this.exports.embedMemoryType());
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
    if (this.#recorder !== undefined)
      throw new ConfigError("a recorder must see each store: translate one by one while recording");
    checkInteger(end, "the end of the batch", 0, this.batchMost);
    checkInteger(first, "the first of the batch", 0, end);
    return this.#after(this.exports.embedMany(first, end));
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
    return this.#word(2 * Cell.errorCode);
  }
  /** After pageFault: CR2; after an exit: the guest-linear address. */
  get faultLow(): number {
    return this.#word(2 * Cell.faultAddress);
  }
  get faultHigh(): number {
    return this.#word(2 * Cell.faultAddress + 1);
  }
  get faultAddress(): bigint {
    return this.#get(Cell.faultAddress);
  }
  /** After eptViolation: the exit qualification; after nestedPageFault: EXITINFO1. */
  get qualification(): bigint {
    return this.#get(Cell.qualification);
  }
  /** After an exit: the guest-physical address. */
  get guestPhysical(): number {
    return this.#number(Cell.exitAddress);
  }

  // ── Registers. Each returns a `Status`: ok, generalProtection, or the exit that a load of PDPTEs met.

  #load(register: number, value: Value): number {
    this.#recorder?.checkRegister(register, BigInt.asUintN(64, BigInt(value)));
    this.#recorder?.settle();
    this.#set(Cell.value, BigInt.asUintN(64, BigInt(value)));
    const status = this.#asked(this.exports.embedLoad(register));
    if (status === Status.ok) this.#recorder?.register(register, BigInt.asUintN(64, BigInt(value)));
    return this.#after(status);
  }
  /** MOV to CR0. */
  setCr0(value: Value): number {
    return this.#load(Register.cr0, value);
  }
  /** MOV to CR3, with bit 63 as the instruction had it. */
  setCr3(value: Value): number {
    return this.#load(Register.cr3, value);
  }
  setCr4(value: Value): number {
    return this.#load(Register.cr4, value);
  }
  /** WRMSR of IA32_EFER. */
  setEfer(value: Value): number {
    return this.#load(Register.efer, value);
  }
  /** WRPKRU. */
  setPkru(value: Value): number {
    return this.#load(Register.pkru, value);
  }
  /** WRMSR of IA32_PKRS. */
  setPkrs(value: Value): number {
    return this.#load(Register.pkrs, value);
  }
  /** WRMSR of IA32_PAT. What is cached keeps its memory type. */
  setPat(value: Value): number {
    return this.#pat(value, false);
  }
  /** The host's IA32_PAT, which NPT's entries refer to. */
  setHostPat(value: Value): number {
    this.#asHypervisor("setHostPat", "npt");
    return this.#pat(value, true);
  }
  #pat(value: Value, ofHost: boolean): number {
    this.#set(Cell.value, BigInt.asUintN(64, BigInt(value)));
    return this.exports.embedSetPat(ofHost);
  }
  /** EFLAGS.AC. */
  setAc(on: boolean): void {
    this.exports.embedAc(on);
    this.#recorder?.setAc(on);
    this.#after(0);
  }
  /** CS.L. */
  setCodeLong(on: boolean): void {
    this.#codeLong = on;
    this.exports.embedCodeLong(on);
  }
  /** Kinds of invalidation, bits of `Feed`, that the last register load, instruction or entry made; 0 for none. */
  get flushed(): number {
    return this.exports.embedFlushed();
  }

  /** Takes registers as they are, without the checks and flushes of an instruction: at reset, or from a snapshot. */
  setState(state: Partial<RegisterState>): void {
    checkKeys(state, "the state", STATE);
    const all = { ...this.state(), ...state };
    this.#recorder?.checkRegister(Register.pkrs, BigInt(all.pkrs));
    for (const [i, name] of (["cr0", "cr3", "cr4", "efer", "pkru", "pkrs"] as const).entries())
      this.#set(i, all[name]);
    this.#set(Cell.ac, all.ac ? 1 : 0);
    for (const [i, entry] of all.pdptes.entries()) this.#set(Cell.pdptes + i, entry);
    this.#set(Cell.codeLong, all.codeLong ? 1 : 0);
    this.#set(Cell.secondRoot, 0);
    this.#codeLong = all.codeLong;
    this.exports.embedSetState();
    this.#recorder?.state(all);
    this.#after(0);
  }
  state(): RegisterState {
    this.exports.embedGetState();
    const [cr0, cr3, cr4, efer, pkru, pkrs] = [0, 1, 2, 3, 4, 5].map((cell) => this.#get(cell)) as [
      bigint,
      bigint,
      bigint,
      bigint,
      bigint,
      bigint,
    ];
    const pdptes = [0, 1, 2, 3].map((i) => this.#get(Cell.pdptes + i)) as unknown as RegisterState["pdptes"];
    return {
      cr0,
      cr3,
      cr4,
      efer,
      pkru,
      pkrs,
      ac: this.#get(Cell.ac) !== 0n,
      codeLong: this.#codeLong,
      pdptes,
    };
  }

  // ── Invalidation

  /** INVLPG. */
  invlpg(low: number, high: number): void {
    this.#recorder?.settle();
    this.#setHalves(Cell.address, low, high);
    this.exports.embedInvlpg();
    this.#recorder?.invlpg(low, high);
    this.#after(0);
  }
  /** INVPCID: type 0 an address, 1 a PCID, 2 everything, 3 everything but global pages. ok or generalProtection. */
  invpcid(type: number, pcid: Value, low = 0, high = 0): number {
    this.#recorder?.settle();
    this.#setHalves(Cell.address, low, high);
    this.#set(Cell.value, pcid);
    const status = this.exports.embedInvpcid(type);
    if (status === Status.ok) this.#recorder?.invpcid(type, Number(pcid), low, high);
    return this.#after(status);
  }
  /** INVVPID: type 0 an address, 1 a VPID, 2 all, 3 a VPID but global pages. ok or vmFail. */
  invvpid(type: number, vpid: Value, low = 0, high = 0): number {
    this.#asHypervisor("invvpid", "ept");
    this.#setHalves(Cell.address, low, high);
    this.#set(Cell.value, vpid);
    return this.#after(this.exports.embedInvvpid(type));
  }
  /** INVEPT: type 1 an EPTP, 2 all. ok or vmFail. */
  invept(type: number, eptp: Value): number {
    this.#asHypervisor("invept", "ept");
    this.#set(Cell.address, eptp);
    this.#set(Cell.value, 0);
    return this.#after(this.exports.embedInvept(type));
  }
  /** INVLPGA. */
  invlpga(low: number, high: number, asid: number): void {
    this.#asHypervisor("invlpga", "npt");
    checkInteger(asid, "asid", 0, 0xffff);
    this.#setHalves(Cell.address, low, high);
    this.#set(Cell.value, asid);
    this.exports.embedInvlpga();
    this.#after(0);
  }
  /** Drops everything cached. A trace has it as an INVPCID of type 2. */
  flush(): void {
    this.#recorder?.settle();
    this.#recorder?.invpcid(2, 0, 0, 0);
    this.exports.embedFlush();
    this.#after(0);
  }

  // ── The host as hypervisor

  #asHypervisor(call: string, ...formats: string[]): void {
    const { technique, format } = this.config;
    const its = technique === "nested" ? format! : technique;
    if (this.#model || !formats.includes(its))
      throw new ConfigError(
        `${call} is for a host that is the hypervisor of ${formats.join(" or ")}; this MMU is ${its}${this.#model ? " under the model's own" : ""}`,
        "technique",
      );
  }
  /** VM entry with this EPTP, and a VPID from 1 to 65535 if the CPU has them: ok or vmFail. */
  setEptp(eptp: Value, vpid = 1): number {
    this.#asHypervisor("setEptp", "ept");
    checkInteger(vpid, "vpid", 0, 0xffff);
    this.#set(Cell.secondRoot, eptp);
    this.#set(Cell.vpid, vpid);
    return this.#after(this.exports.embedEnter());
  }
  /** VMRUN with this nCR3: ok or vmFail. `tlbControl`: 1 flushes everything, 3 this ASID, 7 this ASID but global pages. */
  setNcr3(ncr3: Value, asid = 1, tlbControl: 0 | 1 | 3 | 7 = 0): number {
    this.#asHypervisor("setNcr3", "npt");
    checkInteger(asid, "asid", 0, 0xffff);
    if (![0, 1, 3, 7].includes(tlbControl))
      throw new ConfigError(`tlbControl is ${tlbControl}; it must be 0, 1, 3 or 7`, "tlbControl");
    this.#set(Cell.secondRoot, ncr3);
    this.#set(Cell.vpid, asid);
    const status = this.exports.embedRun();
    if (status === Status.ok && tlbControl !== 0) this.exports.embedTlbControl(tlbControl);
    return this.#after(status);
  }
  /** The VPID or ASID that is current. */
  setVpid(vpid: number): void {
    this.#asHypervisor("setVpid", "ept", "npt");
    checkInteger(vpid, "vpid", 1, 0xffff);
    this.#set(Cell.vpid, vpid);
    this.exports.embedSetVpid();
    this.#after(0);
  }
  /** A VM exit: without VPIDs it flushes. */
  vmExit(): void {
    this.#asHypervisor("vmExit", "ept", "npt");
    this.exports.embedExit();
    this.#after(0);
  }
  /** The #VE information area (undefined: #VE off) and the page-modification log. */
  setVirtualization(settings: {
    veArea?: Value;
    eptpIndex?: number;
    pmlBase?: Value;
    pmlIndex?: number;
  }): void {
    this.#asHypervisor("setVirtualization", "ept");
    checkKeys(settings, "settings", ["veArea", "eptpIndex", "pmlBase", "pmlIndex"]);
    this.#set(Cell.veArea, settings.veArea ?? NO_AREA);
    this.#set(Cell.eptpIndex, settings.eptpIndex ?? 0);
    this.#set(Cell.pmlBase, settings.pmlBase ?? 0);
    this.#set(Cell.pmlIndex, settings.pmlIndex ?? 511);
    this.exports.embedSetVirtualization();
  }
  get pmlIndex(): number {
    this.exports.embedGetState();
    return this.#number(Cell.pmlIndex);
  }

  // ── The model as hypervisor

  /** Where the instruction under way is, and the bytes that its store writes: read by a hypervisor that emulates it. */
  instruction(low: number, high: number, storeBytes = 8): void {
    this.exports.embedInstruction(low, high, storeBytes);
    this.#recorder?.instructionAt(low, high);
  }
  /**
   * The host has made the guest's store of `bytes` at this physical address: to be called after a write was answered by
   * `emulated`. After any other it makes no difference.
   */
  stored(address: number, bytes: number): void {
    for (let at = address - (address % 8); at < address + bytes; at += 8) {
      this.#set(Cell.address, at);
      this.exports.embedStored();
    }
    this.#after(0);
  }
  /** An instruction, or an interrupt, that exits under any hypervisor; `reason` is one of the result's, such as "cpuid". */
  exits(reason: string, vector = 32): void {
    const known = exitReasons.find(({ name }) => name === reason);
    if (known === undefined)
      throw new ConfigError(
        `no exit has the reason "${reason}"; there are ${exitReasons.map(({ name }) => name).join(", ")}`,
      );
    this.#recorder?.exits(reason, vector);
    this.exports.embedExitAlways(known.value);
    this.#after(0);
  }
  /**
   * The host takes pages of the guest away, shares them (read-only until they are written), logs stores to them, or
   * changes the memory slots, for which its hypervisor forgets every mapping. The pages are those that any of the bytes
   * lies in.
   */
  host(what: keyof typeof HOST_EVENTS, address: number, bytes: number): void {
    if (!Object.hasOwn(HOST_EVENTS, what)) {
      const name = String(what);
      throw new ConfigError(`"${name}" is nothing a host does${suggestion(name, Object.keys(HOST_EVENTS))}`);
    }
    checkInteger(address, "the address", 0, 2 ** 52 - 1);
    checkInteger(bytes, "the number of bytes", 0, 2 ** 36 - 4096);
    const first = Math.floor(address / 4096);
    const frames = Math.ceil((address + bytes) / 4096) - first;
    this.#recorder?.host(what, first, frames);
    this.exports.embedHostEvent(HOST_EVENTS[what], first, frames);
    this.#after(0);
  }

  // ── Figures, as in a replay

  counters(): Record<string, number> {
    this.exports.embedSettle();
    return this.#core.counters();
  }
  structures(): Record<string, Record<string, number>> {
    return this.#core.structures();
  }
  /** Lets everything under way finish and reads all figures: counters, structures, exits, cycles, laws. */
  result(): MachineResult {
    this.exports.embedSettle();
    return this.#machine.finish();
  }
  /**
   * Replays records (traces/FORMAT.md) that the host has gathered; slices need not end where records do. Throws
   * ReplayError.
   */
  replay(records: Uint8Array): void {
    if (this.#recorder !== undefined)
      throw new ConfigError("a recorder must see each event: make it by its own call while recording");
    if (!(records instanceof Uint8Array)) throw new ConfigError("records must be a Uint8Array");
    this.#machine.feed(records);
    this.#refresh();
    this.#after(0);
  }

  /** With `record`: the trace so far, a whole .nwt file. */
  trace(): Promise<Uint8Array> {
    if (this.#recorder === undefined)
      throw new ConfigError("this MMU does not record; make it with record: true");
    return this.#recorder.trace();
  }
}

const STATE: readonly (keyof RegisterState)[] = [
  ...(["cr0", "cr3", "cr4", "efer", "pkru", "pkrs", "ac", "codeLong", "pdptes"] as const),
];
const SHIFTS = [12, 21, 30, 22, 14];

/** The MMU of one virtual CPU over the host's memory. Throws ConfigError. */
export function createMmu(options: MmuOptions): Mmu {
  return new Mmu(options);
}
