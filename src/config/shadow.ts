import type { MachineConfig, ShadowProfile } from "./types.js";

/** Policies of shadow paging by hypervisor: each is values of the other `shadow` keys. */

type Keys = Partial<Omit<MachineConfig["shadow"], "profile">>;

export interface ShadowPolicy {
  readonly keys: Keys;
  readonly text: string;
}

export const shadowProfiles: Readonly<Record<ShadowProfile, ShadowPolicy>> = {
  /* The defaults of the keys. */
  "kvm-6.1": { keys: { kernel: "6.1" }, text: "Linux KVM 6.1 (arch/x86/kvm/mmu)" },
  "kvm-6.12": { keys: { kernel: "6.12" }, text: "Linux KVM 6.12: INVLPG and synchronization by entry" },
  /* arch/x86/mm/shadow/{common,multi}.c: SHADOW_OOS_PAGES, PREFETCH_DISTANCE, check_for_early_unshadow. */
  xen: {
    keys: {
      kernel: "6.12",
      unsyncPages: 3,
      unsyncByFrame: true,
      syncAll: true,
      invlpgDrops: true,
      pool: "xen",
      propagate: true,
      prefetch: 32,
      prefetchFollowing: true,
      flooding: 0,
      unshadow: 2,
      splinter: true,
      previousRoots: 0,
    },
    text: "Xen (xen/arch/x86/mm/shadow): 3 tables out of sync by frame number, all synchronized at a load of CR3, INVLPG that only drops, emulated stores propagated, up to 32 entries prefetched, unshadowing after 2 stores, large pages splintered, its pool of pages; not in it: snapshots (a resynchronization reads every entry), not-present faults reflected without a walk, eviction of whole trees by age of their use, emulation of every store under CR0.WP=0",
  },
  textbook: {
    keys: { unsync: false, prefetch: 1, flooding: 0, previousRoots: 0 },
    text: "every store to a table exits, and every load of CR3 and INVLPG; nothing is remembered or guessed",
  },
};

export const shadowProfileNames = Object.keys(shadowProfiles) as ShadowProfile[];

/** The keys of a profile. A name that is none has none: the schema refuses it. */
export function shadowProfileKeys(name: unknown): Keys {
  return typeof name === "string" && Object.hasOwn(shadowProfiles, name)
    ? shadowProfiles[name as ShadowProfile].keys
    : {};
}
