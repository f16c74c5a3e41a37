import { Cell, Register, Status } from "../generated/abi.js";
import type { Value } from "./block.js";
import { checkKeys } from "./check-options.js";
import { Translation } from "./translation.js";

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

const STATE: readonly (keyof RegisterState)[] = [
  ...(["cr0", "cr3", "cr4", "efer", "pkru", "pkrs", "ac", "codeLong", "pdptes"] as const),
];

/** The guest's registers, and the instructions by which it flushes. */
export class GuestCpu extends Translation {
  #codeLong = true;

  // ── Registers. Each returns a `Status`: ok, generalProtection, or the exit that a load of PDPTEs met.

  #load(register: number, value: Value): number {
    this.recorder?.checkRegister(register, BigInt.asUintN(64, BigInt(value)));
    this.recorder?.settle();
    this.block.set(Cell.value, BigInt.asUintN(64, BigInt(value)));
    const status = this.asked(this.exports.embedLoad(register));
    if (status === Status.ok) this.recorder?.register(register, BigInt.asUintN(64, BigInt(value)));
    return this.after(status);
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
    return this.pat(value, false);
  }
  protected pat(value: Value, ofHost: boolean): number {
    this.block.set(Cell.value, BigInt.asUintN(64, BigInt(value)));
    return this.exports.embedSetPat(ofHost);
  }
  /** EFLAGS.AC. */
  setAc(on: boolean): void {
    this.exports.embedAc(on);
    this.recorder?.setAc(on);
    this.after(0);
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
    this.recorder?.checkRegister(Register.pkrs, BigInt(all.pkrs));
    for (const [i, name] of (["cr0", "cr3", "cr4", "efer", "pkru", "pkrs"] as const).entries())
      this.block.set(i, all[name]);
    this.block.set(Cell.ac, all.ac ? 1 : 0);
    for (const [i, entry] of all.pdptes.entries()) this.block.set(Cell.pdptes + i, entry);
    this.block.set(Cell.codeLong, all.codeLong ? 1 : 0);
    this.block.set(Cell.secondRoot, 0);
    this.#codeLong = all.codeLong;
    this.exports.embedSetState();
    this.recorder?.state(all);
    this.after(0);
  }
  state(): RegisterState {
    this.exports.embedGetState();
    const [cr0, cr3, cr4, efer, pkru, pkrs] = [0, 1, 2, 3, 4, 5].map((cell) => this.block.get(cell)) as [
      bigint,
      bigint,
      bigint,
      bigint,
      bigint,
      bigint,
    ];
    const pdptes = [0, 1, 2, 3].map((i) =>
      this.block.get(Cell.pdptes + i),
    ) as unknown as RegisterState["pdptes"];
    return {
      cr0,
      cr3,
      cr4,
      efer,
      pkru,
      pkrs,
      ac: this.block.get(Cell.ac) !== 0n,
      codeLong: this.#codeLong,
      pdptes,
    };
  }

  // ── Invalidation

  /** INVLPG. */
  invlpg(low: number, high: number): void {
    this.recorder?.settle();
    this.block.setHalves(Cell.address, low, high);
    this.exports.embedInvlpg();
    this.recorder?.invlpg(low, high);
    this.after(0);
  }
  /** INVPCID: type 0 an address, 1 a PCID, 2 everything, 3 everything but global pages. ok or generalProtection. */
  invpcid(type: number, pcid: Value, low = 0, high = 0): number {
    this.recorder?.settle();
    this.block.setHalves(Cell.address, low, high);
    this.block.set(Cell.value, pcid);
    const status = this.exports.embedInvpcid(type);
    if (status === Status.ok) this.recorder?.invpcid(type, Number(pcid), low, high);
    return this.after(status);
  }
  /** Drops everything cached. A trace has it as an INVPCID of type 2. */
  flush(): void {
    this.recorder?.settle();
    this.recorder?.invpcid(2, 0, 0, 0);
    this.exports.embedFlush();
    this.after(0);
  }
}
