import { DF, maskOf } from "./alu.js";
import type { Cpu } from "./cpu.js";
import type { Instruction } from "./instruction.js";
import type { Handlers } from "./opcodes.js";
import { Gpr } from "./state.js";

/** STOS, MOVS and LODS. A repetition that faults has done what came before, and goes on there when it is run again. */
export const strings: Handlers = {};

const ES = 0;

function repeated(cpu: Cpu, i: Instruction, once: () => void): void {
  const { gpr } = cpu.state;
  if (i.repeat === 0) {
    once();
    return;
  }
  for (let left = gpr[Gpr.rcx]! & maskOf(i.addressBytes); left !== 0n; ) {
    once();
    i.setRegister(Gpr.rcx, i.addressBytes, --left);
  }
}

function advance(cpu: Cpu, i: Instruction, register: number, bytes: number): void {
  const by = cpu.state.rflags & DF ? -bytes : bytes;
  i.setRegister(register, i.addressBytes, cpu.state.gpr[register]! + BigInt(by));
}

strings[0xaa] = strings[0xab] = (cpu, i) => {
  const bytes = i.opcode & 1 ? i.operandBytes : 1;
  const { gpr } = cpu.state;
  repeated(cpu, i, () => {
    cpu.memory.write(i.linearAddress(gpr[Gpr.rdi]!, ES), bytes, gpr[Gpr.rax]! & maskOf(bytes));
    advance(cpu, i, Gpr.rdi, bytes);
  });
};

strings[0xa4] = strings[0xa5] = (cpu, i) => {
  const bytes = i.opcode & 1 ? i.operandBytes : 1;
  const { gpr } = cpu.state;
  repeated(cpu, i, () => {
    const value = cpu.memory.read(i.linearAddress(gpr[Gpr.rsi]!), bytes);
    cpu.memory.write(i.linearAddress(gpr[Gpr.rdi]!, ES), bytes, value);
    advance(cpu, i, Gpr.rsi, bytes);
    advance(cpu, i, Gpr.rdi, bytes);
  });
};

strings[0xac] = strings[0xad] = (cpu, i) => {
  const bytes = i.opcode & 1 ? i.operandBytes : 1;
  const { gpr } = cpu.state;
  repeated(cpu, i, () => {
    i.setRegister(Gpr.rax, bytes, cpu.memory.read(i.linearAddress(gpr[Gpr.rsi]!), bytes));
    advance(cpu, i, Gpr.rsi, bytes);
  });
};

strings[0xfc] = (cpu) => {
  cpu.state.rflags &= ~DF;
};
strings[0xfd] = (cpu) => {
  cpu.state.rflags |= DF;
};
