import { Core } from "../../src/core.js";
import { errorFamilies, Parameter, tracepoints } from "../../src/generated/declarations.js";

/** What the core exports for driving it step by step (assembly/drive.ts). */
interface DriveExports {
  start(): void;
  driveAccess(vaLow: number, vaHigh: number, kind: number): number;
  driveErrorCode(): number;
  driveAddressLow(): number;
  driveAddressHigh(): number;
  driveStoreEntry(gpaLow: number, gpaHigh: number, low: number, high: number): void;
  driveReadLow(gpaLow: number, gpaHigh: number): number;
  driveReadHigh(gpaLow: number, gpaHigh: number): number;
  driveLoad(register: number, low: number, high: number): void;
  driveInvlpg(vaLow: number, vaHigh: number): void;
  driveInvpcid(type: number, pcid: number, vaLow: number, vaHigh: number): void;
  driveInstruction(vaLow: number, vaHigh: number): void;
  driveStoreBytes(bytes: number): void;
  driveState(cpl: number, ac: number, pkru: number): void;
  driveHost(what: number, gfn: number, frames: number): void;
  driveEnter(): void;
  tracepointsAddress(): number;
  errorCodesAddress(): number;
}

export type Parameters = Partial<Record<keyof typeof Parameter, number>>;

export const READ = 0;
export const WRITE = 1;
export const FETCH = 2;

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

const low = (value: bigint) => Number(value & 0xffffffffn);
const high = (value: bigint) => Number((value >> 32n) & 0xffffffffn);

/** A machine that a test drives. */
export class Driven {
  readonly core = new Core();
  readonly drive = this.core.exports as unknown as DriveExports;

  constructor(parameters: Parameters, tlbs = false) {
    const block = this.core.parameters;
    for (const [name, value] of Object.entries({ ...defaults, ...parameters }))
      block[Parameter[name as keyof typeof Parameter]] = value;
    if (tlbs) for (const [name, offset, values] of withTlbs) block.set(values, Parameter[name] + offset);
    this.drive.start();
  }

  access(va: bigint, kind: number): Result {
    const outcome = this.drive.driveAccess(low(va), high(va), kind);
    if (outcome === 2) return { outcome: "#GP" };
    if (outcome !== 0) return { outcome: "#PF", errorCode: this.drive.driveErrorCode() };
    const gpa =
      (BigInt(this.drive.driveAddressHigh() >>> 0) << 32n) | BigInt(this.drive.driveAddressLow() >>> 0);
    return { outcome: "ok", gpa };
  }
  /** The store itself, after the access to its page was made. */
  store(gpa: bigint, value: bigint): void {
    this.drive.driveStoreEntry(low(gpa), high(gpa), low(value), high(value));
  }
  read(gpa: bigint): bigint {
    return (
      (BigInt(this.drive.driveReadHigh(low(gpa), high(gpa)) >>> 0) << 32n) |
      BigInt(this.drive.driveReadLow(low(gpa), high(gpa)) >>> 0)
    );
  }
  load(register: 0 | 3 | 4 | "efer", value: bigint): void {
    this.drive.driveLoad(register === "efer" ? 8 : register, low(value), high(value));
  }
  invlpg(va: bigint): void {
    this.drive.driveInvlpg(low(va), high(va));
  }
  invpcid(type: number, pcid: number, va: bigint): void {
    this.drive.driveInvpcid(type, pcid, low(va), high(va));
  }
  state(cpl: number, ac: boolean, pkru: number): void {
    this.drive.driveState(cpl, ac ? 1 : 0, pkru);
  }
  /** Bytes that each store from here on writes; 8 at first. */
  storeBytes(bytes: number): void {
    this.drive.driveStoreBytes(bytes);
  }
  instruction(va: bigint): void {
    this.drive.driveInstruction(low(va), high(va));
  }
  /** 1 the host takes pages away, 2 it shares them, 3 it starts a dirty log. */
  host(what: number, gfn: number, frames: number): void {
    this.drive.driveHost(what, gfn, frames);
    this.drive.driveEnter();
  }

  /** Every counter and tracepoint by name. */
  figures(): Record<string, number> {
    const out = this.core.counters();
    const cells = this.core.cells(this.drive.tracepointsAddress(), tracepoints.length);
    for (const point of tracepoints) out[point.name] = Number(cells[point.value]);
    const codes = this.core.cells(this.drive.errorCodesAddress(), errorFamilies.length * 64);
    for (let i = 0; i < errorFamilies.length * 32; ++i) {
      const family = errorFamilies[i >> 5]!;
      if (codes[2 * i + 1]! !== 0n) out[family.name + codes[2 * i]!.toString(16)] = Number(codes[2 * i + 1]);
    }
    for (const { reason, count } of this.core.exits()) out[`exit_${reason}`] = count;
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
