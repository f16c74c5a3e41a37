import { holds, maskOf } from "./alu.js";
import type { Cpu } from "./cpu.js";
import { undefinedOpcode } from "./exception.js";
import type { Instruction } from "./instruction.js";
import { increment } from "./integer.js";
import { farReturn, interrupt } from "./interrupts.js";
import type { Handlers } from "./opcodes.js";
import { loadCode } from "./segments.js";
import { Gpr } from "./state.js";

/** Branches, calls and the stack. */
export const flow: Handlers = {};

function stackBytes(cpu: Cpu): number {
  return cpu.state.width === 64 ? 8 : cpu.state.width / 8;
}

/** What the stack pointer is added to in an address. */
function stackAddress(cpu: Cpu, pointer: bigint): bigint {
  if (cpu.state.width === 64) return pointer;
  return (cpu.state.segments[2]!.base + (pointer & maskOf(stackBytes(cpu)))) & maskOf(4);
}

export function push(cpu: Cpu, value: bigint, bytes = stackBytes(cpu)): void {
  const { gpr } = cpu.state;
  const pointer = (gpr[Gpr.rsp]! - BigInt(bytes)) & maskOf(8);
  cpu.memory.write(stackAddress(cpu, pointer), bytes, value & maskOf(bytes));
  gpr[Gpr.rsp] = pointer;
}

export function pop(cpu: Cpu, bytes = stackBytes(cpu)): bigint {
  const { gpr } = cpu.state;
  const value = cpu.memory.read(stackAddress(cpu, gpr[Gpr.rsp]!), bytes);
  gpr[Gpr.rsp] = (gpr[Gpr.rsp]! + BigInt(bytes)) & maskOf(8);
  return value;
}

function jump(cpu: Cpu, target: bigint): void {
  cpu.next = target & maskOf(stackBytes(cpu));
}

for (let r = 0; r < 8; ++r) {
  flow[0x50 | r] = (cpu, i) => push(cpu, cpu.state.gpr[r | ((i.rex & 1) << 3)]!);
  flow[0x58 | r] = (cpu, i) => i.setRegister(r | ((i.rex & 1) << 3), stackBytes(cpu), pop(cpu));
}
flow[0x68] = (cpu, i) => push(cpu, i.signedImmediate(Math.min(stackBytes(cpu), 4)));
flow[0x6a] = (cpu, i) => push(cpu, i.signedImmediate(1));

for (let condition = 0; condition < 16; ++condition) {
  flow[0x70 | condition] = (cpu, i) => branch(cpu, i.signedImmediate(1), condition);
  flow[0x180 | condition] = (cpu, i) =>
    branch(cpu, i.signedImmediate(Math.min(stackBytes(cpu), 4)), condition);
}
function branch(cpu: Cpu, distance: bigint, condition: number): void {
  if (holds(condition, cpu.state.rflags)) jump(cpu, cpu.next + distance);
}

flow[0xeb] = (cpu, i) => {
  const distance = i.signedImmediate(1);
  jump(cpu, cpu.next + distance);
};
flow[0xe9] = (cpu, i) => {
  const distance = i.signedImmediate(Math.min(stackBytes(cpu), 4));
  jump(cpu, cpu.next + distance);
};
flow[0xe8] = (cpu, i) => {
  const distance = i.signedImmediate(Math.min(stackBytes(cpu), 4));
  push(cpu, cpu.next);
  jump(cpu, cpu.next + distance);
};
flow[0xc3] = (cpu) => jump(cpu, pop(cpu));

/** LOOP */
flow[0xe2] = (cpu, i) => {
  const distance = i.signedImmediate(1);
  const left = (cpu.state.gpr[Gpr.rcx]! - 1n) & maskOf(i.addressBytes);
  i.setRegister(Gpr.rcx, i.addressBytes, left);
  if (left !== 0n) jump(cpu, cpu.next + distance);
};

/** JMP to another code segment, which is how a mode is entered. */
flow[0xea] = (cpu, i) => {
  if (cpu.state.width === 64) throw undefinedOpcode();
  const offset = i.immediate(i.operandBytes);
  loadCode(cpu, Number(i.immediate(2)));
  cpu.next = offset;
};

/* INC, DEC, CALL, JMP, PUSH. */
flow[0xfe] = flow[0xff] = (cpu, i) => {
  i.modrm();
  const operation = i.reg & 7;
  if (operation <= 1) return increment(cpu, i, operation === 0 ? 1n : -1n);
  if (i.opcode === 0xfe) throw undefinedOpcode();
  const target = i.read(stackBytes(cpu));
  if (operation === 2) push(cpu, cpu.next);
  else if (operation === 6) return push(cpu, target);
  else if (operation !== 4) throw undefinedOpcode();
  jump(cpu, target);
};

flow[0xcc] = (cpu) => interrupt(cpu, 3);
flow[0xcd] = (cpu, i: Instruction) => interrupt(cpu, Number(i.immediate(1)));
flow[0xcf] = (cpu, i) => farReturn(cpu, i);
