import { BareCore, type Parameters, parametersOf } from "../bare/core.js";
import type { Access, Ept, Npt, Outcome, Registers } from "../bare/types.js";

export const READ: Access = { kind: "read", user: false, implicit: false };
export const WRITE: Access = { kind: "write", user: false, implicit: false };
export const FETCH: Access = { kind: "fetch", user: false, implicit: false };
export const ACCESSES = [READ, WRITE, FETCH] as const;

const PS = 0x80n;
const GUEST_ALL = 0x67n;

export const GUEST: Registers = {
  cr0: 0x8001_0001n,
  cr3: 0n,
  cr4: 0x20n,
  efer: 0xd00n,
  pkru: 0n,
  pkrs: 0n,
  ac: false,
  maxphyaddr: 52,
  vendor: "intel",
};

const GVA = 0x1234_5678_9238n & 0x7fff_ffff_ffffn;
const ROOT = 0x10_0000n;

export interface Shape {
  /** Level of the host leaf of the data page, and of the guest's table pages. */
  dataLeaf?: number;
  tableLeaf?: number;
  regs?: Partial<Registers>;
}

/**
 * A guest of four levels that maps one page, over a second stage. Each table page and the data page have host paths
 * that share only the root table, so that a case may break one alone. Level 0 stands for the data page.
 */
export class World {
  readonly mmu: BareCore;
  readonly regs: Registers;
  readonly gva = GVA;
  readonly levels: number;
  readonly #tables = new Map<number, bigint>();
  #nextTable = ROOT;

  constructor(
    readonly stage2: Ept | Npt,
    shape: Shape = {},
    more: Parameters = {},
  ) {
    this.levels = stage2.levels;
    this.regs = { ...GUEST, vendor: stage2.kind === "npt" ? "amd" : "intel", ...shape.regs };
    this.mmu = BareCore.with(parametersOf(this.regs, stage2, more));
    for (let level = 4; level >= 0; --level) {
      const leafLevel = level === 0 ? (shape.dataLeaf ?? 1) : (shape.tableLeaf ?? 1);
      this.#mapHost(level, leafLevel);
    }
    for (let level = 4; level >= 1; --level) {
      const next = level === 1 ? this.pageOf(0) : this.pageOf(level - 1);
      this.mmu.write(this.guestEntry(level), (next & ~0xfffn) | GUEST_ALL);
    }
    this.regs.cr3 = this.pageOf(4) & ~0xfffn;
    this.load();
  }

  /** Loads the registers, after a case has changed them. */
  load(): void {
    this.mmu.setState(this.regs, { ...this.stage2, root: ROOT });
    this.mmu.setVirtualization({});
  }

  /** Guest-physical address: of the entry of a guest level, or of the data. */
  gpaOf(level: number): bigint {
    return this.pageOf(level) | (level === 0 ? this.gva & 0xfffn : this.#index(level) * 8n);
  }

  /** Guest-physical page, in a top-level entry of its own; a host of three levels has only four of them. */
  pageOf(level: number): bigint {
    const n = BigInt(level + 1);
    if (this.levels === 3) return level === 0 ? 3n << 30n : n << 21n;
    return n << BigInt(3 + 9 * this.levels);
  }

  #index(level: number): bigint {
    return (this.gva >> BigInt(3 + 9 * level)) & 0x1ffn;
  }

  /** Host frame of a guest page: in a GiB of its own, so that any leaf size can map it. */
  #hostPage(level: number): bigint {
    return 0x8_0000_0000n + (BigInt(level) << 30n) + (this.pageOf(level) & 0x3fff_ffffn);
  }
  hpaOf(level: number): bigint {
    return this.#hostPage(level) | (this.gpaOf(level) & 0xfffn);
  }
  /** Where the guest's entry of a level lies in host memory. */
  guestEntry(level: number): bigint {
    return this.hpaOf(level);
  }

  #mapHost(level: number, leafLevel: number): void {
    const gpa = this.pageOf(level);
    const ept = this.stage2.kind === "ept";
    let table = ROOT;
    for (let l = this.levels; ; --l) {
      const at = table + 8n * ((gpa >> BigInt(3 + 9 * l)) & 0x1ffn);
      this.#tables.set(level * 8 + l, at);
      /* A PAE host's level-3 entry holds no rights. */
      const plain = this.levels === 3 && l === 3;
      const rights = plain ? 1n : ept && (this.stage2 as Ept).mbec ? 0x407n : 7n;
      if (l === leafLevel) {
        const size = 1n << BigInt(3 + 9 * l);
        const frame = this.#hostPage(level) & ~(size - 1n);
        this.mmu.write(at, frame | rights | (ept ? 0x30n : 0n) | (l > 1 ? PS : 0n));
        return;
      }
      let entry = this.mmu.read(at);
      if (entry === 0n) {
        this.#nextTable += 0x1000n;
        entry = this.#nextTable | rights;
        this.mmu.write(at, entry);
      }
      table = entry & 0x000f_ffff_ffff_f000n;
    }
  }

  /** Address of the host entry of `hostLevel` on the path of a guest level's page. */
  hostEntry(level: number, hostLevel: number): bigint {
    return this.#tables.get(level * 8 + hostLevel)!;
  }
  host(level: number, hostLevel: number): bigint {
    return this.mmu.read(this.hostEntry(level, hostLevel));
  }
  edit(at: bigint, change: (entry: bigint) => bigint): void {
    this.mmu.write(at, BigInt.asUintN(64, change(this.mmu.read(at))));
  }

  access(access: Access): Outcome {
    return this.mmu.walk(this.gva, access);
  }
}

/** An outcome in words, to be compared with the oracle's. */
export function show(outcome: Outcome): string {
  const hex = (n: bigint | number) => `0x${n.toString(16)}`;
  if (outcome.ok) return `ok ${hex(outcome.hpa)}`;
  if ("fault" in outcome) {
    return outcome.fault === "PF"
      ? `#PF(${hex(outcome.errorCode)}) ${hex(outcome.cr2)}`
      : `#${outcome.fault}`;
  }
  if (outcome.exit === "EPT_VIOLATION") {
    return `violation ${hex(outcome.qualification)} of ${hex(outcome.gpa)} for ${hex(outcome.gla ?? 0)}`;
  }
  if (outcome.exit === "EPT_MISCONFIG") return `misconfiguration of ${hex(outcome.gpa)}`;
  return outcome.exit === "NPF" ? `NPF ${hex(outcome.exitinfo1)} of ${hex(outcome.gpa)}` : outcome.exit;
}

/** Checks with a name, counted by group. */
export class Checks {
  readonly groups = new Map<string, { passed: number; failed: number }>();
  readonly failures: string[] = [];

  check(group: string, name: string, found: string, expected: string): void {
    const sum = this.groups.get(group) ?? { passed: 0, failed: 0 };
    this.groups.set(group, sum);
    if (found === expected) {
      ++sum.passed;
      return;
    }
    ++sum.failed;
    if (this.failures.length < 20)
      this.failures.push(`${group}: ${name}\n    found    ${found}\n    expected ${expected}`);
  }

  report(write: (text: string) => void): number {
    let passed = 0;
    let failed = 0;
    for (const [name, sum] of this.groups) {
      write(`${name}: ${sum.passed + sum.failed} checks, ${sum.failed} failed\n`);
      passed += sum.passed;
      failed += sum.failed;
    }
    for (const failure of this.failures) write(`  ${failure}\n`);
    write(`${passed} passed, ${failed} failed\n`);
    return failed === 0 ? 0 : 1;
  }
}
