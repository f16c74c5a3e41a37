import type { CoreBuild } from "../../core.js";
import { BareCore, cachesOf, type Parameters } from "../bare/core.js";
import { OutcomeCode, Register } from "../bare/exports.js";
import {
  AC,
  type Cases,
  CR0_WP,
  CR4_PKE,
  CR4_SMAP,
  CR4_SMEP,
  EFER_NX,
  highWord,
  IMPLICIT,
  lowWord,
  PKU_AD,
  PKU_WD,
  PSE,
  READ,
  USER,
  WRITE,
} from "./cases.js";
import { Oracle } from "./oracle.js";

/** How the cases are made. */
export const modes = ["no-tlb", "cold", "warm", "ept", "npt", "shadow"] as const;
export type Mode = (typeof modes)[number];

/** Linux KVM's policy. */
const SHADOW: Parameters = {
  shadowUnsync: 1,
  shadowPrefetch: 8,
  shadowFlooding: 3,
  shadowPreviousRoots: 3,
  guestPages: 1 << 18,
  shadowKernel: 612,
  shadowDirtyTrap: 1,
};

function parametersOf(mode: Mode, maxphyaddr: number): Parameters {
  const technique = mode === "shadow" ? 2 : mode === "ept" || mode === "npt" ? 1 : 0;
  return {
    technique,
    hostFormat: mode === "npt" ? 1 : 0,
    hostLevels: 4,
    hostPageShift: 12,
    hostAddressBits: 46,
    hostNoExecute: 1,
    eptAccessedDirty: 1,
    eptExecuteOnly: 1,
    vpid: 1,
    guestAddressBits: maxphyaddr,
    guestPage1g: 1,
    ...(mode === "shadow" ? SHADOW : {}),
  };
}

/** Guest-physical places of the tables, root first, and of the pages that the leaves name. */
const TABLES = [0x1000, 0x2000, 0x3000, 0x4000, 0x5000];
/** Where the guest maps its first 2 MiB for itself, to store into its tables, and the table that does. */
const DIRECT = 0x8000_0000;
const DIRECT_TABLE = 0x7000;
const SMALL = 0x4000_3000;
const LARGE = 0x4020_0000;
const VA = 0x4040_5123;
const OFFSET = VA & 0xfff;
const OFFSET_LARGE = VA & 0x1f_ffff;

const CODE = { store: 0, read: 1, access: 2, invlpg: 3, flush: 4, load: 5, flags: 6 } as const;
const WORDS = 6;
/** Operations of one case at most: four register loads and flags, three entries and the accesses that store them, an invalidation, three accesses, two reads. */
const MOST_A_CASE = 20;

export interface Failure {
  index: number;
  what: string;
}

/** One machine with the tables of the test, which makes cases by the batch. */
export class Rig {
  readonly #mmu: BareCore;
  readonly #oracle = new Oracle();
  readonly #most: number;
  #words: Uint32Array;
  readonly #pdpteAt: number;
  readonly #pdeAt: number;
  readonly #pteAt: number;

  // What the machine holds now; -1: unknown.
  #cpu = -1;
  #writable = -1;
  #pde = -1;
  #pte = -1;

  // The batch under way.
  #operations = 0;
  #cases = 0;
  readonly #expected: Int32Array;

  passed = 0;
  readonly failures: Failure[] = [];
  failed = 0;

  constructor(
    readonly mode: Mode,
    readonly cases: Cases,
    readonly levels: 4 | 5,
    build?: CoreBuild | WebAssembly.Module,
  ) {
    this.#mmu = new BareCore(
      parametersOf(mode, cases.maxphyaddr),
      mode === "no-tlb" ? [] : cachesOf(4),
      build,
    );
    const { exports } = this.#mmu;
    exports.embedLeaveExits(false);
    const tables = TABLES.slice(5 - levels);
    for (let i = 0; i + 3 < tables.length; ++i)
      this.#mmu.storeEntry(BigInt(tables[i]!), BigInt(tables[i + 1]! | 0x67));
    this.#mmu.storeEntry(BigInt(tables.at(-3)! + 8 * (DIRECT / 2 ** 30)), BigInt(DIRECT_TABLE | 0x67));
    this.#mmu.storeEntry(BigInt(DIRECT_TABLE), 0xe3n);
    this.#pdpteAt = tables.at(-3)! + 8 * ((VA >>> 30) & 0x1ff);
    this.#pdeAt = tables.at(-2)! + 8 * ((VA >>> 21) & 0x1ff);
    this.#pteAt = tables.at(-1)! + 8 * ((VA >>> 12) & 0x1ff);
    this.#mmu.setState({
      cr0: 0x8001_0001n,
      cr3: BigInt(tables[0]!),
      cr4: levels === 5 ? 0x1020n : 0x20n,
      efer: 0xd00n,
      pkru: 0n,
      pkrs: 0n,
      ac: false,
      maxphyaddr: cases.maxphyaddr,
      vendor: "intel",
    });
    this.#most = exports.embedBatchMost();
    this.#words = new Uint32Array(0);
    this.#expected = new Int32Array((this.#most / 4) * 12);
  }

  /** The operations in the core's memory, which may have grown since. */
  #view(): void {
    const address = this.#mmu.exports.embedBatchAddress();
    this.#words = new Uint32Array(this.#mmu.exports.memory.buffer, address, this.#most * WORDS);
  }

  #operation(code: number, argument: number, a: number, bLow: number, bHigh: number): number {
    const at = this.#operations++ * WORDS;
    const words = this.#words;
    words[at] = code;
    words[at + 1] = argument;
    words[at + 2] = a;
    words[at + 3] = 0;
    words[at + 4] = bLow;
    words[at + 5] = bHigh;
    return at;
  }

  /** A store by the guest. Under shadow paging the access is what its hypervisor meets, so it is made. */
  #store(gpa: number, low: number, high: number): void {
    if (this.mode === "shadow") this.#operation(CODE.access, WRITE, DIRECT + gpa, 0, 0);
    this.#operation(CODE.store, 0, gpa, low, high);
  }

  /** The registers of `cpu`, each loaded by its instruction and only where it changes. */
  #load(cpu: number): void {
    const changed = this.#cpu < 0 ? 0xff : cpu ^ this.#cpu;
    this.#cpu = cpu;
    const load = (register: number, low: number) => this.#operation(CODE.load, register, low >>> 0, 0, 0);
    if (changed & EFER_NX) load(Register.efer, cpu & EFER_NX ? 0xd00 : 0x500);
    if (changed & CR0_WP) load(Register.cr0, cpu & CR0_WP ? 0x8001_0001 : 0x8000_0001);
    if (changed & (CR4_SMEP | CR4_SMAP | CR4_PKE)) {
      const base = this.levels === 5 ? 0x1020 : 0x20;
      load(
        Register.cr4,
        base |
          (cpu & CR4_SMEP ? 1 << 20 : 0) |
          (cpu & CR4_SMAP ? 1 << 21 : 0) |
          (cpu & CR4_PKE ? 1 << 22 : 0),
      );
    }
    if (changed & (PKU_AD | PKU_WD)) {
      load(Register.pkru, (cpu & PKU_AD ? 4 : 0) | (cpu & PKU_WD ? 8 : 0));
    }
    if (changed & AC) this.#operation(CODE.flags, cpu & AC ? 1 : 0, 0, 0, 0);
  }

  /** Puts the cases `from`, `from + stride`, ... in one batch, as many as fit below `end`. Returns the next. */
  run(from: number, stride: number, end: number): number {
    this.#view();
    this.#operations = 0;
    this.#cases = 0;
    let index = from;
    while (index < end && this.#operations + MOST_A_CASE <= this.#most) {
      this.#add(index);
      index += stride;
    }
    this.#mmu.exports.embedBatch(this.#operations);
    this.#view();
    this.#check(from, stride);
    return index;
  }

  #add(index: number): void {
    const { cases } = this;
    cases.decode(index);
    const { cpu, access, pte, pde, writable } = cases;
    if (cpu !== this.#cpu) this.#load(cpu);
    if (this.#writable !== (writable ? 1 : 0)) {
      this.#store(this.#pdpteAt, TABLES.at(-2)! | (writable ? 0x67 : 0x65), 0);
      this.#writable = writable ? 1 : 0;
    }
    const large = (pde & PSE) !== 0;
    if (pde !== this.#pde) {
      this.#store(this.#pdeAt, lowWord(pde) | (large ? LARGE : TABLES.at(-1)!), highWord(pde));
    }
    if (pte !== this.#pte) this.#store(this.#pteAt, lowWord(pte) | SMALL, highWord(pte));
    if (this.mode !== "no-tlb") this.#operation(CODE.invlpg, 0, VA, 0, 0);
    const oracle = this.#oracle;
    let pteNow = pte;
    let pdeNow = pde;
    if (this.mode === "warm") {
      /* access.c's "twice": the kernel reads first; what that leaves in the TLB must not decide the access. */
      oracle.ask(cpu, READ, pte, pde, writable);
      pteNow = oracle.pte;
      pdeNow = oracle.pde;
      this.#operation(CODE.access, READ, VA, 0, 0);
    }
    oracle.ask(cpu, access, pteNow, pdeNow, writable);
    const made = this.#operation(CODE.access, access, VA, 0, 0);
    const again = this.mode === "warm" ? this.#operation(CODE.access, access, VA, 0, 0) : -1;
    const readPte = this.#operation(CODE.read, 0, this.#pteAt, 0, 0);
    const readPde = this.#operation(CODE.read, 0, this.#pdeAt, 0, 0);
    this.#pte = oracle.pte;
    this.#pde = oracle.pde;
    const e = this.#expected;
    const at = this.#cases++ * 12;
    e[at] = made;
    e[at + 1] = again;
    e[at + 2] = readPte;
    e[at + 3] = readPde;
    e[at + 4] = oracle.faults ? OutcomeCode.pageFault : OutcomeCode.ok;
    e[at + 5] = oracle.errorCode;
    e[at + 6] = oracle.faults ? VA : large ? LARGE | OFFSET_LARGE : SMALL | OFFSET;
    e[at + 7] = lowWord(oracle.pte) | SMALL;
    e[at + 8] = highWord(oracle.pte);
    e[at + 9] = lowWord(oracle.pde) | (large ? LARGE : TABLES.at(-1)!);
    e[at + 10] = highWord(oracle.pde);
  }

  #check(from: number, stride: number): void {
    const w = this.#words;
    const e = this.#expected;
    for (let i = 0; i < this.#cases; ++i) {
      const at = i * 12;
      const made = e[at]!;
      const again = e[at + 1]!;
      const pte = e[at + 2]!;
      const pde = e[at + 3]!;
      const good =
        this.#agrees(made, at) &&
        (again < 0 || this.#agrees(again, at)) &&
        (w[pte + 4]! | 0) === e[at + 7] &&
        (w[pte + 5]! | 0) === e[at + 8] &&
        (w[pde + 4]! | 0) === e[at + 9] &&
        (w[pde + 5]! | 0) === e[at + 10];
      if (good) ++this.passed;
      else this.#fail(from + i * stride, at);
    }
  }

  #agrees(operation: number, at: number): boolean {
    const w = this.#words;
    const e = this.#expected;
    return (
      w[operation + 1] === e[at + 4] &&
      w[operation + 4] === e[at + 5] &&
      w[operation + 2] === e[at + 6]! >>> 0 &&
      w[operation + 3] === 0
    );
  }

  #fail(index: number, at: number): void {
    /* What follows starts from known entries again. */
    this.#pte = -1;
    this.#pde = -1;
    this.#writable = -1;
    ++this.failed;
    if (this.failures.length >= 20) return;
    const w = this.#words;
    const e = this.#expected;
    const found = (op: number) =>
      op < 0
        ? ""
        : w[op + 1] === 0
          ? `ok 0x${w[op + 2]!.toString(16)}`
          : `outcome ${w[op + 1]} code ${w[op + 4]} cr2 0x${w[op + 2]!.toString(16)}`;
    const entry = (low: number, high: number) =>
      `0x${((BigInt(high >>> 0) << 32n) | BigInt(low >>> 0)).toString(16)}`;
    const wanted =
      e[at + 4] === 0 ? `ok 0x${(e[at + 6]! >>> 0).toString(16)}` : `outcome 1 code ${e[at + 5]}`;
    const pte = e[at + 2]!;
    const pde = e[at + 3]!;
    this.failures.push({
      index,
      what:
        `${this.describe(index)}\n` +
        `    found    ${found(e[at]!)} ${found(e[at + 1]!)} PTE ${entry(w[pte + 4]!, w[pte + 5]!)} PDE ${entry(w[pde + 4]!, w[pde + 5]!)}\n` +
        `    expected ${wanted} PTE ${entry(e[at + 7]!, e[at + 8]!)} PDE ${entry(e[at + 9]!, e[at + 10]!)}`,
    });
  }

  /** The case in words. */
  describe(index: number): string {
    const { cases } = this;
    cases.decode(index);
    const { cpu, access, pte, pde, writable } = cases;
    const kind = ["read", "write", "fetch"][access & 3];
    const who = access & USER ? "user" : access & IMPLICIT ? "implicit" : "supervisor";
    const names: [number, string][] = [
      [EFER_NX, "NXE"],
      [CR0_WP, "WP"],
      [CR4_SMEP, "SMEP"],
      [CR4_SMAP, "SMAP"],
      [AC, "AC"],
      [CR4_PKE, "PKE"],
      [PKU_AD, "AD"],
      [PKU_WD, "WD"],
    ];
    const set = names.filter(([bit]) => cpu & bit).map(([, name]) => name);
    const entry = (flags: number) =>
      `0x${((BigInt(highWord(flags) >>> 0) << 32n) | BigInt(lowWord(flags))).toString(16)}`;
    return `case ${index}: ${who} ${kind}, ${set.join(" ") || "no control bits"}, PDPTE ${writable ? "R/W" : "R/O"}, PDE ${entry(pde)}, PTE ${entry(pte)}`;
  }
}
