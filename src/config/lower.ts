import { exitReasons, Parameter, parameterCount } from "../generated/declarations.js";
import type { CacheLevel, Geometry, MachineConfig, TlbArray, WalkCache } from "./types.js";

/** From a configuration to the core's parameter block (assembly/parameters.ts). */

const PAGE_BIT = { "4k": 1, "2m": 2, "1g": 4 } as const;
const PAGE_SHIFT = { "4k": 12, "2m": 21, "1g": 30 } as const;
const LEAF_BIT = { "2m": 1, "1g": 2 } as const;
const POLICY = { lru: 0, fifo: 1, random: 2, plru: 3, nru: 4 } as const;
const INDEX = { plain: 0, hashed: 1 } as const;
const PLACE = { none: 0, own: 1, l2: 2, pde: 3, pdpte: 4 } as const;
const INCLUSION = { none: 0, inclusive: 1, victim: 2 } as const;
const HOLDS = { none: 0, guest: 1, both: 2 } as const;
const CACHE_LEVEL = { l1: 0, l2: 1, l3: 2 } as const;
const TECHNIQUE = { native: 0, nested: 1, shadow: 2 } as const;
const FORMAT = { ept: 0, npt: 1 } as const;
const PLACEMENT = { sequential: 0, scattered: 1 } as const;
const VENDOR = { intel: 0, amd: 1 } as const;
const PLAYS = { none: 0, programs: 1, physical: 2 } as const;
const KERNEL_PAGES = { "4k": 0, "2m": 1, thp: 2, map: 3 } as const;
const KERNEL = { "6.1": 601, "6.12": 612 } as const;

/** Guest memory where neither the configuration nor the trace says it. */
const UNKNOWN_MIB = 1024;
/** 4 KiB pages of a MiB. */
const PAGES_PER_MIB = 256;
/** Numbers of an array in the block. */
const ARRAY = 6;

/** Parameters of one number each; ranges are laid out below. */
function scalars(c: MachineConfig): Partial<Record<keyof typeof Parameter, number | boolean>> {
  return {
    technique: TECHNIQUE[c.technique],
    hostFormat: FORMAT[c.format],
    hostLevels: c.host.levels,
    hostPageShift: PAGE_SHIFT[c.host.page],
    hostPlacement: PLACEMENT[c.host.placement],
    seed: c.seed,
    guestAddressBits: c.guest.addressBits,
    hostAddressBits: c.host.addressBits,
    vendor: VENDOR[c.vendor],
    eptAccessedDirty: c.ept.accessedDirty,
    eptExecuteOnly: c.ept.executeOnly,
    eptModeBasedExecute: c.ept.modeBasedExecute,
    eptAdvancedInfo: c.ept.advancedInfo,
    eptPml: c.ept.pml,
    hostNoExecute: c.host.noExecute,
    hostSmep: c.host.smep,
    tdpLegacy: !c.host.tdpMmu,
    eagerAccessed: c.walk.eagerAccessed,
    vpid: c.vpid,
    guestPage1g: c.guest.page1g,
    nestedTlbData: c.psc.nestedData,
    pscLeaves: c.psc.leaves.reduce((bits, size) => bits | LEAF_BIT[size], 0),
    entryCacheHolds: HOLDS[c.psc.physical.holds],
    entryCacheEntries: c.psc.physical.entries,
    entryCacheWays: c.psc.physical.ways,
    entryCachePolicy: POLICY[c.psc.physical.policy],
    entryCacheIndex: INDEX[c.psc.physical.index],
    entryCacheFillMark: c.psc.physical.fillMark,
    entryCacheCycles: c.psc.physical.cycles,
    issueCycles: c.clock.issueCycles,
    window: c.clock.window,
    l2TlbInclusion: INCLUSION[c.tlb.l2Inclusion],
    l2TlbCycles: c.tlb.l2Cycles,
    l2ItlbCycles: c.tlb.l2iCycles,
    walkers: c.clock.walkers,
    walkBaseCycles: c.walk.baseCycles,
    walkFetchCycles: c.walk.fetchCycles,
    walkUpperCycles: c.walk.upperCycles,
    walkNestedCycles: c.walk.nestedCycles,
    walkHostUpperCycles: c.walk.hostUpperCycles,
    referenceCycles: c.caches.referenceCycles,
    caches: c.caches.enabled,
    ...cacheScalars("l1", c.caches.l1),
    ...cacheScalars("l2", c.caches.l2),
    ...cacheScalars("l3", c.caches.l3),
    ...cacheScalars("l1i", c.caches.l1i),
    l1AliasCycles: c.caches.aliasCycles,
    walkerCacheLevel: CACHE_LEVEL[c.walk.cacheLevel],
    memoryCycles: c.caches.memoryCycles,
    dataCaches: c.caches.data,
    hypervisorCaches: c.caches.hypervisor,
    exitHardwareCycles: c.exits.hardwareCycles,
    softwareReferenceCycles: c.exits.softwareReferenceCycles,
    entryWriteCycles: c.exits.entryWriteCycles,
    emulationCycles: c.exits.emulationCycles,
    tableAllocationCycles: c.exits.tableAllocationCycles,
    exitHostedCycles: c.exits.hosted,
    interruptExits: c.exits.interrupts,
    shadowUnsync: c.shadow.unsync,
    shadowPrefetch: c.shadow.prefetch,
    shadowFlooding: c.shadow.flooding,
    shadowPreviousRoots: c.shadow.previousRoots,
    shadowPageLimit: c.shadow.pageLimit,
    guestPages: (c.guest.memoryMiB || UNKNOWN_MIB) * PAGES_PER_MIB,
    shadowKernel: KERNEL[c.shadow.kernel],
    shadowDirtyTrap: c.shadow.dirtyTrap,
    shadowEmulateControls: c.shadow.emulateControls,
    shadowUnsyncPages: c.shadow.unsyncPages,
    shadowUnsyncByFrame: c.shadow.unsyncByFrame,
    shadowSyncAll: c.shadow.syncAll,
    shadowInvlpgDrops: c.shadow.invlpgDrops,
    shadowPool: c.shadow.pool === "xen" ? 1 : 0,
    shadowPropagate: c.shadow.propagate,
    shadowPrefetchFollowing: c.shadow.prefetchFollowing,
    shadowUnshadow: c.shadow.unshadow,
    shadowSplinter: c.shadow.splinter,
    shadowNxRole: c.shadow.nxRole,
    shadowFaultDrops: c.shadow.faultDrops,
    kernelPlays: PLAYS[c.kernel.plays],
    kernelSeed: c.kernel.seed,
    kernelLevels: c.kernel.levels,
    kernelDirectMapShift: PAGE_SHIFT[c.kernel.directMap],
    kernelPcid: c.kernel.pcid,
    kernelPti: c.kernel.pti,
    kernelPages: KERNEL_PAGES[c.kernel.pages],
    kernelPopulate: c.kernel.populate,
    kernelFragmentation: c.kernel.fragmentation,
    kernelZeroPage: c.kernel.zeroPage,
    kernelFaultAround: c.kernel.faultAround,
    kernelClearBytes: c.kernel.clearBytes,
    kernelQuantum: c.kernel.quantum,
    kernelForks: c.kernel.forks,
    kernelForkLife: c.kernel.forkLife,
    kernelProtects: c.kernel.protects,
    kernelProtectPages: c.kernel.protectPages,
    kernelReclaims: c.kernel.reclaims,
    kernelMerges: c.kernel.merges,
    kernelFaultCycles: c.kernel.faultCycles,
    kernelSwitchCycles: c.kernel.switchCycles,
    kernelCallCycles: c.kernel.callCycles,
    kernelSwapCycles: c.kernel.swapCycles,
  };
}

function cacheScalars<L extends "l1" | "l2" | "l3" | "l1i">(level: L, cache: CacheLevel) {
  return {
    [`${level}Bytes`]: cache.bytes,
    [`${level}Ways`]: cache.ways,
    [`${level}Cycles`]: cache.cycles,
    [`${level}Policy`]: POLICY[cache.policy],
    [`${level}FillMark`]: cache.fillMark,
    [`${level}HashMask`]: cache.hashMask,
    [`${level}Inclusion`]: INCLUSION[cache.inclusion],
  } as Record<
    `${L}${"Bytes" | "Ways" | "Cycles" | "Policy" | "FillMark" | "HashMask" | "Inclusion"}`,
    number
  >;
}

function geometry(array: Geometry): number[] {
  return [array.entries, array.ways, POLICY[array.policy], INDEX[array.index], array.fillMark];
}

function tlbNumbers(array: TlbArray): number[] {
  return [array.pages.reduce((bits, size) => bits | PAGE_BIT[size], 0), ...geometry(array)];
}

function walkCacheNumbers(cache: WalkCache): number[] {
  return [PLACE[cache.place], ...geometry(cache)];
}

/** The parameter block of a machine. */
export function lower(config: MachineConfig): Uint32Array {
  const block = new Uint32Array(parameterCount);
  for (const [name, value] of Object.entries(scalars(config)))
    block[Parameter[name as keyof typeof Parameter]] = Number(value);

  const { tlb, psc } = config;
  let at: number = Parameter.tlbArrays;
  let nth: number = Parameter.tlbCoalesce;
  for (const [arrays, most] of [
    [tlb.l1d, 4],
    [tlb.l1i, 4],
    [tlb.l2, 4],
    [tlb.l2i, 2],
    [tlb.l1s, 4],
  ] as const) {
    for (const [i, array] of arrays.entries()) {
      block.set(tlbNumbers(array), at + i * ARRAY);
      block[nth + i] = Number(array.coalesce);
    }
    at += most * ARRAY;
    nth += most;
  }
  const walkCaches = [
    psc.pde,
    psc.pdpte,
    psc.pml4e,
    psc.pml5e,
    psc.hostPde,
    psc.hostPdpte,
    psc.hostPml4e,
    psc.hostPml5e,
    psc.nested,
  ];
  for (const [i, cache] of walkCaches.entries())
    block.set(walkCacheNumbers(cache), Parameter.pscArrays + i * ARRAY);
  for (const { name, value } of exitReasons)
    block[Parameter.exitHandlerCycles + value] = config.exits.handlerCycles[name] ?? 0;
  return block;
}
