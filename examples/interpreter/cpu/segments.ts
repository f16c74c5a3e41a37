import type { Cpu } from "./cpu.js";
import { generalProtection } from "./exception.js";
import type { Segment } from "./state.js";

/** Segment registers and the descriptors they are loaded from. Limits are not checked. */

const CR0_PE = 1n;
const EFER_LMA = 1n << 10n;

export function inLongMode(cpu: Cpu): boolean {
  return (cpu.state.efer & EFER_LMA) !== 0n;
}

function inRealMode(cpu: Cpu): boolean {
  return (cpu.state.cr0 & CR0_PE) === 0n;
}

/** Reads the descriptor as the CPU does it, whatever the privilege level. */
function descriptor(cpu: Cpu, selector: number): bigint {
  const at = selector & 0xfff8;
  if (at === 0 || at + 7 > cpu.state.gdt.limit) throw generalProtection(selector & 0xfffc);
  const value = cpu.memory.read(cpu.state.gdt.base + BigInt(at), 8, true);
  if (!((value >> 47n) & 1n)) throw generalProtection(selector & 0xfffc);
  return value;
}

function baseOf(value: bigint): bigint {
  return ((value >> 16n) & 0xff_ffffn) | ((value >> 32n) & 0xff00_0000n);
}

/** Loads CS; its privilege level becomes the current one. */
export function loadCode(cpu: Cpu, selector: number): void {
  const { state } = cpu;
  if (inRealMode(cpu)) {
    state.cs.selector = selector;
    state.cs.base = BigInt(selector) << 4n;
    state.width = 16;
    return;
  }
  const value = descriptor(cpu, selector);
  if (((value >> 43n) & 3n) !== 3n) throw generalProtection(selector & 0xfffc);
  const long = inLongMode(cpu) && ((value >> 53n) & 1n) !== 0n;
  state.cs.selector = selector;
  state.cs.base = long ? 0n : baseOf(value);
  state.width = long ? 64 : (value >> 54n) & 1n ? 32 : 16;
  state.cpl = selector & 3;
  cpu.memory.setCodeLong(long);
}

/** Loads ES, SS, DS, FS or GS by its number. */
export function loadData(cpu: Cpu, number: number, selector: number): void {
  const segment = cpu.state.segments[number] as Segment;
  if (inRealMode(cpu)) segment.base = BigInt(selector) << 4n;
  else segment.base = (selector & 0xfffc) === 0 ? 0n : baseOf(descriptor(cpu, selector));
  segment.selector = selector;
}

const BUSY = 1n << 41n;

/** LTR: a TSS of 64-bit mode, whose descriptor is 16 bytes. */
export function loadTask(cpu: Cpu, selector: number): void {
  const { state, memory } = cpu;
  const low = descriptor(cpu, selector);
  if (((low >> 40n) & 0x1fn) !== 9n) throw generalProtection(selector & 0xfffc);
  const at = state.gdt.base + BigInt(selector & 0xfff8);
  const high = memory.read(at + 8n, 8, true);
  memory.write(at, 8, low | BUSY, true);
  state.task = { selector, base: baseOf(low) | ((high & 0xffff_ffffn) << 32n) };
}
