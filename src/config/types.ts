/** Configuration of one machine, complete. Units and sources of rules are with the schema (schema.ts). */

export type PageSize = "4k" | "2m" | "1g";
export type Policy = "lru" | "fifo" | "random" | "plru" | "nru";
export type SetIndex = "plain" | "hashed";
/** What a second or later level holds of the levels before it: what it likes, all they hold, or what they evicted. */
export type Inclusion = "none" | "inclusive" | "victim";
export type Technique = "native" | "nested" | "shadow";
export type SecondStage = "ept" | "npt";

/** Geometry that every set-associative array of the MMU has. */
export interface Geometry {
  entries: number;
  /** 0 is fully associative. */
  ways: number;
  policy: Policy;
  index: SetIndex;
  /** Percent of fills that NRU marks as used. */
  fillMark: number;
}

export interface TlbArray extends Geometry {
  pages: PageSize[];
  /** An entry may hold an aligned group of four 4 KiB pages. */
  coalesce: boolean;
}

export interface WalkCache extends Geometry {
  place: "none" | "own" | "l2" | "pde" | "pdpte";
}

/** Entries by host-physical address, whatever table they are in. */
export interface EntryCache extends Geometry {
  holds: "none" | "guest" | "both";
  cycles: number;
}

export interface CacheLevel {
  bytes: number;
  ways: number;
  cycles: number;
  policy: Policy;
  /** Percent of fills that NRU marks as used. */
  fillMark: number;
  /** Bits of the set index that are XORed with address bits above the index. */
  hashMask: number;
  inclusion: Inclusion;
}

/** The parts of a configuration that describe a CPU: what a preset gives. */
export interface CpuConfig {
  vendor: "intel" | "amd";
  tlb: {
    l1d: TlbArray[];
    l1i: TlbArray[];
    l1s: TlbArray[];
    l2: TlbArray[];
    l2i: TlbArray[];
    l2Inclusion: Inclusion;
    l2Cycles: number;
    l2iCycles: number;
  };
  psc: {
    pde: WalkCache;
    pdpte: WalkCache;
    pml4e: WalkCache;
    pml5e: WalkCache;
    hostPde: WalkCache;
    hostPdpte: WalkCache;
    hostPml4e: WalkCache;
    hostPml5e: WalkCache;
    nested: WalkCache;
    nestedData: boolean;
    leaves: ("2m" | "1g")[];
    physical: EntryCache;
  };
  clock: { walkers: number };
  walk: {
    baseCycles: number;
    fetchCycles: number;
    upperCycles: number;
    nestedCycles: number;
    hostUpperCycles: number;
    cacheLevel: "l1" | "l2" | "l3";
    eagerAccessed: boolean;
  };
  caches: {
    l1: CacheLevel;
    l2: CacheLevel;
    l3: CacheLevel;
    l1i: CacheLevel;
    aliasCycles: number;
    memoryCycles: number;
  };
  exits: {
    hardwareCycles: number;
    handlerCycles: Record<string, number>;
    softwareReferenceCycles: number;
    entryWriteCycles: number;
    emulationCycles: number;
    tableAllocationCycles: number;
  };
}

/** Hypervisors whose policy of shadow paging the other `shadow` keys can be set to (src/config/shadow.ts). */
export type ShadowProfile = "kvm-6.1" | "kvm-6.12" | "xen" | "textbook";

/** CPUs whose round trip of an exit was published (src/config/exit-profiles.ts); `cpu`: that of the preset. */
export type ExitGeneration =
  | "cpu"
  | "prescott"
  | "merom"
  | "penryn"
  | "nehalem"
  | "westmere"
  | "sandy-bridge";
/** Where devices are emulated: in the hypervisor, or in a process of the host that it runs on. */
export type Hypervisor = "type-1" | "hosted";

export interface MachineConfig extends CpuConfig {
  technique: Technique;
  format: SecondStage;
  cpu: string;
  seed: number;
  guest: { addressBits: number; page1g: boolean; memoryMiB: number };
  host: {
    page: PageSize;
    levels: number;
    addressBits: number;
    placement: "sequential" | "scattered";
    noExecute: boolean;
    smep: boolean;
    tdpMmu: boolean;
  };
  ept: {
    accessedDirty: boolean;
    executeOnly: boolean;
    modeBasedExecute: boolean;
    advancedInfo: boolean;
    pml: boolean;
  };
  vpid: boolean;
  clock: CpuConfig["clock"] & { issueCycles: number; window: number };
  caches: CpuConfig["caches"] & {
    enabled: boolean;
    data: boolean;
    hypervisor: boolean;
    referenceCycles: number;
  };
  exits: CpuConfig["exits"] & {
    generation: ExitGeneration;
    hypervisor: Hypervisor;
    hosted: number;
    interrupts: boolean;
  };
  kernel: {
    plays: "none" | "programs" | "physical";
    seed: number;
    levels: number;
    directMap: "2m" | "1g";
    pcid: boolean;
    pti: boolean;
    pages: "4k" | "2m" | "thp" | "map";
    populate: boolean;
    fragmentation: number;
    zeroPage: boolean;
    faultAround: number;
    clearBytes: number;
    quantum: number;
    forks: number;
    forkLife: number;
    protects: number;
    protectPages: number;
    reclaims: number;
    merges: number;
    faultCycles: number;
    switchCycles: number;
    callCycles: number;
    swapCycles: number;
  };
  shadow: {
    profile: ShadowProfile;
    unsync: boolean;
    prefetch: number;
    flooding: number;
    previousRoots: number;
    pageLimit: number;
    kernel: "6.1" | "6.12";
    dirtyTrap: boolean;
    emulateControls: boolean;
    unsyncPages: number;
    unsyncByFrame: boolean;
    syncAll: boolean;
    invlpgDrops: boolean;
    pool: "kvm" | "xen";
    propagate: boolean;
    prefetchFollowing: boolean;
    unshadow: number;
    splinter: boolean;
    nxRole: boolean;
    faultDrops: boolean;
  };
}
