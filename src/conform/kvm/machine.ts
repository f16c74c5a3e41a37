import { Core } from "../../core.js";
import { Parameter } from "../../generated/declarations.js";

/** The MMU modes of KVM that were recorded. */
export const modes = ["shadow", "nested", "nested-legacy"] as const;
export type Mode = (typeof modes)[number];
export function isMode(text: string): text is Mode {
  return (modes as readonly string[]).includes(text);
}

export type Params = Readonly<Record<string, number>>;

export interface RigOptions {
  readonly mode: Mode;
  /** "6.1" or "6.12". */
  readonly kernel: string;
  /** Parameters of the workload: `thp`, `limit` and `pcid` change the machine. */
  readonly params: Params;
}

/** What the core exports for driving it step by step (assembly/drive.ts). */
export interface DriveExports {
  start(): void;
  driveAttempt(vaLow: number, vaHigh: number, kind: number): number;
  driveStoreEntry(gpaLow: number, gpaHigh: number, low: number, high: number): void;
  driveLoad(register: number, low: number, high: number): void;
  driveInvlpg(vaLow: number, vaHigh: number): void;
  driveInstruction(vaLow: number, vaHigh: number): void;
  driveHost(what: number, gfn: number, frames: number): void;
  driveExit(reason: number): void;
  driveEnter(): void;
  driveErrorCode(): number;
  tracepointsAddress(): number;
  errorCodesAddress(): number;
}

const GUEST_PAGES = 65536;
const AMD = 1;
const NPT = 1;

/**
 * The machine of the recordings: QEMU's EPYC without NRIPS and decode assists, a TLB that every exit empties (so: none),
 * one memory slot of 256 MiB backed by 4 KiB or 2 MiB pages.
 */
export function buildMachine(options: RigOptions): { core: Core; drive: DriveExports } {
  const core = new Core();
  const drive = core.exports as unknown as DriveExports;
  const parameters = core.parameters;
  const set = (name: keyof typeof Parameter, value: number) => {
    parameters[Parameter[name]] = value;
  };
  set("technique", options.mode === "shadow" ? 2 : 1);
  set("tdpLegacy", options.mode === "nested-legacy" ? 1 : 0);
  set("hostFormat", NPT);
  set("hostLevels", 4);
  set("hostPageShift", options.params.thp ? 21 : 12);
  set("seed", 1);
  set("guestAddressBits", 40);
  set("hostAddressBits", 40);
  set("vendor", AMD);
  set("hostNoExecute", 1);
  set("vpid", 1);
  set("guestPage1g", 1);
  set("issueCycles", 1);
  set("window", 1);
  set("walkers", 1);
  set("shadowUnsync", 1);
  set("shadowPrefetch", 8);
  set("shadowFlooding", 3);
  set("shadowPreviousRoots", 3);
  set("shadowPageLimit", options.params.limit ?? 0);
  set("guestPages", GUEST_PAGES);
  set("shadowKernel", options.kernel === "6.1" ? 601 : 612);
  set("shadowDirtyTrap", 1);
  set("shadowEmulateControls", 1);
  drive.start();
  return { core, drive };
}
