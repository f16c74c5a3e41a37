import { Core, type CoreBuild } from "../../core.js";
import { Parameter } from "../../generated/declarations.js";
import { AccessBit, Cell, type EmbedExports, OutcomeCode, Register, Resolution } from "./exports.js";
import type { Access, Ended, Outcome, Registers, Stage2 } from "./types.js";

/** Parameters of the core by name; what is left out is 0. */
export type Parameters = Partial<Record<keyof typeof Parameter, number>>;

export function accessBits(access: Access): number {
  return (
    AccessBit[access.kind] |
    (access.user ? AccessBit.user : 0) |
    (access.implicit ? AccessBit.implicit : 0) |
    (access.shadowStack ? AccessBit.shadowStack : 0)
  );
}

/** The parameters that describe the stages of `regs` and `stage2`. */
export function parametersOf(regs: Registers, stage2: Stage2, more: Parameters = {}): Parameters {
  const base: Parameters = {
    guestAddressBits: regs.maxphyaddr,
    vendor: regs.vendor === "amd" ? 1 : 0,
    guestPage1g: (regs.gbPages ?? true) ? 1 : 0,
    hostPageShift: 12,
    vpid: 1,
    hostLevels: 4,
    hostAddressBits: 46,
  };
  if (stage2.kind === "none") return { ...base, technique: 0, ...more };
  base.technique = 1;
  base.hostLevels = stage2.levels;
  base.hostAddressBits = stage2.maxphyaddr;
  if (stage2.kind === "npt") {
    base.hostFormat = 1;
    base.hostNoExecute = (stage2.hostEfer >> 11n) & 1n ? 1 : 0;
    base.hostSmep = (stage2.hostCr4 >> 20n) & 1n ? 1 : 0;
    return { ...base, ...more };
  }
  return {
    ...base,
    eptAccessedDirty: stage2.accessedDirty ? 1 : 0,
    eptExecuteOnly: stage2.executeOnly ? 1 : 0,
    eptModeBasedExecute: stage2.mbec ? 1 : 0,
    eptAdvancedInfo: stage2.advancedInformation ? 1 : 0,
    eptPml: stage2.pml ? 1 : 0,
    ...more,
  };
}

/** TLB arrays: `index` 0-3 first-level data, 4-7 first-level instruction, 8-11 second-level, 12-13 second-level instruction. */
export function tlbArray(
  index: number,
  sizes: number,
  entries: number,
  ways: number,
): readonly (readonly [number, number])[] {
  const at = Parameter.tlbArrays + 6 * index;
  return [
    [at, sizes],
    [at + 1, entries],
    [at + 2, ways],
  ];
}

/** Paging-structure caches: `index` 0-3 levels 2-5 of the first stage, 4-7 of the second, 8 the nested TLB. */
export function pscArray(
  index: number,
  entries: number,
  ways: number,
): readonly (readonly [number, number])[] {
  const at = Parameter.pscArrays + 6 * index;
  return [
    [at, 1],
    [at + 1, entries],
    [at + 2, ways],
  ];
}

/** TLBs for every page size, paging-structure caches for every level of both stages, and a nested TLB; 0 ways: fully associative. */
export function cachesOf(ways: number): readonly (readonly [number, number])[] {
  return [
    ...tlbArray(0, 7, 64, ways),
    ...tlbArray(4, 7, 64, ways),
    ...tlbArray(8, 7, 512, ways),
    ...[0, 1, 2, 3, 4, 5, 6, 7, 8].flatMap((index) => pscArray(index, 32, ways)),
  ];
}

const RESOLUTIONS = Object.keys(Resolution) as (keyof typeof Resolution)[];

const instances = new Map<string, BareCore>();

/**
 * The core bare, for holding it to what others say: parameters by number, memory anywhere below 2^52 that appears when it
 * is written, single walks past the TLBs, outcomes as objects with BigInts. A host uses `createMmu` (src/embed).
 */
export class BareCore {
  readonly core: Core;
  readonly exports: EmbedExports;
  #cells: BigUint64Array;

  /** `cells` sets further parameters by number: those of TLB and paging-structure-cache arrays. */
  constructor(
    parameters: Parameters,
    cells: readonly (readonly [number, number])[] = [],
    build?: CoreBuild | WebAssembly.Module,
  ) {
    this.core = new Core(build);
    this.exports = this.core.exports as unknown as EmbedExports;
    const block = this.core.parameters;
    for (const [name, value] of Object.entries(parameters))
      block[Parameter[name as keyof typeof Parameter]] = value;
    for (const [index, value] of cells) block[index] = value;
    this.exports.start();
    this.#cells = this.core.cells(this.exports.embedAddress(), 32);
    this.exports.embedLeaveExits(true);
    this.#block[Cell.veArea] = 0xffff_ffff_ffff_ffffn;
    this.#block[Cell.pmlIndex] = 511n;
    this.exports.embedSetVirtualization();
  }

  /** An instance with these parameters, empty memory and nothing cached; instances are reused. */
  static with(parameters: Parameters, cells: readonly (readonly [number, number])[] = []): BareCore {
    const key = JSON.stringify([parameters, cells]);
    let mmu = instances.get(key);
    if (mmu === undefined) {
      mmu = new BareCore(parameters, cells);
      instances.set(key, mmu);
    }
    mmu.exports.embedClear();
    return mmu;
  }

  /** The view is taken anew after the core's memory has grown. */
  get #block(): BigUint64Array {
    if (this.#cells.length === 0) this.#cells = this.core.cells(this.exports.embedAddress(), 32);
    return this.#cells;
  }

  /** Sets registers and the second stage's root as they are, without the checks and flushes of an instruction. */
  setState(regs: Registers, stage2: Stage2 = { kind: "none" }, vpid = stage2.kind === "none" ? 0 : 1): void {
    const cells = this.#block;
    cells.set([regs.cr0, regs.cr3, regs.cr4, regs.efer, regs.pkru, regs.pkrs, regs.ac ? 1n : 0n]);
    for (let i = 0; i < 4; ++i) cells[Cell.pdptes + i] = regs.pdptes?.[i] ?? 0n;
    cells[Cell.secondRoot] = stage2.kind === "none" ? 0n : stage2.root;
    cells[Cell.vpid] = BigInt(vpid);
    cells[Cell.codeLong] = (regs.codeLong ?? true) ? 1n : 0n;
    this.exports.embedSetState();
  }

  /** CR0, CR3, CR4, EFER, PKRU, IA32_PKRS as they are now, and the PAE level-3 entries. */
  state(): {
    cr0: bigint;
    cr3: bigint;
    cr4: bigint;
    efer: bigint;
    pkru: bigint;
    pkrs: bigint;
    pdptes: bigint[];
  } {
    this.exports.embedGetState();
    const [cr0, cr3, cr4, efer, pkru, pkrs] = this.#block as unknown as bigint[];
    const pdptes = [...this.#block.subarray(Cell.pdptes, Cell.pdptes + 4)];
    return { cr0: cr0!, cr3: cr3!, cr4: cr4!, efer: efer!, pkru: pkru!, pkrs: pkrs!, pdptes };
  }

  /** Host-physical memory. */
  write(hpa: bigint, value: bigint, bytes: 4 | 8 = 8): void {
    this.#block[Cell.address] = hpa;
    this.#block[Cell.value] = value;
    this.exports.embedWrite(bytes);
  }
  read(hpa: bigint, bytes: 4 | 8 = 8): bigint {
    this.#block[Cell.address] = hpa;
    this.exports.embedRead(bytes);
    return this.#block[Cell.value]!;
  }

  /** Drops everything cached. */
  flush(): void {
    this.exports.embedFlush();
  }

  /** One walk past the TLBs. */
  walk(gva: bigint, access: Access): Outcome & { entry?: bigint } {
    this.#block[Cell.address] = gva;
    const outcome = this.#outcome(this.exports.embedWalk(accessBits(access)));
    return outcome.ok ? { ...outcome, entry: this.#block[Cell.entry]! } : outcome;
  }

  /**
   * One walk past the TLBs, for bits of `AccessBit`, and what the machine's own hypervisor makes of it if the hardware
   * refuses: "done", or a `Resolution`.
   */
  attempt(gva: bigint, access: number): "done" | keyof typeof Resolution {
    this.#block[Cell.address] = gva;
    const outcome = this.exports.embedWalk(access);
    return outcome === OutcomeCode.ok ? "done" : RESOLUTIONS[this.exports.embedResolve(outcome, access)]!;
  }

  /** One access through the TLBs. */
  access(gva: bigint, access: Access, bytes = 1): Outcome {
    this.#block[Cell.address] = gva;
    return this.#outcome(this.exports.embedAccess(accessBits(access), bytes));
  }

  /** MOV to a control register, WRMSR of EFER or IA32_PKRS, WRPKRU. */
  load(register: keyof typeof Register, value: bigint): Ended {
    this.#block[Cell.value] = value;
    return this.#ended(this.exports.embedLoad(Register[register]));
  }
  /** A register was loaded, as a recording has it: nothing is refused, and registers come in any order. */
  loaded(register: keyof typeof Register, value: bigint): void {
    this.#block[Cell.value] = value;
    this.exports.embedLoaded(Register[register]);
  }
  setAc(on: boolean): void {
    this.exports.embedAc(on);
  }
  invlpg(gva: bigint): void {
    this.#block[Cell.address] = gva;
    this.exports.embedInvlpg();
  }
  /** `descriptor` is the low half of the operand: the PCID, and reserved bits. */
  invpcid(type: number, descriptor: bigint, gva = 0n): Ended {
    this.#block[Cell.address] = gva;
    this.#block[Cell.value] = descriptor;
    return this.#ended(this.exports.embedInvpcid(type));
  }
  /** `descriptor` is the low half of the operand: the VPID, and reserved bits. */
  invvpid(type: number, descriptor: bigint, gva = 0n): Ended {
    this.#block[Cell.address] = gva;
    this.#block[Cell.value] = descriptor;
    return this.#ended(this.exports.embedInvvpid(type));
  }
  invept(type: number, eptp: bigint, high = 0n): Ended {
    this.#block[Cell.address] = eptp;
    this.#block[Cell.value] = high;
    return this.#ended(this.exports.embedInvept(type));
  }
  invlpga(gva: bigint, asid: number): void {
    this.#block[Cell.address] = gva;
    this.#block[Cell.value] = BigInt(asid);
    this.exports.embedInvlpga();
  }
  /** TLB_CONTROL of the VMCB, as a VMRUN carries it out. */
  tlbControl(control: 0 | 1 | 3 | 7): void {
    this.exports.embedTlbControl(control);
  }
  /** VM entry with this EPTP and VPID. */
  enter(eptp: bigint, vpid = 1): Ended {
    this.#block[Cell.secondRoot] = eptp;
    this.#block[Cell.vpid] = BigInt(vpid);
    return this.#ended(this.exports.embedEnter());
  }
  /** VM exit. */
  exit(): void {
    this.exports.embedExit();
  }

  /** The #VE information area (undefined: #VE off) and the page-modification log. */
  setVirtualization(settings: {
    veArea?: bigint;
    eptpIndex?: number;
    pmlBase?: bigint;
    pmlIndex?: number;
  }): void {
    const cells = this.#block;
    cells[Cell.veArea] = settings.veArea ?? 0xffff_ffff_ffff_ffffn;
    cells[Cell.eptpIndex] = BigInt(settings.eptpIndex ?? 0);
    cells[Cell.pmlBase] = settings.pmlBase ?? 0n;
    cells[Cell.pmlIndex] = BigInt(settings.pmlIndex ?? 511);
    this.exports.embedSetVirtualization();
  }
  get pmlIndex(): number {
    this.exports.embedGetState();
    return Number(this.#block[Cell.pmlIndex]);
  }

  /** Guest-physical memory where the machine's own hypervisor places it; a store is one into a page table. */
  readGuest(gpa: bigint): bigint {
    this.#block[Cell.address] = gpa;
    this.exports.embedReadGuest();
    return this.#block[Cell.value]!;
  }
  storeEntry(gpa: bigint, value: bigint): void {
    this.#block[Cell.address] = gpa;
    this.#block[Cell.value] = value;
    this.exports.embedStoreEntry();
  }

  // ── The machine's own hypervisor

  /** Whether exits are left to the caller, as they are at first, or resolved by the machine's own hypervisor. */
  leaveExits(yes: boolean): void {
    this.exports.embedLeaveExits(yes);
  }
  /** Where the instruction under way is, and the bytes that its store writes. */
  instruction(gva: bigint, storeBytes = 8): void {
    this.exports.embedInstruction(Number(gva & 0xffff_ffffn), Number(gva >> 32n), storeBytes);
  }
  /** The host takes pages away (1), shares them (2), starts a dirty log (3) or changes the memory slots (4). */
  hostEvent(what: number, gfn: number, frames: number): void {
    this.exports.embedHostEvent(what, gfn, frames);
  }
  /** An exit under any hypervisor, by the number of its reason; `resume` follows. */
  exitAlways(reason: number): void {
    this.exports.embedExitAlways(reason);
  }
  /** The guest goes on. */
  resume(): void {
    this.exports.embedResume();
  }

  #outcome(code: number): Outcome {
    const cells = this.#block;
    const references = Number(cells[Cell.references]);
    const gpa = cells[Cell.exitAddress]!;
    const gla = cells[Cell.faultAddress]!;
    const qualification = Number(cells[Cell.qualification]);
    switch (code) {
      case OutcomeCode.ok:
        return { ok: true, hpa: cells[Cell.hostPhysical]!, gpa: cells[Cell.guestPhysical]!, references };
      case OutcomeCode.pageFault:
        return { ok: false, fault: "PF", errorCode: Number(cells[Cell.errorCode]), cr2: gla, references };
      case OutcomeCode.generalProtection:
        return { ok: false, fault: "GP", references };
      case OutcomeCode.eptViolation:
        return { ok: false, exit: "EPT_VIOLATION", qualification, gpa, gla, references };
      case OutcomeCode.eptMisconfig:
        return { ok: false, exit: "EPT_MISCONFIG", gpa, references };
      case OutcomeCode.nestedPageFault:
        return { ok: false, exit: "NPF", exitinfo1: cells[Cell.qualification]!, gpa, references };
      case OutcomeCode.pmlFull:
        return { ok: false, exit: "PML_FULL", references };
      case OutcomeCode.virtualizationException:
        return { ok: false, fault: "VE", references };
      default:
        throw new Error(`outcome ${code}`);
    }
  }

  #ended(code: number): Ended {
    if (code === OutcomeCode.ok) return "ok";
    if (code === OutcomeCode.generalProtection) return "GP";
    if (code === OutcomeCode.vmFail) return "VMfail";
    const gpa = this.#block[Cell.exitAddress]!;
    const qualification = this.#block[Cell.qualification]!;
    if (code === OutcomeCode.eptViolation)
      return { exit: "EPT_VIOLATION", qualification: Number(qualification), gpa };
    if (code === OutcomeCode.eptMisconfig) return { exit: "EPT_MISCONFIG", gpa };
    if (code === OutcomeCode.nestedPageFault) return { exit: "NPF", exitinfo1: qualification, gpa };
    return { exit: "PML_FULL" };
  }
}
