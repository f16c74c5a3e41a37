import {
  AF,
  arithmetic,
  CF,
  holds,
  maskOf,
  OF,
  PF,
  SF,
  STATUS,
  shift,
  signExtend,
  subtract,
  ZF,
} from "./alu.js";
import type { Cpu } from "./cpu.js";
import { GuestException, undefinedOpcode, Vector } from "./exception.js";
import type { Instruction } from "./instruction.js";
import type { Handlers } from "./opcodes.js";
import { Gpr } from "./state.js";

/** Integer instructions. A memory operand is written before a register is, so that one that faults changes nothing. */
export const integer: Handlers = {};

function setStatus(cpu: Cpu, flags: number): void {
  cpu.state.rflags = (cpu.state.rflags & ~STATUS) | flags;
}

/** Odd opcodes have operands of the operand size, even ones of a byte. */
function size(i: Instruction): number {
  return i.opcode & 1 ? i.operandBytes : 1;
}

/* ADD, OR, ADC, SBB, AND, SUB, XOR, CMP: six forms each. */
for (let operation = 0; operation < 8; ++operation) {
  for (let form = 0; form < 6; ++form) {
    integer[(operation << 3) | form] = (cpu, i) => {
      const bytes = size(i);
      const { rflags } = cpu.state;
      if (form >= 4) {
        const right = i.operandImmediate(bytes);
        const { value, flags } = arithmetic(operation, i.register(Gpr.rax, bytes), right, bytes, rflags);
        if (operation !== 7) i.setRegister(Gpr.rax, bytes, value);
        setStatus(cpu, flags);
        return;
      }
      i.modrm();
      const memory = i.read(bytes);
      const register = i.register(i.reg, bytes);
      const toRegister = form >= 2;
      const [a, b] = toRegister ? [register, memory] : [memory, register];
      const { value, flags } = arithmetic(operation, a, b, bytes, rflags);
      if (operation !== 7) {
        if (toRegister) i.setRegister(i.reg, bytes, value);
        else i.write(bytes, value);
      }
      setStatus(cpu, flags);
    };
  }
}

function group1(cpu: Cpu, i: Instruction): void {
  const bytes = size(i);
  const immediateBytes = i.opcode === 0x81 ? Math.min(bytes, 4) : 1;
  i.modrm(immediateBytes);
  const b = i.signedImmediate(immediateBytes) & maskOf(bytes);
  const { value, flags } = arithmetic(i.reg & 7, i.read(bytes), b, bytes, cpu.state.rflags);
  if ((i.reg & 7) !== 7) i.write(bytes, value);
  setStatus(cpu, flags);
}
integer[0x80] = group1;
integer[0x81] = group1;
integer[0x83] = group1;

integer[0x84] = integer[0x85] = (cpu, i) => {
  const bytes = size(i);
  i.modrm();
  setStatus(cpu, arithmetic(4, i.read(bytes), i.register(i.reg, bytes), bytes, 0).flags);
};
integer[0xa8] = integer[0xa9] = (cpu, i) => {
  const bytes = size(i);
  setStatus(cpu, arithmetic(4, i.register(Gpr.rax, bytes), i.operandImmediate(bytes), bytes, 0).flags);
};

/* MOV, LEA, MOVZX, MOVSX, MOVSXD, XCHG. */
integer[0x88] = integer[0x89] = (_, i) => {
  i.modrm();
  i.write(size(i), i.register(i.reg, size(i)));
};
integer[0x8a] = integer[0x8b] = (_, i) => {
  i.modrm();
  i.setRegister(i.reg, size(i), i.read(size(i)));
};
integer[0xc6] = integer[0xc7] = (_, i) => {
  const bytes = size(i);
  i.modrm(Math.min(bytes, 4));
  i.write(bytes, i.operandImmediate(bytes));
};
for (let r = 0; r < 8; ++r) {
  integer[0xb0 | r] = (_, i) => i.setRegister(r | ((i.rex & 1) << 3), 1, i.immediate(1));
  integer[0xb8 | r] = (_, i) =>
    i.setRegister(r | ((i.rex & 1) << 3), i.operandBytes, i.immediate(i.operandBytes));
}
integer[0x8d] = (cpu, i) => {
  i.modrm();
  if (!i.isMemory) throw undefinedOpcode();
  i.setRegister(i.reg, i.operandBytes, i.address & maskOf(cpu.state.width === 64 ? 8 : 4));
};
integer[0x63] = (_, i) => {
  i.modrm();
  i.setRegister(i.reg, i.operandBytes, signExtend(i.read(4), 4));
};
for (const [opcode, from, signed] of [
  [0x1b6, 1, false],
  [0x1b7, 2, false],
  [0x1be, 1, true],
  [0x1bf, 2, true],
] as const) {
  integer[opcode] = (_, i) => {
    i.modrm();
    const value = i.read(from);
    i.setRegister(i.reg, i.operandBytes, signed ? signExtend(value, from) : value);
  };
}
integer[0x86] = integer[0x87] = (_, i) => {
  const bytes = size(i);
  i.modrm();
  const register = i.register(i.reg, bytes);
  const other = i.read(bytes);
  i.write(bytes, register);
  i.setRegister(i.reg, bytes, other);
};
integer[0x90] = () => {};
integer[0x11f] = (_, i) => i.modrm();

/* NOT, NEG, MUL, DIV, TEST; INC, DEC. */
function group3(cpu: Cpu, i: Instruction): void {
  const bytes = size(i);
  i.modrm(Math.min(bytes, 4), 2);
  const operation = i.reg & 7;
  const a = i.read(bytes);
  if (operation <= 1) setStatus(cpu, arithmetic(4, a, i.operandImmediate(bytes), bytes, 0).flags);
  else if (operation === 2) i.write(bytes, ~a & maskOf(bytes));
  else if (operation === 3) {
    const { value, flags } = subtract(0n, a, bytes);
    i.write(bytes, value);
    setStatus(cpu, flags);
  } else if (operation === 4) multiply(cpu, i, a, bytes);
  else if (operation === 6) divide(i, a, bytes);
  else throw undefinedOpcode();
}
function multiply(cpu: Cpu, i: Instruction, a: bigint, bytes: number): void {
  if (bytes === 1) throw undefinedOpcode();
  const product = a * i.register(Gpr.rax, bytes);
  const high = product >> BigInt(8 * bytes);
  i.setRegister(Gpr.rax, bytes, product & maskOf(bytes));
  i.setRegister(Gpr.rdx, bytes, high);
  setStatus(cpu, high === 0n ? 0 : CF | OF);
}
function divide(i: Instruction, a: bigint, bytes: number): void {
  if (bytes === 1) throw undefinedOpcode();
  const dividend = (i.register(Gpr.rdx, bytes) << BigInt(8 * bytes)) | i.register(Gpr.rax, bytes);
  if (a === 0n || dividend / a > maskOf(bytes)) throw new GuestException(Vector.de);
  i.setRegister(Gpr.rax, bytes, dividend / a);
  i.setRegister(Gpr.rdx, bytes, dividend % a);
}
integer[0xf6] = integer[0xf7] = group3;

export function increment(cpu: Cpu, i: Instruction, by: bigint): void {
  const bytes = size(i);
  const { value, flags } = arithmetic(by === 1n ? 0 : 5, i.read(bytes), 1n, bytes, 0);
  i.write(bytes, value);
  setStatus(cpu, (flags & ~CF) | (cpu.state.rflags & CF));
}
for (let r = 0; r < 8; ++r) {
  /* Outside 64-bit mode 40-4F are INC and DEC, there they are REX prefixes. */
  for (const by of [1n, -1n]) {
    integer[(by === 1n ? 0x40 : 0x48) | r] = (cpu, i) => {
      const bytes = i.operandBytes;
      const { value, flags } = arithmetic(by === 1n ? 0 : 5, i.register(r, bytes), 1n, bytes, 0);
      i.setRegister(r, bytes, value);
      setStatus(cpu, (flags & ~CF) | (cpu.state.rflags & CF));
    };
  }
}

integer[0x1af] = (cpu, i) => {
  i.modrm();
  signedProduct(cpu, i, i.register(i.reg, i.operandBytes), i.read(i.operandBytes));
};
integer[0x69] = integer[0x6b] = (cpu, i) => {
  const bytes = i.opcode === 0x6b ? 1 : Math.min(i.operandBytes, 4);
  i.modrm(bytes);
  signedProduct(cpu, i, i.read(i.operandBytes), i.signedImmediate(bytes));
};
function signedProduct(cpu: Cpu, i: Instruction, a: bigint, b: bigint): void {
  const bytes = i.operandBytes;
  const product = signExtend(a, bytes) * signExtend(b, bytes);
  i.setRegister(i.reg, bytes, product);
  setStatus(cpu, signExtend(product, bytes) === product ? 0 : CF | OF);
}

/* Shifts and rotates. */
function group2(cpu: Cpu, i: Instruction): void {
  const bytes = size(i);
  const byImmediate = i.opcode < 0xd0;
  i.modrm(byImmediate ? 1 : 0);
  const operation = i.reg & 7;
  if (operation === 2 || operation === 3 || operation === 6) throw undefinedOpcode();
  const count = byImmediate ? i.immediate(1) : i.opcode < 0xd2 ? 1n : cpu.state.gpr[Gpr.rcx]! & 0xffn;
  const result = shift(operation, i.read(bytes), Number(count), bytes, cpu.state.rflags);
  if (result === undefined) return;
  i.write(bytes, result.value);
  setStatus(cpu, result.flags);
}
for (const opcode of [0xc0, 0xc1, 0xd0, 0xd1, 0xd2, 0xd3]) integer[opcode] = group2;

/* SETcc, CMOVcc. */
for (let condition = 0; condition < 16; ++condition) {
  integer[0x190 | condition] = (cpu, i) => {
    i.modrm();
    i.write(1, holds(condition, cpu.state.rflags) ? 1n : 0n);
  };
  integer[0x140 | condition] = (cpu, i) => {
    i.modrm();
    const value = i.read(i.operandBytes);
    i.setRegister(
      i.reg,
      i.operandBytes,
      holds(condition, cpu.state.rflags) ? value : i.register(i.reg, i.operandBytes),
    );
  };
}

/* CMPXCHG; BT, BTS, BTR of a register or of a bit inside the memory operand. */
integer[0x1b0] = integer[0x1b1] = (cpu, i) => {
  const bytes = size(i);
  i.modrm();
  const old = i.read(bytes);
  const expected = i.register(Gpr.rax, bytes);
  const { flags } = subtract(expected, old, bytes);
  /* The destination is written in either case. */
  i.write(bytes, expected === old ? i.register(i.reg, bytes) : old);
  if (expected !== old) i.setRegister(Gpr.rax, bytes, old);
  setStatus(cpu, flags);
};
integer[0x1ba] = (cpu, i) => {
  i.modrm(1);
  const bit = 1n << (i.immediate(1) & BigInt(8 * i.operandBytes - 1));
  const value = i.read(i.operandBytes);
  const operation = i.reg & 7;
  if (operation < 4) throw undefinedOpcode();
  if (operation === 5) i.write(i.operandBytes, value | bit);
  else if (operation === 6) i.write(i.operandBytes, value & ~bit);
  else if (operation === 7) i.write(i.operandBytes, value ^ bit);
  setStatus(cpu, (cpu.state.rflags & (PF | AF | ZF | SF | OF)) | (value & bit ? CF : 0));
};
/* CLD, STD are in strings.ts; CLC, STC: */
integer[0xf8] = (cpu) => setStatus(cpu, cpu.state.rflags & STATUS & ~CF);
integer[0xf9] = (cpu) => setStatus(cpu, (cpu.state.rflags & STATUS) | CF);
