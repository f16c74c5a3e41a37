import { BareCore, cachesOf, type Parameters, parametersOf } from "../../src/conform/bare/core.js";
import type { Access, Ept, Outcome, Registers } from "../../src/conform/bare/types.js";

export const READ: Access = { kind: "read", user: false, implicit: false };
export const WRITE: Access = { kind: "write", user: false, implicit: false };
export const FETCH: Access = { kind: "fetch", user: false, implicit: false };
export const USER_READ: Access = { ...READ, user: true };
export const USER_WRITE: Access = { ...WRITE, user: true };
export const IMPLICIT_READ: Access = { ...READ, implicit: true };

export const CR0 = { PE: 1n, NW: 1n << 29n, CD: 1n << 30n, WP: 1n << 16n, PG: 1n << 31n };
export const CR4 = {
  PSE: 1n << 4n,
  PAE: 1n << 5n,
  PGE: 1n << 7n,
  LA57: 1n << 12n,
  PCIDE: 1n << 17n,
  SMEP: 1n << 20n,
  SMAP: 1n << 21n,
  PKE: 1n << 22n,
  CET: 1n << 23n,
  PKS: 1n << 24n,
};
export const EFER = { LME: 1n << 8n, LMA: 1n << 10n, NXE: 1n << 11n };
export const NO_FLUSH = 1n << 63n;

/** Entry flags: P, R/W, U/S; A and D set, so that a test that counts writes sees only its own. */
export const P = 1n;
export const RW = 2n;
export const US = 4n;
export const A = 0x20n;
export const D = 0x40n;
export const PS = 0x80n;
export const G = 0x100n;
export const XD = 1n << 63n;
const FRAME = 0x000f_ffff_ffff_f000n;

/** Guest tables live below 1 GiB, data from 4 GiB up. */
const TABLES = 0x10_0000n;
export const DATA = 0x1_0000_0000n;
const CACHES = cachesOf(0);
const EPT_TABLES = 0x4000_0000n;

export const LONG: Registers = {
  cr0: CR0.PE | CR0.PG | CR0.WP,
  cr3: 0n,
  cr4: CR4.PAE | CR4.PGE,
  efer: EFER.LME | EFER.LMA | EFER.NXE,
  pkru: 0n,
  pkrs: 0n,
  ac: false,
  maxphyaddr: 46,
  vendor: "intel",
};

/** A machine with TLBs of every size, paging-structure caches and a nested TLB, and tables written by hand. */
export class TlbMachine {
  readonly mmu: BareCore;
  readonly regs: Registers;
  #tables = TABLES;
  #eptTables = EPT_TABLES;

  constructor(regs: Partial<Registers> = {}, ept?: Partial<Ept>, more: Parameters = {}) {
    this.regs = { ...LONG, ...regs };
    const stage2: Ept | { kind: "none" } = ept
      ? {
          kind: "ept",
          root: 0n,
          levels: 4,
          maxphyaddr: 46,
          accessedDirty: false,
          executeOnly: true,
          mbec: false,
          ...ept,
        }
      : { kind: "none" };
    this.mmu = BareCore.with(parametersOf(this.regs, stage2, { nestedTlbData: 1, ...more }), CACHES);
    this.mmu.setVirtualization({});
    this.mmu.setState(this.regs, ept ? ({ ...stage2, root: EPT_TABLES } as Ept) : { kind: "none" });
  }

  /** A zeroed guest table. */
  table(): bigint {
    this.#tables += 0x1000n;
    return this.#tables;
  }

  /** Address of the entry of `level` on the path of `va` from the table at `root` of `top` levels. */
  entryAt(root: bigint, va: bigint, level: number, top = 4): bigint {
    let table = root;
    for (let l = top; ; --l) {
      const at = table + 8n * ((va >> BigInt(3 + 9 * l)) & 0x1ffn);
      if (l === level) return at;
      table = this.mmu.read(at) & FRAME;
    }
  }

  /** Maps `va` to `frame`; tables on the way have `upper` flags and are shared with earlier paths. */
  map(
    root: bigint,
    va: bigint,
    frame: bigint,
    flags = P | RW | US | A,
    level = 1,
    upper = P | RW | US | A,
    top = 4,
  ): bigint {
    let table = root;
    for (let l = top; ; --l) {
      const at = table + 8n * ((va >> BigInt(3 + 9 * l)) & 0x1ffn);
      if (l === level) {
        this.mmu.write(at, frame | flags | (level > 1 ? PS : 0n));
        return at;
      }
      if (this.mmu.read(at) === 0n) this.mmu.write(at, this.table() | upper);
      table = this.mmu.read(at) & FRAME;
    }
  }

  /** Points the leaf of `va` at another frame, as a store of the guest that invalidates nothing. */
  remap(at: bigint, frame: bigint): void {
    this.mmu.write(at, (this.mmu.read(at) & ~FRAME) | frame);
  }

  /** A root of EPT tables that map the first GiB onto itself; returns its EPTP. */
  ept(accessedDirty = false): bigint {
    const root = this.#eptTables;
    this.#eptTables += 0x1000n;
    this.eptMap(root, 0n, 0n, 3);
    return root | 0x1en | (accessedDirty ? 0x40n : 0n);
  }

  /** Maps `gpa` to `hpa` under an EPTP; returns the address of the leaf. */
  eptMap(eptp: bigint, gpa: bigint, hpa: bigint, level = 1, rights = 7n): bigint {
    let table = eptp & FRAME;
    for (let l = 4; ; --l) {
      const at = table + 8n * ((gpa >> BigInt(3 + 9 * l)) & 0x1ffn);
      if (l === level) {
        this.mmu.write(at, hpa | rights | 0x30n | (level > 1 ? PS : 0n));
        return at;
      }
      if (this.mmu.read(at) === 0n) {
        this.mmu.write(at, this.#eptTables | 7n);
        this.#eptTables += 0x1000n;
      }
      table = this.mmu.read(at) & FRAME;
    }
  }

  touch(va: bigint, access: Access = READ): Outcome {
    return this.mmu.access(va, access);
  }

  /** Page the access ends in. */
  frameOf(va: bigint, access: Access = READ): bigint {
    const outcome = this.mmu.access(va, access);
    if (!outcome.ok)
      throw new Error(
        `0x${va.toString(16)} faults: ${JSON.stringify(outcome, (_, v) => (typeof v === "bigint" ? v.toString(16) : v))}`,
      );
    return outcome.hpa & ~0xfffn;
  }
}
