import { Access, Kind, type Mmu, Right, Status } from "nestwalk/embed";
import { TABLES } from "./guest/pages.js";
import type { Host } from "./host.js";
import type { Hooks } from "./patch.js";

const CR0_PG = 0x8000_0000;

/** Flags of v86's TLB entries (src/rust/cpu/cpu.rs). */
const Entry = { readOnly: 2, noUser: 4, mapped: 8, global: 16 } as const;

/** A walk of v86, and what came of it. */
export interface Walk {
  address: number;
  write: boolean;
  user: boolean;
  found?: { physical: number; global: boolean; forUser: boolean };
  /** Of a page fault. */
  errorCode?: number;
}

/** What the MMU says about a walk that v86 has begun. */
interface Expected extends Walk {
  access: number;
  /** Offset of its page in v86's memory. */
  offset: number;
  kind: number;
  rights: number;
  /** The MMU walked before v86 did: at every other walk, so that each must set the flags that the other does. */
  first: boolean;
}

/** Follows v86's walks and flushes with an MMU over the same memory, and compares each walk. */
export class Comparison implements Hooks {
  /** The walks that v86 made, in the order in which they began. */
  readonly walks: Walk[] = [];
  readonly mismatches: string[] = [];
  readonly #mmu: Mmu;
  readonly #host: Host;
  /** Delivering a page fault takes walks of its own, inside the one that faulted. */
  readonly #open: Expected[] = [];
  #registers = { cr0: 0, cr3: 0, cr4: 0 };
  /** The guest's tables when they were last looked at. */
  #tables: Uint8Array;

  constructor(mmu: Mmu, host: Host) {
    this.#mmu = mmu;
    this.#host = host;
    this.#registers = host.controls();
    this.#tables = this.#tablesNow().slice();
  }

  #tablesNow(): Uint8Array {
    return new Uint8Array(
      this.#host.memory.buffer,
      this.#host.ramBase + TABLES.first,
      TABLES.end - TABLES.first,
    );
  }

  walkBegins(address: number, write: number, user: number, _jit: number, effects: number): void {
    this.#followRegisters();
    const mmu = this.#mmu;
    const access = (write ? Access.write : Access.read) | (user ? Access.user : 0);
    const status = mmu.probe(address >>> 0, 0, access);
    const expected: Expected = {
      address: address >>> 0,
      write: write !== 0,
      user: user !== 0,
      access,
      offset: mmu.offset - (mmu.offset % 4096),
      kind: mmu.kind,
      rights: mmu.rights,
      first: this.walks.length % 2 === 0,
    };
    if (status === Status.ok)
      expected.found = {
        physical: mmu.physical - (mmu.physical % 4096),
        global: mmu.global,
        forUser: (mmu.rights & Right.userRead) !== 0,
      };
    else if (status === Status.pageFault) expected.errorCode = mmu.errorCode;
    else throw new Error(`status ${status} of the MMU`);
    this.#open.push(expected);
    if (effects === 0) return;
    this.walks.push({ ...expected });
    if (status === Status.ok && !expected.first) return;
    this.#translate(expected);
    this.#tables = this.#tablesNow().slice();
  }

  walkEnds(entry: number): void {
    const expected = this.#open.pop()!;
    const { address, write, found, offset, kind, rights } = expected;
    if (entry === 0) {
      if (found) this.#say(expected, "v86 faults, the MMU does not");
      return;
    }
    if (!found) {
      this.#say(expected, `v86 does not fault, the MMU does with error code ${expected.errorCode}`);
      return;
    }
    const page = address & ~0xfff;
    const itsOffset = ((entry ^ page) & ~0xfff) >>> 0;
    const physical = itsOffset - this.#host.ramBase;
    const agree =
      physical === found.physical &&
      (itsOffset === offset || kind !== Kind.ram) &&
      ((entry & Entry.noUser) === 0) === found.forUser &&
      ((entry & Entry.global) !== 0) === found.global &&
      ((entry & Entry.mapped) === 0) === (kind === Kind.ram) &&
      ((entry & Entry.readOnly) === 0) === write &&
      (rights & (write ? Right.userWrite | Right.write : Right.userRead | Right.read)) !== 0;
    if (!agree)
      this.#say(expected, `v86 found ${physical.toString(16)} with flags ${(entry & 31).toString(2)}`);
    this.#compareFlags(expected);
  }

  /** Accessed and dirty flags: whoever walks second finds nothing left to set. */
  #compareFlags(expected: Expected): void {
    if (expected.first) {
      if (!this.#tablesAre(this.#tables)) this.#say(expected, "v86 sets flags that the MMU does not");
    } else {
      const left = this.#tablesNow().slice();
      this.#translate(expected);
      if (!this.#tablesAre(left)) this.#say(expected, "the MMU sets flags that v86 does not");
    }
    this.#tables = this.#tablesNow().slice();
  }

  #tablesAre(bytes: Uint8Array): boolean {
    return Buffer.compare(bytes, this.#tablesNow()) === 0;
  }

  #translate({ address, access }: Expected): void {
    this.#mmu.translate(address, 0, access);
  }

  #say({ address, write, user }: Expected, what: string): void {
    this.mismatches.push(
      `${user ? "user" : "system"} ${write ? "write" : "read"} of ${address.toString(16)}: ${what}`,
    );
  }

  flushed(all: number): void {
    if (all === 0) this.#registers.cr3 = -1;
    this.#followRegisters();
  }

  invlpg(address: number): void {
    this.#followRegisters();
    this.#mmu.invlpg(address >>> 0, 0);
  }

  /** v86 keeps its registers in memory: what changed since the last look is loaded, in an order that every CPU takes. */
  #followRegisters(): void {
    const before = this.#registers;
    const now = this.#host.controls();
    this.#registers = now;
    const off = before.cr0 !== now.cr0 && !(now.cr0 & CR0_PG);
    if (off) this.#mmu.setCr0(now.cr0);
    if (before.cr4 !== now.cr4) this.#mmu.setCr4(now.cr4);
    if (before.cr3 !== now.cr3) this.#mmu.setCr3(now.cr3);
    if (before.cr0 !== now.cr0 && !off) this.#mmu.setCr0(now.cr0);
  }
}
