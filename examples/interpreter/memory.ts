import { Access, Feed, type Invalidation, Kind, type Mmu, Status } from "nestwalk/embed";
import { AC, maskOf } from "./cpu/alu.js";
import { GuestException, generalProtection, Vector } from "./cpu/exception.js";
import type { State } from "./cpu/state.js";
import type { Hypervisor } from "./hypervisor.js";
import { Mode, PageCache } from "./page-cache.js";

/** The guest's memory as its CPU sees it: every address goes through the page cache or the MMU. */
export class Memory {
  readonly pages = new PageCache();
  readonly #mmu: Mmu;
  readonly #bytes: DataView;
  readonly #state: State;
  readonly #records: boolean;
  readonly #hypervisor: Hypervisor | undefined;
  /** The page that instructions come from, and where it lies. */
  #codePage = -1;
  #codeOffset = 0;
  /** The access located last is one that the MMU's own hypervisor makes in the guest's stead. */
  #emulated = false;
  /** EFLAGS.AC is being told. */
  #switchesAc = false;

  /** A recorder has to be told of every access, so that with `records` none is found in the page cache. */
  constructor(mmu: Mmu, bytes: DataView, state: State, records: boolean, hypervisor?: Hypervisor) {
    this.#mmu = mmu;
    this.#bytes = bytes;
    this.#state = state;
    this.#records = records;
    this.#hypervisor = hypervisor;
  }

  /** The MMU's feed: what may not be used any longer. */
  invalidate({ kind, low, high, span }: Invalidation): void {
    if (kind === Feed.address) {
      const pages = 2 ** (span - 12);
      const page = high * 2 ** 20 + (low >>> 12);
      this.pages.drop(page - (page % pages), pages);
    } else if (kind !== Feed.rights || !this.#switchesAc) this.pages.dropAll();
  }

  /** EFLAGS.AC changes rights, too, but here they are kept for either state of it. */
  #setAc(on: boolean): void {
    this.#switchesAc = true;
    this.#mmu.setAc(on);
    this.#switchesAc = false;
  }

  /**
   * Offset in memory of an accessed byte, or -1 for what is no RAM. Throws the fault that the guest takes. `bytes` is for
   * the recorder: the access's, or 0 for the second page of one that crosses.
   */
  #locate(linear: bigint, bytes: number, kind: number, implicit: boolean): number {
    const { cpl, rflags } = this.#state;
    const ac = (rflags & AC) !== 0;
    const user = cpl === 3 && !implicit;
    const mode = user ? Mode.user : ac && !implicit ? Mode.supervisorAc : Mode.supervisor;
    const page = Number(linear >> 12n);
    const within = Number(linear & 0xfffn);
    this.#emulated = false;
    const found = this.#records ? -1 : this.pages.find(page, mode, kind);
    if (found >= 0) return found + within;

    const mmu = this.#mmu;
    this.#setAc(ac);
    if (kind === Access.write) this.#announceStore(bytes);
    const access = kind | (user ? Access.user : 0) | (implicit ? Access.implicit : 0);
    const low = Number(linear & 0xffff_ffffn);
    const high = Number(linear >> 32n);
    let status = mmu.translate(low, high, access, bytes);
    while (this.#hypervisor?.resolve(status)) status = mmu.translate(low, high, access, bytes);
    switch (status) {
      case Status.ok:
        if (mmu.kind === Kind.ram) this.pages.keep(page, mode, mmu.offset - within, mmu.rights);
        break;
      case Status.emulated:
        this.#emulated = true;
        break;
      case Status.pageFault:
        throw new GuestException(Vector.pf, mmu.errorCode, mmu.faultAddress);
      case Status.generalProtection:
        throw generalProtection();
      default:
        throw new Error(`status ${status} of the MMU`);
    }
    return mmu.offset;
  }

  /** A hypervisor that emulates a store reads its instruction, and asks for its size. */
  #announceStore(bytes: number): void {
    const rip = this.#state.cs.base + this.#state.rip;
    this.#mmu.instruction(Number(rip & 0xffff_ffffn), Number(rip >> 32n), bytes);
  }

  read(linear: bigint, bytes: number, implicit = false): bigint {
    const first = this.#locate(linear, bytes, Access.read, implicit);
    const inFirst = 4096 - Number(linear & 0xfffn);
    if (bytes <= inFirst) return this.#load(first, bytes);
    const second = this.#locate((linear | 0xfffn) + 1n, 0, Access.read, implicit);
    let value = 0n;
    for (let i = bytes - 1; i >= 0; --i)
      value = (value << 8n) | this.#load(i < inFirst ? first + i : second + i - inFirst, 1);
    return value;
  }

  /** A store into two pages is made when both may be written. */
  write(linear: bigint, bytes: number, value: bigint, implicit = false): void {
    const first = this.#locate(linear, bytes, Access.write, implicit);
    const emulated = this.#emulated;
    const inFirst = 4096 - Number(linear & 0xfffn);
    if (bytes <= inFirst) {
      this.#store(first, bytes, value);
      if (emulated) this.#mmu.stored(first, bytes);
      return;
    }
    const second = this.#locate((linear | 0xfffn) + 1n, 0, Access.write, implicit);
    for (let i = 0; i < bytes; ++i)
      this.#store(i < inFirst ? first + i : second + i - inFirst, 1, (value >> BigInt(8 * i)) & 0xffn);
    if (emulated) this.#mmu.stored(first, inFirst);
    if (this.#emulated) this.#mmu.stored(second, bytes - inFirst);
  }

  /** To be called before an instruction's first byte is fetched: its page is looked up anew. */
  beginInstruction(linear: bigint, bytes = 1): void {
    this.#codeOffset = this.#locate(linear, bytes, Access.fetch, false) - Number(linear & 0xfffn);
    this.#codePage = Number(linear >> 12n);
  }
  fetchByte(linear: bigint): number {
    if (Number(linear >> 12n) !== this.#codePage) this.beginInstruction(linear, 0);
    return this.#bytes.getUint8(this.#codeOffset + Number(linear & 0xfffn));
  }

  #load(offset: number, bytes: number): bigint {
    if (offset < 0) return maskOf(bytes);
    const { byteLength } = this.#bytes;
    if (offset + bytes > byteLength) throw new RangeError(`offset ${offset} of ${byteLength}`);
    if (bytes === 8) return this.#bytes.getBigUint64(offset, true);
    if (bytes === 4) return BigInt(this.#bytes.getUint32(offset, true));
    return BigInt(bytes === 2 ? this.#bytes.getUint16(offset, true) : this.#bytes.getUint8(offset));
  }
  #store(offset: number, bytes: number, value: bigint): void {
    if (offset < 0) return;
    if (bytes === 8) this.#bytes.setBigUint64(offset, value, true);
    else if (bytes === 4) this.#bytes.setUint32(offset, Number(value), true);
    else if (bytes === 2) this.#bytes.setUint16(offset, Number(value), true);
    else this.#bytes.setUint8(offset, Number(value));
  }

  /** MOV to a control register, WRMSR of EFER, WRPKRU: the MMU checks, flushes, and keeps the value. */
  load(register: "cr0" | "cr3" | "cr4" | "efer" | "pkru", value: bigint): void {
    const mmu = this.#mmu;
    const loads = {
      cr0: () => mmu.setCr0(value),
      cr3: () => mmu.setCr3(value),
      cr4: () => mmu.setCr4(value),
      efer: () => mmu.setEfer(value),
      pkru: () => mmu.setPkru(value),
    };
    if (loads[register]() !== Status.ok) throw generalProtection();
    const { cr0, cr3, cr4, efer, pkru } = mmu.state();
    Object.assign(this.#state, { cr0, cr3, cr4, efer, pkru: Number(pkru) });
  }
  /** CS.L */
  setCodeLong(long: boolean): void {
    this.#mmu.setCodeLong(long);
  }
  invlpg(linear: bigint): void {
    this.#mmu.invlpg(Number(linear & 0xffff_ffffn), Number(linear >> 32n));
  }
  invpcid(type: number, descriptor: bigint, linear: bigint): void {
    const [low, high] = [Number(linear & 0xffff_ffffn), Number(linear >> 32n)];
    if (this.#mmu.invpcid(type, descriptor, low, high) !== Status.ok) throw generalProtection();
  }
  /** An instruction that a hypervisor has to carry out. */
  exits(reason: "cpuid" | "hlt" | "io" | "rdmsr" | "wrmsr"): void {
    this.#mmu.exits(reason);
  }
}
