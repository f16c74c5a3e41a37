import { BareCore, type Parameters } from "../../src/conform/bare/core.js";
import { AccessBit } from "../../src/conform/bare/exports.js";
import { errorFamilies, Parameter, tracepoints } from "../../src/generated/declarations.js";

export type { Parameters };

export const READ = AccessBit.read;
export const WRITE = AccessBit.write;
export const FETCH = AccessBit.fetch;

export const NATIVE = 0;
export const NESTED = 1;
export const SHADOW = 2;

/** KVM's policy, on a host of 4 KiB pages, without any TLB: every access walks. */
const defaults: Parameters = {
  hostFormat: 1,
  hostLevels: 4,
  hostPageShift: 12,
  seed: 1,
  guestAddressBits: 40,
  hostAddressBits: 46,
  hostNoExecute: 1,
  vpid: 1,
  guestPage1g: 1,
  issueCycles: 1,
  window: 1,
  walkers: 1,
  guestPages: 65536,
  shadowUnsync: 1,
  shadowPrefetch: 8,
  shadowFlooding: 3,
  shadowPreviousRoots: 3,
  shadowKernel: 612,
  shadowDirtyTrap: 1,
  shadowNxRole: 1,
  shadowFaultDrops: 1,
};

/** A first-level TLB for data and one for instructions, a second level, and a cache of every upper level. */
export const withTlbs: readonly [keyof typeof Parameter, number, readonly number[]][] = [
  ["tlbArrays", 0, [7, 16, 0, 0, 0, 0]],
  ["tlbArrays", 24, [7, 16, 0, 0, 0, 0]],
  ["tlbArrays", 48, [7, 64, 4, 0, 0, 0]],
  ["pscArrays", 0, [1, 8, 0, 0, 0, 0]],
  ["pscArrays", 6, [1, 8, 0, 0, 0, 0]],
  ["pscArrays", 12, [1, 8, 0, 0, 0, 0]],
  ["pscArrays", 18, [1, 8, 0, 0, 0, 0]],
  ["pscArrays", 24, [1, 8, 0, 0, 0, 0]],
  ["pscArrays", 30, [1, 8, 0, 0, 0, 0]],
  ["pscArrays", 36, [1, 8, 0, 0, 0, 0]],
  ["pscArrays", 48, [1, 16, 0, 0, 0, 0]],
];

export interface Result {
  /** "ok", "#PF" or "#GP". */
  readonly outcome: string;
  /** Guest-physical address of an access that was made. */
  readonly gpa?: bigint;
  readonly errorCode?: number;
}

const KINDS = ["read", "write", "fetch"] as const;
export type Kind = 0 | 1 | 2;

/** A machine that a test drives, resolved by its own hypervisor. */
export class Driven {
  readonly bare: BareCore;
  #cpl = 0;

  constructor(parameters: Parameters, tlbs = false) {
    const cells = withTlbs.flatMap(([name, offset, values]) =>
      values.map((value, i) => [Parameter[name] + offset + i, value] as const),
    );
    this.bare = new BareCore({ ...defaults, ...parameters }, tlbs ? cells : []);
    this.bare.leaveExits(false);
  }

  access(va: bigint, kind: Kind): Result {
    const access = { kind: KINDS[kind], user: this.#cpl === 3, implicit: false };
    const outcome = this.bare.access(va, access);
    if (outcome.ok) return { outcome: "ok", gpa: outcome.gpa };
    if ("fault" in outcome && outcome.fault === "PF") return { outcome: "#PF", errorCode: outcome.errorCode };
    return { outcome: "#GP" };
  }
  /** The store itself, after the access to its page was made. */
  store(gpa: bigint, value: bigint): void {
    this.bare.storeEntry(gpa, value);
  }
  read(gpa: bigint): bigint {
    return this.bare.readGuest(gpa);
  }
  load(register: "cr0" | "cr3" | "cr4" | "efer", value: bigint): void {
    this.bare.loaded(register, value);
  }
  invlpg(va: bigint): void {
    this.bare.invlpg(va);
  }
  invpcid(type: number, pcid: number, va: bigint): void {
    this.bare.invpcid(type, BigInt(pcid), va);
  }
  state(cpl: number, ac: boolean, pkru: number): void {
    this.#cpl = cpl;
    this.bare.setAc(ac);
    this.bare.load("pkru", BigInt(pkru));
  }
  /** Where the instruction of each access is, and the bytes that its store writes. */
  instruction(va: bigint, storeBytes = 8): void {
    this.bare.instruction(va, storeBytes);
  }
  /** 1 the host takes pages away, 2 it shares them, 3 it starts a dirty log. */
  host(what: number, gfn: number, frames: number): void {
    this.bare.hostEvent(what, gfn, frames);
  }

  /** Every counter and tracepoint by name. */
  figures(): Record<string, number> {
    const out = this.bare.core.counters();
    const cells = this.bare.core.cells(this.bare.core.exports.tracepointsAddress(), tracepoints.length);
    for (const point of tracepoints) out[point.name] = Number(cells[point.value]);
    const codes = this.bare.core.cells(this.bare.core.exports.errorCodesAddress(), errorFamilies.length * 64);
    for (let i = 0; i < errorFamilies.length * 32; ++i) {
      const family = errorFamilies[i >> 5]!;
      if (codes[2 * i + 1]! !== 0n) out[family.name + codes[2 * i]!.toString(16)] = Number(codes[2 * i + 1]);
    }
    for (const { reason, count } of this.bare.core.exits()) out[`exit_${reason}`] = count;
    return out;
  }
  /** What `act` moved; what did not move is left out. */
  moved(act: () => void): Record<string, number> {
    const before = this.figures();
    act();
    const out: Record<string, number> = {};
    for (const [name, value] of Object.entries(this.figures())) {
      const by = value - (before[name] ?? 0);
      if (by !== 0) out[name] = by;
    }
    return out;
  }
}
