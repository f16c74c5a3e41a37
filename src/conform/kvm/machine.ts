import { BareCore } from "../bare/core.js";

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

const GUEST_PAGES = 65536;
const AMD = 1;
const NPT = 1;

/**
 * The machine of the recordings: QEMU's EPYC without NRIPS and decode assists, a TLB that every exit empties (so: none),
 * one memory slot of 256 MiB backed by 4 KiB or 2 MiB pages.
 */
export function buildMachine(options: RigOptions): BareCore {
  const core = new BareCore({
    technique: options.mode === "shadow" ? 2 : 1,
    tdpLegacy: options.mode === "nested-legacy" ? 1 : 0,
    hostFormat: NPT,
    hostLevels: 4,
    hostPageShift: options.params.thp ? 21 : 12,
    seed: 1,
    guestAddressBits: 40,
    hostAddressBits: 40,
    vendor: AMD,
    hostNoExecute: 1,
    vpid: 1,
    guestPage1g: 1,
    issueCycles: 1,
    window: 1,
    walkers: 1,
    shadowUnsync: 1,
    shadowPrefetch: 8,
    shadowFlooding: 3,
    shadowPreviousRoots: 3,
    shadowPageLimit: options.params.limit ?? 0,
    guestPages: GUEST_PAGES,
    shadowKernel: options.kernel === "6.1" ? 601 : 612,
    shadowDirtyTrap: 1,
    shadowEmulateControls: 1,
  });
  core.leaveExits(false);
  return core;
}
