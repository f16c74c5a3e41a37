import type { Cpu } from "./cpu.js";
import { flow } from "./flow.js";
import type { Instruction } from "./instruction.js";
import { integer } from "./integer.js";
import { strings } from "./strings.js";
import { system } from "./system.js";

export type Handler = (cpu: Cpu, instruction: Instruction) => void;
/** Handlers by opcode (Instruction.begin). */
export type Handlers = Record<number, Handler>;

export const handlers: (Handler | undefined)[] = [];
for (const [opcode, handler] of [integer, flow, strings, system].flatMap((table) => Object.entries(table)))
  handlers[Number(opcode)] = handler;
