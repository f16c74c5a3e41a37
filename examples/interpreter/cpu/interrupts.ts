import { AC, IF } from "./alu.js";
import type { Cpu } from "./cpu.js";
import { GuestException, generalProtection, Stop, undefinedOpcode, Vector } from "./exception.js";
import type { Instruction } from "./instruction.js";
import { inLongMode, loadCode } from "./segments.js";
import { Gpr } from "./state.js";

/** Exceptions, software interrupts and the return from them, in 64-bit mode. */

const TF = 1 << 8;
const NT = 1 << 14;
const RF = 1 << 16;
/** Flags that IRET, POPF and SYSRET take from their operand. */
export const LOADABLE = 0x8d5 | (1 << 10) | IF | AC;

/** Goes to the handler of `exception`; `rip` is where the guest returns to. One that cannot be delivered is a double fault. */
export function deliver(cpu: Cpu, exception: GuestException, rip: bigint): void {
  const { vector, errorCode, address } = exception;
  if (vector === Vector.pf) cpu.state.cr2 = address;
  if (!inLongMode(cpu)) throw new Stop(`exception ${vector} outside 64-bit mode at ${rip.toString(16)}`);
  try {
    enter(cpu, vector, rip, errorCode);
  } catch (second) {
    if (!(second instanceof GuestException)) throw second;
    if (vector === Vector.df) throw new Stop("triple fault");
    deliver(cpu, new GuestException(Vector.df, 0), rip);
  }
}

/** INT n and INT3. */
export function interrupt(cpu: Cpu, vector: number): void {
  if (!inLongMode(cpu)) throw undefinedOpcode();
  const dpl = Number((gate(cpu, vector)[0] >> 45n) & 3n);
  if (dpl < cpu.state.cpl) throw generalProtection(vector * 8 + 2);
  enter(cpu, vector, cpu.next);
}

function gate(cpu: Cpu, vector: number): [bigint, bigint] {
  const { idt } = cpu.state;
  if (16 * vector + 15 > idt.limit) throw generalProtection(vector * 8 + 2);
  const at = idt.base + BigInt(16 * vector);
  const low = cpu.memory.read(at, 8, true);
  const high = cpu.memory.read(at + 8n, 8, true);
  const type = (low >> 40n) & 0x1fn;
  if ((type !== 14n && type !== 15n) || !((low >> 47n) & 1n)) throw generalProtection(vector * 8 + 2);
  return [low, high];
}

function enter(cpu: Cpu, vector: number, rip: bigint, errorCode?: number): void {
  const { state, memory } = cpu;
  const [low, high] = gate(cpu, vector);
  const target = (low & 0xffffn) | ((low >> 32n) & 0xffff_0000n) | ((high & 0xffff_ffffn) << 32n);
  const selector = Number((low >> 16n) & 0xffffn);
  const stack = (low >> 32n) & 7n;
  const newCpl = selector & 3;
  let pointer = state.gpr[Gpr.rsp]!;
  if (stack !== 0n) pointer = memory.read(state.task.base + 0x1cn + 8n * stack, 8, true);
  else if (newCpl !== state.cpl) pointer = memory.read(state.task.base + 4n + 8n * BigInt(newCpl), 8, true);
  pointer &= ~15n;
  const frame = [
    BigInt(state.segments[2]!.selector),
    state.gpr[Gpr.rsp]!,
    BigInt(state.rflags),
    BigInt((state.cs.selector & ~3) | state.cpl),
    rip,
  ];
  if (errorCode !== undefined) frame.push(BigInt(errorCode));
  for (const value of frame) {
    pointer -= 8n;
    memory.write(pointer, 8, value, true);
  }
  const from = state.cpl;
  loadCode(cpu, selector);
  if (state.cpl !== from) state.segments[2] = { selector: state.cpl, base: 0n };
  state.gpr[Gpr.rsp] = pointer;
  const interruptGate = ((low >> 40n) & 1n) === 0n;
  state.rflags &= ~(TF | NT | RF | (interruptGate ? IF : 0));
  cpu.next = target;
}

/** IRETQ. */
export function farReturn(cpu: Cpu, i: Instruction): void {
  const { state, memory } = cpu;
  if (state.width !== 64 || i.operandBytes !== 8) throw undefinedOpcode();
  const top = state.gpr[Gpr.rsp]!;
  const [rip, cs, flags, rsp, ss] = [0n, 8n, 16n, 24n, 32n].map((offset) => memory.read(top + offset, 8)) as [
    bigint,
    bigint,
    bigint,
    bigint,
    bigint,
  ];
  if ((Number(cs) & 3) < state.cpl) throw generalProtection(Number(cs) & 0xfffc);
  loadCode(cpu, Number(cs) & 0xffff);
  state.segments[2] = { selector: Number(ss) & 0xffff, base: 0n };
  state.rflags = (Number(flags) & LOADABLE) | 2;
  state.gpr[Gpr.rsp] = rsp;
  cpu.next = rip;
}
