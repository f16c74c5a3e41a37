import { exitReasons } from "../../generated/declarations.js";
import type { BareCore } from "../bare/core.js";
import { AccessBit } from "../bare/exports.js";
import { type Figures, subtract, takeFigures } from "./figures.js";
import { buildMachine, type RigOptions } from "./machine.js";

const READ = AccessBit.read;
const WRITE = AccessBit.write;
const FETCH = AccessBit.fetch;

/** Registers by the names of the trace. */
const registers = { CR0: "cr0", CR4: "cr4", EFER: "efer" } as const;

/** What the host does (assembly/technique/technique.ts). */
const UNMAP = 1;
const SLOTS_CHANGE = 4;

/** All of RAM seen through the guest kernel's own mapping. */
const WINDOW = 0xffff_ffff_8000_0000n;
const CODE = WINDOW + 0x10_0000n;
const STACK = WINDOW + 0x10_aff8n;
const MAILBOX = WINDOW + 0x8000n;

const CR4_PAE = 0x20n;
const CR4_PCIDE = 0x20000n;

const MOST_ATTEMPTS = 10000;
const IO = exitReasons.find((r) => r.name === "io")!.value;

const hex = (text: string) => BigInt(`0x${text}`);

type Ended = ReturnType<BareCore["attempt"]>;

/** One run of the recorded guest, replayed from its documented initial state. */
export class Rig {
  private readonly bare: BareCore;
  /** The image has been touched by the start-up code, so code and stack can be relied on. */
  private started = false;
  /** Line of the trace that is replayed. */
  private line = 0;

  constructor(options: RigOptions) {
    const bare = buildMachine(options);
    this.bare = bare;
    bare.storeEntry(0x1ff8n, 0x2063n);
    bare.storeEntry(0x2ff0n, 0x3063n);
    for (let i = 0n; i < 128n; ++i) bare.storeEntry(0x3000n + 8n * i, (i << 21n) + 0xe3n);
    bare.instruction(CODE);
    bare.loaded("cr0", 0x8001_0033n);
    bare.loaded("cr4", CR4_PAE | (options.params.pcid ? CR4_PCIDE : 0n));
    bare.loaded("efer", 0x500n);
    bare.loaded("cr3", 0x1000n);
  }

  /** Replays a trace; `measured` hears of each phase when it ends. */
  replay(text: string, measured: (phase: string, figures: Figures) => void): void {
    let before: Figures | undefined;
    let ioExits = 0;
    const take = () => {
      const figures = takeFigures(this.bare.core);
      figures.exits.IOIO = ioExits;
      return figures;
    };
    const out = () => {
      this.bare.exitAlways(IO);
      ++ioExits;
    };
    for (const [i, line] of text.split("\n").entries()) {
      this.line = i + 1;
      const [event, a = "", b = "", c = ""] = line.split(" ");
      if (event === undefined || event === "" || event === "#") continue;
      if (event === "BEGIN") {
        this.started = true;
        this.access(WRITE, MAILBOX);
        out();
        before = take();
        this.bare.resume();
      } else if (event === "END") {
        this.fetch();
        out();
        if (before !== undefined) measured(a, subtract(take(), before));
        this.bare.resume();
      } else if (event === "HOSTUNMAP" || event === "HOSTSLOTS") {
        this.access(WRITE, MAILBOX);
        out();
        if (event === "HOSTSLOTS") this.bare.hostEvent(SLOTS_CHANGE, 0, 0);
        else this.bare.hostEvent(UNMAP, Number.parseInt(a, 16) / 4096, Number.parseInt(b, 16) / 4096);
        this.returned();
      } else {
        this.event(event, a, b, c);
      }
    }
  }

  private event(event: string, a: string, b: string, c: string): void {
    switch (event) {
      case "X":
        this.attempts(FETCH, hex(a));
        break;
      case "R":
        this.access(READ, hex(a));
        break;
      case "W":
        this.access(WRITE, hex(a));
        break;
      case "FR":
      case "FW":
        if (this.access(event === "FR" ? READ : WRITE, hex(a)) !== "guestFault")
          throw new Error(`line ${this.line}: ${event} ${a} raised no page fault`);
        break;
      case "PTEW":
        this.store(hex(a), hex(b), c === "" ? WINDOW + hex(a) : hex(c));
        this.returned();
        break;
      case "ZERO":
        for (let gpa = hex(a), i = 0; i < 512; ++i, gpa += 8n) this.store(gpa, 0n, WINDOW + gpa);
        this.returned();
        break;
      case "CR3":
        this.fetch();
        this.bare.loaded("cr3", hex(a));
        break;
      case "CR0":
      case "CR4":
      case "EFER":
        this.fetch();
        this.bare.loaded(registers[event], hex(a));
        this.returned();
        break;
      case "INVLPG":
        this.fetch();
        this.bare.invlpg(hex(a));
        this.returned();
        break;
      case "IRET":
        break;
      default:
        throw new Error(`line ${this.line}: unknown event "${event}"`);
    }
  }

  /** An access by an instruction of the guest, until it is done or faults in the guest. */
  private access(kind: number, va: bigint): Ended {
    const result = this.attempts(kind, va);
    this.returned();
    return result;
  }

  private attempts(kind: number, va: bigint): Ended {
    for (let i = 0; i < MOST_ATTEMPTS; ++i) {
      this.fetch();
      const result = this.bare.attempt(va, kind);
      if (result !== "retry") return result;
    }
    throw new Error(`line ${this.line}: an access to ${va.toString(16)} never ends`);
  }

  private store(gpa: bigint, value: bigint, va: bigint): void {
    if (this.attempts(WRITE, va) === "guestFault") throw new Error(`line ${this.line}: the store faulted`);
    this.bare.storeEntry(gpa, value);
  }

  /** The instruction itself: its code is always mapped, unless a limit of shadow pages took the mapping away. */
  private fetch(): void {
    if (this.started) this.implicit(FETCH, CODE);
  }

  /** The function of the guest program that played the event returns. */
  private returned(): void {
    if (!this.started) return;
    this.fetch();
    this.implicit(READ, STACK);
  }

  private implicit(kind: number, va: bigint): void {
    for (let i = 0; i < MOST_ATTEMPTS; ++i) {
      if (this.bare.attempt(va, kind) === "done") return;
    }
    throw new Error(`line ${this.line}: the guest's own code or stack cannot be mapped`);
  }
}
