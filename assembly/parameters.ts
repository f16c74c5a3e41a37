/**
 * Every number that configures a machine, once. The driver's schema (src/config) maps its keys to these; the core
 * reads them when a machine is built. Units are in the comments; sizes are counts of entries.
 */
export enum Parameter {
  // What is modelled.
  /** 0 native, 1 nested, 2 shadow. */
  technique,
  /** Second-stage format: 0 EPT, 1 NPT. */
  hostFormat,
  /** Levels of the second stage: 3 (NPT of a PAE host), 4 or 5. */
  hostLevels,
  /** log2 of the largest host page that backs the guest: 12, 21 or 30. */
  hostPageShift,
  /** 0 host frames in order of first use, 1 scattered by a seeded permutation. */
  hostPlacement,
  /** Seed of every random choice. */
  seed,
  /** Guest physical-address width, 32 to 52 bits. */
  guestAddressBits,
  /** Host physical-address width, 32 to 52 bits. */
  hostAddressBits,
  /** 0 Intel, 1 AMD: where the manuals differ (reserved bit 8 of upper entries). */
  vendor,
  /** 1: EPTP enables accessed and dirty flags (SDM 29.3.5). */
  eptAccessedDirty,
  /** 1: execute-only second-stage pages are allowed (IA32_VMX_EPT_VPID_CAP bit 0). */
  eptExecuteOnly,
  /** 1: mode-based execute control for EPT (SDM 29.3.3). */
  eptModeBasedExecute,
  /** 1: exit qualifications carry bits 9 to 11 (IA32_VMX_EPT_VPID_CAP bit 22). */
  eptAdvancedInfo,
  /** 1: page-modification logging (SDM 29.3.6). */
  eptPml,
  /** 1: the host enables no-execute in nested paging (EFER.NXE of the host). */
  hostNoExecute,
  /** 1: the host sets CR4.SMEP, which shows in the I/D bit of EXITINFO1. */
  hostSmep,
  /** 1: accessed flags of upper entries are set even when the walk then faults; 0: only by a walk that succeeds. */
  eagerAccessed,
  /** 1: TLB entries carry a VPID or ASID; 0: every exit flushes the guest's entries. */
  vpid,
  /** 1: the guest supports 1 GiB pages. */
  guestPage1g,

  // TLB arrays: 4 first-level data, 4 first-level instruction, 4 second-level, 2 second-level instruction, 4 first-level store.
  // An array is six numbers: sizes (bit 0 4K, 1 2M/4M, 2 1G), entries, ways (0 fully associative), policy, index, fill mark.
  /** First number of the first TLB array. */
  tlbArrays,
  /** Last number of the TLB arrays. */
  tlbArraysEnd = tlbArrays + 18 * 6 - 1,
  /** First of one number per TLB array: 1 when an entry may hold an aligned group of four 4 KiB pages. */
  tlbCoalesce,
  /** Last of them. */
  tlbCoalesceEnd = tlbCoalesce + 18 - 1,
  /** The second level of TLB holds: 0 every fill, 1 every fill and the first level nothing else, 2 what the first level evicted. */
  l2TlbInclusion,

  // Paging-structure caches: levels 2 to 5 of the first stage, 2 to 5 of the second, and the nested TLB.
  // Each is: place (0 none, 1 own array, 2 in the second-level TLB, 3 or 4 in the level-2 or level-3 array of its stage), entries, ways, policy, index, fill mark.
  /** First number of the first paging-structure cache. */
  pscArrays,
  /** Last number of the paging-structure caches and the nested TLB. */
  pscArraysEnd = pscArrays + 9 * 6 - 1,
  /** 1: the nested TLB also answers and keeps the translation of the final address. */
  nestedTlbData,
  /** 1: a leaf of 1 GiB (bit 1) or 2 MiB (bit 0) is also kept by the paging-structure cache of its level. */
  pscLeaves,
  /** Cache of entries by host-physical address (Bhargava et al., ASPLOS 2008): 0 none, 1 upper guest entries, 2 those of the second stage too. */
  entryCacheHolds,
  entryCacheEntries,
  entryCacheWays,
  entryCachePolicy,
  entryCacheIndex,
  entryCacheFillMark,
  /** Cycles of a reference that it serves. */
  entryCacheCycles,

  // Clock, in core cycles.
  /** Cycles from one access to the next. */
  issueCycles,
  /** Accesses that may be under way behind an unfinished one: 1 is a dependent chain. */
  window,
  /** Cycles from a first-level miss to a second-level hit. */
  l2TlbCycles,
  /** The same for instruction fetches. */
  l2ItlbCycles,
  /** Page walkers. */
  walkers,
  /** Cycles of a walk beside its references. */
  walkBaseCycles,
  /** Cycles that a walk for an instruction fetch takes more. */
  walkFetchCycles,
  /** Cycles added to a walk by each upper guest entry it reads. */
  walkUpperCycles,
  /** Cycles added to a walk by each second-stage walk for a guest table. */
  walkNestedCycles,
  /** Cycles added to a walk by each upper second-stage entry it reads. */
  walkHostUpperCycles,
  /** Cycles of a page-table reference when no cache hierarchy is modelled. */
  referenceCycles,
  /** 1: page-table references go through the modelled caches. */
  caches,
  /** L1 data cache: bytes, ways, cycles, policy, fill mark, set-index bits that are hashed, inclusion (as l2TlbInclusion). */
  l1Bytes,
  l1Ways,
  l1Cycles,
  l1Policy,
  l1FillMark,
  l1HashMask,
  l1Inclusion,
  /** L2 cache: bytes, ways, cycles, policy, fill mark, set-index bits that are hashed, inclusion (as l2TlbInclusion). */
  l2Bytes,
  l2Ways,
  l2Cycles,
  l2Policy,
  l2FillMark,
  l2HashMask,
  l2Inclusion,
  /** L3 cache: bytes, ways, cycles, policy, fill mark, set-index bits that are hashed, inclusion (as l2TlbInclusion). */
  l3Bytes,
  l3Ways,
  l3Cycles,
  l3Policy,
  l3FillMark,
  l3HashMask,
  l3Inclusion,
  /** L1 instruction cache: bytes, ways, cycles, policy, fill mark, set-index bits that are hashed, inclusion (as l2TlbInclusion). */
  l1iBytes,
  l1iWays,
  l1iCycles,
  l1iPolicy,
  l1iFillMark,
  l1iHashMask,
  l1iInclusion,
  /** Cycles of a hit in the L1 data cache on a line last accessed by another linear page, if more; 0 makes no difference. */
  l1AliasCycles,
  /** Level at which page-table references enter the caches: 0 L1, 1 L2, 2 L3. */
  walkerCacheLevel,
  /** Cycles of a reference served by memory. */
  memoryCycles,
  /** 1: the guest's accesses go through the same caches. */
  dataCaches,
  /** 1: so do the hypervisor's references to tables, at the cost of its handlers. */
  hypervisorCaches,

  // Exits, in core cycles.
  /** Hardware round trip of one exit and entry. */
  exitHardwareCycles,
  /** First of the handler costs, one per exit reason, without the work counted below. */
  exitHandlerCycles,
  /** Last of the handler costs. */
  exitHandlerCyclesEnd = exitHandlerCycles + 15,
  /** Each guest entry read by the hypervisor's software. */
  softwareReferenceCycles,
  /** Each second-stage or shadow entry written by the hypervisor. */
  entryWriteCycles,
  /** Each instruction emulated. */
  emulationCycles,
  /** Each table page allocated by the hypervisor. */
  tableAllocationCycles,
  /** Added to an exit whose emulation is done by a process of the host. */
  exitHostedCycles,
  /** 1: an interrupt delivered to the guest costs an exit. */
  interruptExits,

  // Shadow paging: Linux KVM's policy.
  /** 1: a level-1 table page becomes writable on its first store and is synchronized later; 0: each store traps. */
  shadowUnsync,
  /** Entries of the aligned group installed together on a fault; 1 installs only the faulting one. */
  shadowPrefetch,
  /** Emulated stores to an upper table page, without a walk through it, that drop its shadow; 0 never. */
  shadowFlooding,
  /** Previous roots kept beside the current one, 0 to 3. */
  shadowPreviousRoots,
  /** Most shadow pages; 0 is KVM's default, a fiftieth of the guest's pages. */
  shadowPageLimit,
  /** Guest memory in 4 KiB pages, for that default. */
  guestPages,
  /** INVLPG and synchronization as in Linux: 601 (6.1) or 612 (6.12). */
  shadowKernel,
  /** 1: a clean writable page is mapped read-only until its first write. */
  shadowDirtyTrap,
  /** 1: INVLPG and loads of CR3 are emulated, as on an AMD CPU without decode assists; 0: the exit says what they do. */
  shadowEmulateControls,
  /** Most level-1 tables out of sync at once, each shadowed once; one more synchronizes the oldest. 0 is no limit. */
  shadowUnsyncPages,
  /** 1: each table out of sync has one of two slots, by its host frame, and synchronizes who is there. */
  shadowUnsyncByFrame,
  /** 1: a load of CR3 synchronizes all tables out of sync where their number is limited; 0: those below the new root. */
  shadowSyncAll,
  /** 1: INVLPG only drops the entry of a table out of sync; 0: as `shadowKernel` says. */
  shadowInvlpgDrops,
  /** Shadow pages where `shadowPageLimit` is 0: 0 KVM's share, 1 Xen's. */
  shadowPool,
  /** 1: an emulated store changes the shadow entry at once; 0: it drops the entry, and a fault makes the new one. */
  shadowPropagate,
  /** 1: a fault installs the entries that follow, up to the first that must fault by itself; 0: those of its group. */
  shadowPrefetchFollowing,
  /** Emulated stores to one table page of any level, without another fault between, that drop its shadow; 0 never. */
  shadowUnshadow,
  /** 1: the guest's large pages are always mapped by 4 KiB entries. */
  shadowSplinter,
  /** 1: shadow pages made under one EFER.NXE do not serve under the other. */
  shadowNxRole,
  /** 1: a fault drops what is mapped at its address, as the CPU's TLB does; 0: unless the guest's page is not present. */
  shadowFaultDrops,
  /** 1: nested paging by KVM's older code, whose tables are direct shadow pages; 0: by its TDP MMU. */
  tdpLegacy,

  // The stand-in kernel.
  /** 0 none, 1 plays the kernel of programs, 2 of programs whose addresses are guest-physical. */
  kernelPlays,
  /** Seed of its random choices. */
  kernelSeed,
  /** Levels of the guest's tables: 4 or 5. */
  kernelLevels,
  /** log2 of the pages of its direct map: 21 or 30. */
  kernelDirectMapShift,
  /** 1: the kernel uses PCIDs. */
  kernelPcid,
  /** 1: page-table isolation. */
  kernelPti,
  /** Pages of programs: 0 4 KiB, 1 2 MiB, 2 transparent huge pages, 3 as a map says. */
  kernelPages,
  /** 1: every page is mapped before the program runs, at no cost. */
  kernelPopulate,
  /** Percent of the 2 MiB blocks of RAM in which a frame never moves. */
  kernelFragmentation,
  /** 1: reads of untouched memory map the zero page. */
  kernelZeroPage,
  /** Pages of code installed together on a fault. */
  kernelFaultAround,
  /** Bytes of one store that clears or copies a page. */
  kernelClearBytes,
  /** Records between two switches to another process and back; 0 none. */
  kernelQuantum,
  /** Forks, in a million records, and records that the child lives. */
  kernelForks,
  kernelForkLife,
  /** Changes of protection, in a million records, and pages of each. */
  kernelProtects,
  kernelProtectPages,
  /** Runs of reclaim, in a million records. */
  kernelReclaims,
  /** Merged pages, in a million records. */
  kernelMerges,
  /** Cycles of a page fault: entry, handler and return. */
  kernelFaultCycles,
  /** Cycles of a switch. */
  kernelSwitchCycles,
  /** Cycles of a fork, a change of protection, a run of reclaim or a merge. */
  kernelCallCycles,
  /** Cycles until a page is back from the swap device. */
  kernelSwapCycles,

  COUNT,
}

const block = memory.data(<i32>Parameter.COUNT * 4, 16);

export function parametersAddress(): usize {
  return block;
}
export function parameter(index: Parameter): u32 {
  return load<u32>(block + ((<usize>index) << 2));
}
export function parameterAt(index: u32): u32 {
  return load<u32>(block + ((<usize>index) << 2));
}
