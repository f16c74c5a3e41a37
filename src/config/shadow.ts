import type { MachineConfig, ShadowProfile } from "./types.js";

/** Policies of shadow paging by hypervisor: each is values of the other `shadow` keys. */

type Keys = Partial<Omit<MachineConfig["shadow"], "profile">>;

const profiles: Record<ShadowProfile, Keys> = {
  /* The defaults of the keys. */
  "kvm-6.1": { kernel: "6.1" },
  "kvm-6.12": { kernel: "6.12" },
  /* arch/x86/mm/shadow/{common,multi}.c: SHADOW_OOS_PAGES, PREFETCH_DISTANCE, check_for_early_unshadow. */
  xen: {
    kernel: "6.12",
    unsyncPages: 3,
    propagate: true,
    prefetch: 32,
    prefetchFollowing: true,
    flooding: 0,
    unshadow: 2,
    splinter: true,
    previousRoots: 0,
  },
  /* Every store to a table exits and every load of CR3 and INVLPG does; nothing is remembered or guessed. */
  textbook: { unsync: false, prefetch: 1, flooding: 0, previousRoots: 0 },
};

export const shadowProfileNames = Object.keys(profiles) as ShadowProfile[];

export const shadowProfileText =
  "Values of the other shadow keys that are set first: Linux KVM 6.1 or 6.12; xen has 3 tables out of sync, propagates emulated stores, prefetches up to 32 entries, unshadows after 2 stores and splinters large pages (not in it: the choice of the table to synchronize by frame number, INVLPG that only drops the entry, snapshots, faults reflected without a walk, emulation of every store under CR0.WP=0, the fixed pool); textbook traps every table store, without prefetch, flooding or previous roots.";

/** The keys of a profile. A name that is none has none: the schema refuses it. */
export function shadowProfileKeys(name: unknown): Keys {
  return typeof name === "string" && Object.hasOwn(profiles, name) ? profiles[name as ShadowProfile] : {};
}
