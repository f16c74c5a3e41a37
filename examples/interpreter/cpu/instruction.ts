import { maskOf, signExtend } from "./alu.js";
import type { Cpu } from "./cpu.js";
import { undefinedOpcode } from "./exception.js";
import { Gpr } from "./state.js";

const FS = 4;
const GS = 5;
const DS = 3;
const SS = 2;

/** One instruction as it is decoded: prefixes and opcode at once, ModRM and immediates when its handler asks. */
export class Instruction {
  opcode = 0;
  /** 2, 4 or 8. */
  operandBytes = 4;
  addressBytes = 8;
  rex = 0;
  /** 0, or the last of F2 and F3. */
  repeat = 0;
  /** Prefix 66 was there: it selects another instruction in some places. */
  has66 = false;
  mod = 0;
  reg = 0;
  rm = 0;
  /** Linear address of a memory operand. */
  address = 0n;
  #segment = -1;
  readonly #cpu: Cpu;

  constructor(cpu: Cpu) {
    this.#cpu = cpu;
  }

  /** Reads prefixes and the opcode; those that begin with 0F are 0x100 and up, with 0F 38 0x200 and up. */
  begin(): void {
    const cpu = this.#cpu;
    const { width } = cpu.state;
    this.rex = 0;
    this.repeat = 0;
    this.has66 = false;
    this.#segment = -1;
    let has67 = false;
    let byte = cpu.fetchByte();
    for (; ; byte = cpu.fetchByte()) {
      if (byte === 0x66) this.has66 = true;
      else if (byte === 0x67) has67 = true;
      else if (byte === 0xf2 || byte === 0xf3) this.repeat = byte;
      else if (byte === 0x64) this.#segment = FS;
      else if (byte === 0x65) this.#segment = GS;
      else if (byte === 0x2e || byte === 0x36 || byte === 0x3e || byte === 0x26)
        this.#segment = this.#segmentOf(byte);
      else if (byte !== 0xf0) break;
    }
    if (width === 64 && byte >> 4 === 4) {
      this.rex = byte;
      byte = cpu.fetchByte();
    }
    const usual = width === 16 ? 2 : 4;
    this.operandBytes = this.rex & 8 ? 8 : this.has66 ? 6 - usual : usual;
    this.addressBytes = width === 64 ? (has67 ? 4 : 8) : has67 ? 6 - usual : usual;
    this.opcode = byte;
    if (byte !== 0x0f) return;
    byte = cpu.fetchByte();
    this.opcode = byte === 0x38 ? 0x200 | cpu.fetchByte() : 0x100 | byte;
  }

  /** In 64-bit mode these four do nothing. */
  #segmentOf(prefix: number): number {
    if (this.#cpu.state.width === 64) return -1;
    return (prefix >> 3) & 3;
  }

  immediate(bytes: number): bigint {
    let value = 0n;
    for (let i = 0; i < bytes; ++i) value |= BigInt(this.#cpu.fetchByte()) << BigInt(8 * i);
    return value;
  }
  signedImmediate(bytes: number): bigint {
    return signExtend(this.immediate(bytes), bytes);
  }
  /** An immediate of the operand's size, at most 4 bytes, sign-extended. */
  operandImmediate(bytes = this.operandBytes): bigint {
    return this.signedImmediate(Math.min(bytes, 4)) & maskOf(bytes);
  }

  /**
   * Reads ModRM and, for a memory operand, computes its address. `after` is how many bytes of immediate follow, in
   * groups of one opcode where the register field is below `below`.
   */
  modrm(after = 0, below = 16): void {
    const byte = this.#cpu.fetchByte();
    this.mod = byte >> 6;
    this.reg = ((byte >> 3) & 7) | ((this.rex & 4) << 1);
    this.rm = (byte & 7) | ((this.rex & 1) << 3);
    if (this.mod !== 3) this.address = this.#linear(byte & 7, this.reg < below ? after : 0);
  }

  get isMemory(): boolean {
    return this.mod !== 3;
  }

  #linear(rm: number, after: number): bigint {
    const { state } = this.#cpu;
    let offset: bigint;
    let segment = DS;
    if (this.addressBytes === 2) {
      /* Of the 16-bit forms only the plain address. */
      if (this.mod !== 0 || rm !== 6) throw undefinedOpcode();
      offset = this.immediate(2);
    } else {
      let base = rm | ((this.rex & 1) << 3);
      offset = 0n;
      if (rm === 4) {
        const sib = this.#cpu.fetchByte();
        base = (sib & 7) | ((this.rex & 1) << 3);
        const index = ((sib >> 3) & 7) | ((this.rex & 2) << 2);
        if (index !== 4) offset = state.gpr[index]! << BigInt(sib >> 6);
      }
      if (this.mod === 0 && (base & 7) === 5) {
        offset += this.signedImmediate(4);
        if (rm === 5 && state.width === 64) offset += this.#cpu.next + BigInt(after);
      } else {
        offset += state.gpr[base]!;
        if ((base === Gpr.rsp || base === Gpr.rbp) && !(this.rex & 1)) segment = SS;
        if (this.mod === 1) offset += this.signedImmediate(1);
        else if (this.mod === 2) offset += this.signedImmediate(4);
      }
    }
    return this.linearAddress(offset, this.#segment === -1 ? segment : this.#segment);
  }

  /** `offset` in a segment; in 64-bit mode only FS and GS have a base. */
  linearAddress(offset: bigint, segment = this.#segment === -1 ? DS : this.#segment): bigint {
    const { state } = this.#cpu;
    const within = offset & maskOf(this.addressBytes);
    if (state.width === 64)
      return segment >= FS ? (within + state.segments[segment]!.base) & maskOf(8) : within;
    return (within + state.segments[segment]!.base) & maskOf(4);
  }

  /** The register or memory operand of ModRM. */
  read(bytes: number): bigint {
    return this.isMemory ? this.#cpu.memory.read(this.address, bytes) : this.register(this.rm, bytes);
  }
  write(bytes: number, value: bigint): void {
    if (this.isMemory) this.#cpu.memory.write(this.address, bytes, value);
    else this.setRegister(this.rm, bytes, value);
  }

  /** Without REX, byte registers 4 to 7 are AH, CH, DH, BH. */
  register(number: number, bytes: number): bigint {
    const { gpr } = this.#cpu.state;
    if (bytes === 1 && this.rex === 0 && number >= 4 && number < 8) return (gpr[number - 4]! >> 8n) & 0xffn;
    return gpr[number]! & maskOf(bytes);
  }
  /** Writing 4 bytes clears the upper half, as 64-bit mode does. */
  setRegister(number: number, bytes: number, value: bigint): void {
    const { gpr } = this.#cpu.state;
    if (bytes >= 4) gpr[number] = value & maskOf(bytes);
    else if (bytes === 1 && this.rex === 0 && number >= 4 && number < 8)
      gpr[number - 4] = (gpr[number - 4]! & ~0xff00n) | ((value & 0xffn) << 8n);
    else gpr[number] = (gpr[number]! & ~maskOf(bytes)) | (value & maskOf(bytes));
  }
}
