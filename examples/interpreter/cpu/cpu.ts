import type { Memory } from "../memory.js";
import { GuestException, Stop, undefinedOpcode } from "./exception.js";
import { Instruction } from "./instruction.js";
import { deliver } from "./interrupts.js";
import { handlers } from "./opcodes.js";
import type { State } from "./state.js";

/** The port on which a guest says how it ended. */
const EXIT_PORT = 0xf4;

/** The interpreter: fetch, decode, carry out; what cannot be carried out is delivered to the guest. */
export class Cpu {
  readonly state: State;
  /** Address of the byte to fetch next: at the end of an instruction, where the guest goes on. */
  next = 0n;
  /** Instructions that were completed. */
  instructions = 0;
  readonly memory: Memory;
  /** What the guest wrote to EXIT_PORT. */
  exitCode = 0;
  readonly #instruction: Instruction;

  constructor(state: State, memory: Memory) {
    this.state = state;
    this.memory = memory;
    this.#instruction = new Instruction(this);
  }

  fetchByte(): number {
    const byte = this.memory.fetchByte(this.state.cs.base + this.next);
    ++this.next;
    return byte;
  }

  output(port: number, value: number): void {
    if (port === EXIT_PORT) this.exitCode = value;
  }

  /** Runs until the guest stops or has completed `most` instructions; returns why. */
  run(most: number): string {
    try {
      while (this.instructions < most) this.step();
    } catch (stop) {
      if (stop instanceof Stop) return stop.reason;
      throw stop;
    }
    return "limit";
  }

  step(): void {
    const { state, memory } = this;
    this.next = state.rip;
    try {
      memory.beginInstruction(state.cs.base + state.rip);
      const instruction = this.#instruction;
      instruction.begin();
      const handler = handlers[instruction.opcode];
      if (handler === undefined) throw undefinedOpcode();
      handler(this, instruction);
      state.rip = this.next;
      ++this.instructions;
    } catch (thrown) {
      if (!(thrown instanceof GuestException)) throw thrown;
      deliver(this, thrown, state.rip);
      state.rip = this.next;
    }
  }
}
