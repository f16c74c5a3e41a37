import type { Core } from "../../core.js";
import { exitReasons } from "../../generated/declarations.js";
import { type Figures, subtract, takeFigures } from "./figures.js";
import { buildMachine, type DriveExports, type RigOptions } from "./machine.js";

const READ = 0;
const WRITE = 1;
const FETCH = 2;

/** Results of an attempt (assembly/drive.ts). */
const DONE = 0;
const RETRY = 1;
const GUEST_FAULT = 2;

/** Registers by the numbers of `driveLoad`. */
const registers = { CR0: 0, CR4: 4, EFER: 8 };

/** What the host does (assembly/technique/technique.ts). */
const UNMAP = 1;
const SLOTS_CHANGE = 4;

/** All of RAM seen through the guest kernel's own mapping. */
const WINDOW_LOW = 0x80000000;
const TOP = 0xffffffff;
const CODE = 0x80100000;
const STACK = 0x8010aff8;
const MAILBOX = 0x80008000;

const CR4_PAE = 0x20;
const CR4_PCIDE = 0x20000;

const MOST_ATTEMPTS = 10000;
const IO = exitReasons.find((r) => r.name === "io")!.value;

/** A hexadecimal number of up to 64 bits as two halves. */
function halves(text: string): [low: number, high: number] {
  const low = Number.parseInt(text.slice(-8), 16);
  return [low, text.length > 8 ? Number.parseInt(text.slice(0, -8), 16) : 0];
}

/** One run of the recorded guest, replayed from its documented initial state. */
export class Rig {
  private readonly core: Core;
  private readonly drive: DriveExports;
  /** The image has been touched by the start-up code, so code and stack can be relied on. */
  private started = false;
  /** Line of the trace that is replayed. */
  private line = 0;

  constructor(options: RigOptions) {
    const { core, drive } = buildMachine(options);
    this.core = core;
    this.drive = drive;
    this.entry(0x1ff8, 0x2063);
    this.entry(0x2ff0, 0x3063);
    for (let i = 0; i < 128; ++i) this.entry(0x3000 + 8 * i, i * 0x200000 + 0xe3);
    drive.driveInstruction(CODE, TOP);
    drive.driveLoad(0, 0x80010033, 0);
    drive.driveLoad(4, CR4_PAE | (options.params.pcid ? CR4_PCIDE : 0), 0);
    drive.driveLoad(8, 0x500, 0);
    drive.driveLoad(3, 0x1000, 0);
  }

  private entry(gpa: number, value: number): void {
    this.drive.driveStoreEntry(gpa, 0, value, 0);
  }

  /** Replays a trace; `measured` hears of each phase when it ends. */
  replay(text: string, measured: (phase: string, figures: Figures) => void): void {
    let before: Figures | undefined;
    let ioExits = 0;
    const take = () => {
      const figures = takeFigures(this.core, this.drive);
      figures.exits.IOIO = ioExits;
      return figures;
    };
    const out = () => {
      this.drive.driveExit(IO);
      ++ioExits;
    };
    for (const [i, line] of text.split("\n").entries()) {
      this.line = i + 1;
      const [event, a = "", b = "", c = ""] = line.split(" ");
      if (event === undefined || event === "" || event === "#") continue;
      if (event === "BEGIN") {
        this.started = true;
        this.access(WRITE, MAILBOX, TOP);
        out();
        before = take();
        this.drive.driveEnter();
      } else if (event === "END") {
        this.fetch();
        out();
        if (before !== undefined) measured(a, subtract(take(), before));
        this.drive.driveEnter();
      } else if (event === "HOSTUNMAP" || event === "HOSTSLOTS") {
        this.access(WRITE, MAILBOX, TOP);
        out();
        if (event === "HOSTSLOTS") this.drive.driveHost(SLOTS_CHANGE, 0, 0);
        else this.drive.driveHost(UNMAP, Number.parseInt(a, 16) / 4096, Number.parseInt(b, 16) / 4096);
        this.drive.driveEnter();
        this.returned();
      } else {
        this.event(event, a, b, c);
      }
    }
  }

  private event(event: string, a: string, b: string, c: string): void {
    const [low, high] = halves(a);
    switch (event) {
      case "X":
        this.attempts(FETCH, low, high);
        break;
      case "R":
        this.access(READ, low, high);
        break;
      case "W":
        this.access(WRITE, low, high);
        break;
      case "FR":
      case "FW":
        if (this.access(event === "FR" ? READ : WRITE, low, high) !== GUEST_FAULT)
          throw new Error(`line ${this.line}: ${event} ${a} raised no page fault`);
        break;
      case "PTEW":
        this.store(low, high, ...halves(b), c === "" ? [WINDOW_LOW + low, TOP] : halves(c));
        this.returned();
        break;
      case "ZERO":
        for (let i = 0; i < 512; ++i) this.store(low + 8 * i, high, 0, 0, [WINDOW_LOW + low + 8 * i, TOP]);
        this.returned();
        break;
      case "CR3":
        this.fetch();
        this.drive.driveLoad(3, low, high);
        break;
      case "CR0":
      case "CR4":
      case "EFER":
        this.fetch();
        this.drive.driveLoad(registers[event], low, high);
        this.returned();
        break;
      case "INVLPG":
        this.fetch();
        this.drive.driveInvlpg(low, high);
        this.returned();
        break;
      case "IRET":
        break;
      default:
        throw new Error(`line ${this.line}: unknown event "${event}"`);
    }
  }

  /** An access by an instruction of the guest, until it is done or faults in the guest. */
  private access(kind: number, low: number, high: number): number {
    const result = this.attempts(kind, low, high);
    this.returned();
    return result;
  }

  private attempts(kind: number, low: number, high: number): number {
    for (let i = 0; i < MOST_ATTEMPTS; ++i) {
      this.fetch();
      const result = this.drive.driveAttempt(low, high, kind);
      if (result !== RETRY) return result;
    }
    throw new Error(`line ${this.line}: an access to ${high.toString(16)}:${low.toString(16)} never ends`);
  }

  private store(
    gpaLow: number,
    gpaHigh: number,
    low: number,
    high: number,
    [vaLow, vaHigh]: readonly [number, number],
  ): void {
    if (this.attempts(WRITE, vaLow, vaHigh) === GUEST_FAULT)
      throw new Error(`line ${this.line}: the store faulted`);
    this.drive.driveStoreEntry(gpaLow, gpaHigh, low, high);
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

  private implicit(kind: number, low: number): void {
    for (let i = 0; i < MOST_ATTEMPTS; ++i) {
      if (this.drive.driveAttempt(low, TOP, kind) === DONE) return;
    }
    throw new Error(`line ${this.line}: the guest's own code or stack cannot be mapped`);
  }
}
