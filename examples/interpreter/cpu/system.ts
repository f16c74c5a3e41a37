import { AC, IF, maskOf } from "./alu.js";
import type { Cpu } from "./cpu.js";
import { generalProtection, Stop, undefinedOpcode } from "./exception.js";
import { pop, push } from "./flow.js";
import type { Instruction } from "./instruction.js";
import { LOADABLE } from "./interrupts.js";
import type { Handlers } from "./opcodes.js";
import { loadData, loadTask } from "./segments.js";
import { Gpr } from "./state.js";

/** Instructions that steer the machine; those that steer paging go to the MMU, which says what it refuses. */
export const system: Handlers = {};

function privileged(cpu: Cpu): void {
  if (cpu.state.cpl !== 0) throw generalProtection();
}

/* MOV to and from control registers. */
system[0x122] = (cpu, i) => {
  privileged(cpu);
  i.modrm();
  const { state, memory } = cpu;
  const value = i.register(i.rm, state.width === 64 ? 8 : 4);
  if (i.reg === 2) state.cr2 = value;
  else if (i.reg === 0 || i.reg === 3 || i.reg === 4) memory.load(`cr${i.reg}`, value);
  else throw undefinedOpcode();
};
system[0x120] = (cpu, i) => {
  privileged(cpu);
  i.modrm();
  const { cr0, cr2, cr3, cr4 } = cpu.state;
  const value = [cr0, undefined, cr2, cr3, cr4][i.reg];
  if (value === undefined) throw undefinedOpcode();
  i.setRegister(i.rm, cpu.state.width === 64 ? 8 : 4, value);
};

const Msr = { efer: 0xc000_0080, star: 0xc000_0081, lstar: 0xc000_0082, mask: 0xc000_0084 } as const;

system[0x130] = (cpu, i) => {
  privileged(cpu);
  const value = (i.register(Gpr.rdx, 4) << 32n) | i.register(Gpr.rax, 4);
  const { state } = cpu;
  const number = Number(i.register(Gpr.rcx, 4));
  /* The MMU knows of EFER itself. */
  if (number === Msr.efer) return cpu.memory.load("efer", value);
  cpu.memory.exits("wrmsr");
  switch (number) {
    case Msr.star:
      state.star = value;
      break;
    case Msr.lstar:
      state.lstar = value;
      break;
    case Msr.mask:
      state.syscallMask = value;
      break;
    default:
      throw generalProtection();
  }
};
system[0x132] = (cpu, i) => {
  privileged(cpu);
  cpu.memory.exits("rdmsr");
  const { efer, star, lstar, syscallMask } = cpu.state;
  const values: Record<number, bigint> = {
    [Msr.efer]: efer,
    [Msr.star]: star,
    [Msr.lstar]: lstar,
    [Msr.mask]: syscallMask,
  };
  const value = values[Number(i.register(Gpr.rcx, 4))];
  if (value === undefined) throw generalProtection();
  i.setRegister(Gpr.rax, 4, value);
  i.setRegister(Gpr.rdx, 4, value >> 32n);
};

/* LTR; LGDT, LIDT, INVLPG, STAC, CLAC, RDPKRU, WRPKRU. */
system[0x100] = (cpu, i) => {
  i.modrm();
  if ((i.reg & 7) !== 3) throw undefinedOpcode();
  privileged(cpu);
  loadTask(cpu, Number(i.read(2)));
};
system[0x101] = (cpu, i) => {
  i.modrm();
  const operation = i.reg & 7;
  if (!i.isMemory) return registerForm(cpu, i, (operation << 3) | (i.rm & 7));
  privileged(cpu);
  if (operation === 7) cpu.memory.invlpg(i.address);
  else if (operation === 2 || operation === 3) {
    const limit = Number(cpu.memory.read(i.address, 2));
    const base = cpu.memory.read(i.address + 2n, cpu.state.width === 64 ? 8 : 4);
    cpu.state[operation === 2 ? "gdt" : "idt"] = { base, limit };
  } else throw undefinedOpcode();
};
const CR4_SMAP = 1n << 21n;
const CR4_PKE = 1n << 22n;
function registerForm(cpu: Cpu, i: Instruction, which: number): void {
  const { state, memory } = cpu;
  if (which === 0o12 || which === 0o13) {
    if (state.cpl !== 0 || !(state.cr4 & CR4_SMAP)) throw undefinedOpcode();
    state.rflags = which === 0o13 ? state.rflags | AC : state.rflags & ~AC;
  } else if (which === 0o56 || which === 0o57) {
    if (!(state.cr4 & CR4_PKE)) throw undefinedOpcode();
    if (i.register(Gpr.rcx, 4) !== 0n) throw generalProtection();
    if (which === 0o57) memory.load("pkru", i.register(Gpr.rax, 4));
    else {
      i.setRegister(Gpr.rax, 4, BigInt(state.pkru));
      i.setRegister(Gpr.rdx, 4, 0n);
    }
  } else throw undefinedOpcode();
}

/** INVPCID */
system[0x282] = (cpu, i) => {
  if (!i.has66) throw undefinedOpcode();
  privileged(cpu);
  i.modrm();
  const descriptor = cpu.memory.read(i.address, 8);
  const address = cpu.memory.read(i.address + 8n, 8);
  cpu.memory.invpcid(Number(i.register(i.reg, 8)), descriptor, address);
};

/** CPUID: the vendor, and the paging features that there are. */
system[0x1a2] = (cpu, i) => {
  cpu.memory.exits("cpuid");
  const leaf = Number(i.register(Gpr.rax, 4));
  let [a, b, c, d] = [0, 0, 0, 0];
  if (leaf === 0) [a, b, d, c] = [7, 0x756e_6547, 0x4965_6e69, 0x6c65_746e];
  else if (leaf === 1) [c, d] = [1 << 17, (1 << 3) | (1 << 6) | (1 << 13)];
  else if (leaf === 7) [b, c] = [(1 << 7) | (1 << 10) | (1 << 20), 1 << 3];
  else if (leaf === 0x8000_0001) d = (1 << 11) | (1 << 20) | (1 << 29);
  for (const [register, value] of [
    [Gpr.rax, a],
    [Gpr.rbx, b],
    [Gpr.rcx, c],
    [Gpr.rdx, d],
  ] as const)
    i.setRegister(register, 4, BigInt(value >>> 0));
};

/* SYSCALL, SYSRET. */
system[0x105] = (cpu) => {
  const { state } = cpu;
  if (state.width !== 64) throw undefinedOpcode();
  const selector = Number((state.star >> 32n) & 0xfffcn);
  state.gpr[Gpr.rcx] = cpu.next;
  state.gpr[Gpr.r11] = BigInt(state.rflags);
  state.cs.selector = selector;
  state.segments[2] = { selector: selector + 8, base: 0n };
  state.cpl = 0;
  state.rflags &= ~Number(state.syscallMask);
  cpu.next = state.lstar;
};
system[0x107] = (cpu, i) => {
  const { state } = cpu;
  if (state.width !== 64 || i.operandBytes !== 8) throw undefinedOpcode();
  privileged(cpu);
  const selector = Number((state.star >> 48n) & 0xfffcn) | 3;
  state.cs.selector = selector + 16;
  state.segments[2] = { selector: selector + 8, base: 0n };
  state.cpl = 3;
  state.rflags = (Number(state.gpr[Gpr.r11]!) & LOADABLE) | 2;
  cpu.next = state.gpr[Gpr.rcx]!;
};

/* MOV to and from segment registers. */
system[0x8e] = (cpu, i) => {
  i.modrm();
  if ((i.reg & 7) === 1 || (i.reg & 7) > 5) throw undefinedOpcode();
  loadData(cpu, i.reg & 7, Number(i.read(2)));
};
system[0x8c] = (cpu, i) => {
  i.modrm();
  const segment = cpu.state.segments[i.reg & 7];
  if (segment === undefined) throw undefinedOpcode();
  i.write(2, BigInt(segment.selector));
};

/* PUSHF, POPF; CLI, STI; HLT. */
system[0x9c] = (cpu) => push(cpu, BigInt(cpu.state.rflags));
system[0x9d] = (cpu) => {
  const { state } = cpu;
  const loadable = state.cpl === 0 ? LOADABLE : LOADABLE & ~IF;
  state.rflags = (state.rflags & ~loadable) | (Number(pop(cpu) & 0xffff_ffffn) & loadable) | 2;
};
system[0xfa] = (cpu) => {
  privileged(cpu);
  cpu.state.rflags &= ~IF;
};
system[0xfb] = (cpu) => {
  privileged(cpu);
  cpu.state.rflags |= IF;
};
system[0xf4] = (cpu) => {
  privileged(cpu);
  cpu.memory.exits("hlt");
  ++cpu.instructions;
  throw new Stop(cpu.state.rflags & IF ? "waits for an interrupt" : "halted");
};
system[0x10b] = () => {
  throw undefinedOpcode();
};

/* OUT: from AL, AX or EAX, to a port in the instruction or in DX. */
for (const opcode of [0xe6, 0xe7, 0xee, 0xef]) {
  system[opcode] = (cpu, i) => {
    privileged(cpu);
    const port = opcode < 0xe8 ? i.immediate(1) : cpu.state.gpr[Gpr.rdx]! & 0xffffn;
    cpu.memory.exits("io");
    const bytes = opcode & 1 ? Math.min(i.operandBytes, 4) : 1;
    cpu.output(Number(port), Number(cpu.state.gpr[Gpr.rax]! & maskOf(bytes)));
  };
}
