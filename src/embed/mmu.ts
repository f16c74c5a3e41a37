import { ConfigError } from "../config/index.js";
import { suggestion } from "../config/nearest.js";
import { Cell, Kind, Status } from "../generated/abi.js";
import { Counter, counters, exitReasons } from "../generated/declarations.js";
import type { MachineResult } from "../result.js";
import type { Value } from "./block.js";
import { checkInteger, checkKeys } from "./check-options.js";
import { GuestCpu } from "./guest-cpu.js";
import type { MmuOptions } from "./options.js";
import { NO_AREA } from "./placed-core.js";
import { Recorder } from "./recorder.js";

const HOST_EVENTS = { reclaim: 1, share: 2, logStores: 3, memorySlots: 4 } as const;

/**
 * The MMU of one virtual CPU. Linear addresses are two halves of 32 bits, physical addresses exact numbers: no call on
 * the way of an access makes a BigInt.
 */
export class Mmu extends GuestCpu {
  /** Throws ConfigError for options that make no sense. */
  constructor(options: MmuOptions) {
    super(options);
    const { record } = options;
    if (record) this.recorder = this.#record(typeof record === "object" ? record : {});
  }

  #record(about: { guest?: string }): Recorder {
    const mmu = this;
    let figures = this.core.cells(this.exports.countersAddress(), counters.length);
    const ramMiB = Math.ceil(this.ranges.reduce((sum, { size }) => sum + size, 0) / 2 ** 20);
    return new Recorder(
      {
        peek: (gpa) => {
          mmu.block.set(Cell.address, gpa);
          mmu.exports.embedReadGuest();
          return mmu.block.get(Cell.value);
        },
        holds: (gpa) => mmu.ranges.some(({ address, size }) => gpa >= address && gpa < address + size),
        state: () => mmu.state(),
        walks: () => {
          if (figures.length === 0) figures = mmu.core.cells(mmu.exports.countersAddress(), counters.length);
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

  // ── The host as hypervisor

  #asHypervisor(call: string, ...formats: string[]): void {
    const { technique, format } = this.config;
    const its = technique === "nested" ? format! : technique;
    if (this.model || !formats.includes(its))
      throw new ConfigError(
        `${call} is for a host that is the hypervisor of ${formats.join(" or ")}; this MMU is ${its}${this.model ? " under the model's own" : ""}`,
        "technique",
      );
  }
  /** VM entry with this EPTP, and a VPID from 1 to 65535 if the CPU has them: ok or vmFail. */
  setEptp(eptp: Value, vpid = 1): number {
    this.#asHypervisor("setEptp", "ept");
    checkInteger(vpid, "vpid", 0, 0xffff);
    this.block.set(Cell.secondRoot, eptp);
    this.block.set(Cell.vpid, vpid);
    return this.after(this.exports.embedEnter());
  }
  /** VMRUN with this nCR3: ok or vmFail. `tlbControl`: 1 flushes everything, 3 this ASID, 7 this ASID but global pages. */
  setNcr3(ncr3: Value, asid = 1, tlbControl: 0 | 1 | 3 | 7 = 0): number {
    this.#asHypervisor("setNcr3", "npt");
    checkInteger(asid, "asid", 0, 0xffff);
    if (![0, 1, 3, 7].includes(tlbControl))
      throw new ConfigError(`tlbControl is ${tlbControl}; it must be 0, 1, 3 or 7`, "tlbControl");
    this.block.set(Cell.secondRoot, ncr3);
    this.block.set(Cell.vpid, asid);
    const status = this.exports.embedRun();
    if (status === Status.ok && tlbControl !== 0) this.exports.embedTlbControl(tlbControl);
    return this.after(status);
  }
  /** The VPID or ASID that is current. */
  setVpid(vpid: number): void {
    this.#asHypervisor("setVpid", "ept", "npt");
    checkInteger(vpid, "vpid", 1, 0xffff);
    this.block.set(Cell.vpid, vpid);
    this.exports.embedSetVpid();
    this.after(0);
  }
  /** A VM exit: without VPIDs it flushes. */
  vmExit(): void {
    this.#asHypervisor("vmExit", "ept", "npt");
    this.exports.embedExit();
    this.after(0);
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
    this.block.set(Cell.veArea, settings.veArea ?? NO_AREA);
    this.block.set(Cell.eptpIndex, settings.eptpIndex ?? 0);
    this.block.set(Cell.pmlBase, settings.pmlBase ?? 0);
    this.block.set(Cell.pmlIndex, settings.pmlIndex ?? 511);
    this.exports.embedSetVirtualization();
  }
  get pmlIndex(): number {
    this.exports.embedGetState();
    return this.block.number(Cell.pmlIndex);
  }

  /** INVVPID: type 0 an address, 1 a VPID, 2 all, 3 a VPID but global pages. ok or vmFail. */
  invvpid(type: number, vpid: Value, low = 0, high = 0): number {
    this.#asHypervisor("invvpid", "ept");
    this.block.setHalves(Cell.address, low, high);
    this.block.set(Cell.value, vpid);
    return this.after(this.exports.embedInvvpid(type));
  }
  /** INVEPT: type 1 an EPTP, 2 all. ok or vmFail. */
  invept(type: number, eptp: Value): number {
    this.#asHypervisor("invept", "ept");
    this.block.set(Cell.address, eptp);
    this.block.set(Cell.value, 0);
    return this.after(this.exports.embedInvept(type));
  }
  /** INVLPGA. */
  invlpga(low: number, high: number, asid: number): void {
    this.#asHypervisor("invlpga", "npt");
    checkInteger(asid, "asid", 0, 0xffff);
    this.block.setHalves(Cell.address, low, high);
    this.block.set(Cell.value, asid);
    this.exports.embedInvlpga();
    this.after(0);
  }
  /** The host's IA32_PAT, which NPT's entries refer to. */
  setHostPat(value: Value): number {
    this.#asHypervisor("setHostPat", "npt");
    return this.pat(value, true);
  }

  // ── The model as hypervisor

  /** Where the instruction under way is, and the bytes that its store writes: read by a hypervisor that emulates it. */
  instruction(low: number, high: number, storeBytes = 8): void {
    this.exports.embedInstruction(low, high, storeBytes);
    this.recorder?.instructionAt(low, high);
  }
  /**
   * The host has made the guest's store of `bytes` at this physical address: to be called after a write was answered by
   * `emulated`. After any other it makes no difference.
   */
  stored(address: number, bytes: number): void {
    for (let at = address - (address % 8); at < address + bytes; at += 8) {
      this.block.set(Cell.address, at);
      this.exports.embedStored();
    }
    this.after(0);
  }
  /** An instruction, or an interrupt, that exits under any hypervisor; `reason` is one of the result's, such as "cpuid". */
  exits(reason: string, vector = 32): void {
    const known = exitReasons.find(({ name }) => name === reason);
    if (known === undefined)
      throw new ConfigError(
        `no exit has the reason "${reason}"; there are ${exitReasons.map(({ name }) => name).join(", ")}`,
      );
    this.recorder?.exits(reason, vector);
    this.exports.embedExitAlways(known.value);
    this.after(0);
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
    this.recorder?.host(what, first, frames);
    this.exports.embedHostEvent(HOST_EVENTS[what], first, frames);
    this.after(0);
  }

  // ── Figures, as in a replay

  counters(): Record<string, number> {
    this.exports.embedSettle();
    return this.core.counters();
  }
  structures(): Record<string, Record<string, number>> {
    return this.core.structures();
  }
  /** Lets everything under way finish and reads all figures: counters, structures, exits, cycles, laws. */
  result(): MachineResult {
    this.exports.embedSettle();
    return this.machine.finish();
  }
  /**
   * Replays records (traces/FORMAT.md) that the host has gathered; slices need not end where records do. Throws
   * ReplayError.
   */
  replay(records: Uint8Array): void {
    if (this.recorder !== undefined)
      throw new ConfigError("a recorder must see each event: make it by its own call while recording");
    if (!(records instanceof Uint8Array)) throw new ConfigError("records must be a Uint8Array");
    this.machine.feed(records);
    this.block.refresh();
    this.after(0);
  }

  /** With `record`: the trace so far, a whole .nwt file. */
  trace(): Promise<Uint8Array> {
    if (this.recorder === undefined)
      throw new ConfigError("this MMU does not record; make it with record: true");
    return this.recorder.trace();
  }
}

/** The MMU of one virtual CPU over the host's memory. Throws ConfigError. */
export function createMmu(options: MmuOptions): Mmu {
  return new Mmu(options);
}
