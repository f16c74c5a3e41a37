import { createHash } from "node:crypto";
import { createMmu, type Mmu } from "nestwalk/embed";
import { loadImage } from "../image.js";
import { Cpu } from "./cpu/cpu.js";
import { State } from "./cpu/state.js";
import { image } from "./guest/image.js";
import { type Fault, faultsIn, type Results, resultsIn } from "./guest/results.js";
import { Hypervisor } from "./hypervisor.js";
import { Memory } from "./memory.js";

const MIB = 1 << 20;
const GUEST_BYTES = 16 * MIB;
const LOADED_AT = 0x7c00;
const MOST_INSTRUCTIONS = 10_000_000;

export interface MachineOptions {
  technique: "native" | "ept" | "npt" | "shadow";
  /** Whose second-stage tables: nestwalk's own hypervisor (default), or that of hypervisor.ts. */
  hypervisor?: "model" | "host";
  /** A CPU preset. */
  cpu?: string;
  /** Assignments of the configuration, as `nestwalk run --set` takes them. */
  set?: string[];
  record?: boolean;
}

/** What the guest can see of its run. */
export interface Outcome {
  stopped: string;
  exitCode: number;
  instructions: number;
  registers: string[];
  results: Results;
  faults: Fault[];
  memorySha256: string;
}

/** A machine of one CPU and 16 MiB of memory, whose only MMU is nestwalk's. */
export class Machine {
  readonly mmu: Mmu;
  readonly cpu: Cpu;
  readonly memory: Memory;
  readonly hypervisor: Hypervisor | undefined;
  readonly #bytes: DataView;

  constructor({
    technique,
    hypervisor = "model",
    cpu = "skylake-sp",
    set = [],
    record = false,
  }: MachineOptions) {
    const hosted = hypervisor === "host" && (technique === "ept" || technique === "npt");
    const size = hosted ? 4 * GUEST_BYTES : GUEST_BYTES;
    this.#bytes = new DataView(new ArrayBuffer(size));
    this.mmu = createMmu({
      memory: this.#bytes,
      ram: { base: 0, size },
      technique,
      hypervisor,
      cpu,
      set,
      record: record && { guest: "examples/interpreter/guest" },
      onInvalidate: (invalidation) => this.memory.invalidate(invalidation),
    });
    if (hosted)
      this.hypervisor = new Hypervisor(this.mmu, this.#bytes, technique, GUEST_BYTES, 3 * GUEST_BYTES);
    const state = new State();
    this.memory = new Memory(this.mmu, this.#bytes, state, record, this.hypervisor);
    this.cpu = new Cpu(state, this.memory);
    this.mmu.setState({ cr0: state.cr0, codeLong: false });
    this.#load();
    this.hypervisor?.enter();
  }

  /** Puts the guest where its code expects to be. */
  #load(): void {
    loadImage(image, (address, byte) => this.#bytes.setUint8(this.#at(address), byte), LOADED_AT);
  }

  /** Offset of a guest-physical address in memory. */
  #at(guestPhysical: number): number {
    return this.hypervisor?.addressOf(guestPhysical) ?? guestPhysical;
  }

  run(): Outcome {
    const stopped = this.cpu.run(MOST_INSTRUCTIONS);
    const { state, instructions, exitCode } = this.cpu;
    const memory = this.#guestMemory();
    return {
      stopped,
      exitCode,
      instructions,
      registers: [...state.gpr, state.rip, BigInt(state.rflags)].map((value) => value.toString(16)),
      results: resultsIn(memory),
      faults: faultsIn(memory),
      memorySha256: createHash("sha256").update(new Uint8Array(memory.buffer)).digest("hex"),
    };
  }

  /** A copy of the guest's memory in the order of its own addresses. */
  #guestMemory(): DataView {
    const copy = new Uint8Array(GUEST_BYTES);
    for (let page = 0; page < GUEST_BYTES; page += 4096)
      copy.set(new Uint8Array(this.#bytes.buffer, this.#at(page), 4096), page);
    return new DataView(copy.buffer);
  }
}
