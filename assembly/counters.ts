/**
 * Every counter of the core, once. The member's name is its key in a result; its comment is its unit, a full
 * stop, and one sentence. `scripts/declarations.mjs` turns this file into what the driver and the documentation
 * read. Names with underscores are Linux KVM's own (`Documentation/virt/kvm`, `struct kvm_vcpu_stat`).
 */
export enum Counter {
  // The guest: what the trace says. Equal in every machine of a comparison.
  /** events. Records of the trace replayed, accesses included. */
  events,
  /** accesses. Instruction fetches, reads and writes replayed; an access that crosses a page counts once. */
  accesses,
  /** accesses. Instruction fetches, one per executed instruction. */
  fetches,
  /** accesses. Data reads. */
  reads,
  /** accesses. Data writes. */
  writes,
  /** accesses. Reads and writes the CPU made by itself (exception delivery); they count as supervisor accesses. */
  implicitAccesses,
  /** accesses. Accesses to device memory. */
  deviceAccesses,
  /** accesses. Accesses that cross a page and are translated twice. */
  pageCrossings,
  /** accesses. Accesses made at CPL 3. */
  userAccesses,
  /** entries. 8-byte stores into guest page tables. */
  tableWrites,
  /** pages. Guest frames announced as page tables, those of the initial state included. */
  tablePages,
  /** pages. Guest page tables that became unreachable. */
  tablePagesDropped,
  /** loads. Loads of CR3. */
  cr3Loads,
  /** loads. Loads of CR3 with the no-flush bit under PCID. */
  cr3NoFlush,
  /** loads. Loads of CR0, CR4 and EFER. */
  controlLoads,
  /** instructions. INVLPG executed by the guest. */
  guestInvlpg,
  /** instructions. INVPCID executed by the guest. */
  guestInvpcid,
  /** faults. Page faults the recorded guest took. */
  guestPageFaults,
  /** events. Exceptions other than page faults delivered to the guest. */
  guestExceptions,
  /** events. Interrupts delivered to the guest (vector 32 and above). */
  interrupts,
  /** instructions. CPUID, HLT, RDMSR, WRMSR and I/O executed by the guest. */
  exitingInstructions,
  /** mappings. Changes of the recorded true mapping. */
  mappings,

  // The oracle: the model held against the recording.
  /** accesses. Accesses whose translation was compared with the recorded true mapping. */
  oracleChecked,
  /** accesses. Accesses for which the trace holds no true mapping. */
  oracleUnknown,
  /** accesses. Accesses translated to another page than the recorded one, or refused. */
  oracleMismatches,
  /** faults. Recorded page faults that the model raised with the same error code and CR2. */
  faultsConfirmed,
  /** faults. Recorded page faults that the model did not raise, or raised with another error code; a guest may take one on a stale entry of its own TLB. */
  faultsUnconfirmed,
  /** faults. Recorded page faults hidden by a TLB entry that the architecture allows to be stale; a fresh walk raises them. */
  faultsStale,

  // MMU hardware.
  /** translations. Translations asked for: one per access and per page it touches. */
  translations,
  /** accesses. Accesses refused before any TLB is asked and any walk begins, as their address is not canonical. */
  nonCanonical,
  /** misses. TLB entries that were there but did not allow the access (a first write, or other rights): the page is walked again. They count as misses of their structure. */
  rightsMisses,
  /** walks. Walks of page tables by the hardware, for a translation that no TLB held. */
  walks,
  /** walks. Hardware walks that ended in a fault or an exit. */
  walksFaulted,
  /** walks. Hardware walks made again after the hypervisor repaired what stopped the first. */
  walksRetried,
  /** references. Page-table entries read by hardware walks; equals the sum of the cells of `references`. */
  tableReferences,
  /** references (peak). The most entries read by one walk. */
  walkReferencesMax,
  /** walks. Walks of the second-stage tables made inside hardware walks. */
  nestedWalks,
  /** entries. Accessed flags set by hardware in the tables it walks. */
  accessedSet,
  /** entries. Dirty flags set by hardware in the tables it walks. */
  dirtySet,
  /** operations. Invalidations applied to the TLBs, whatever asked for them. */
  invalidations,
  /** entries. Entries that invalidations removed. */
  entriesInvalidated,
  /** references. Page-table lines found in the L1 data cache. */
  tableLinesL1,
  /** references. Page-table lines found in the L2 cache. */
  tableLinesL2,
  /** references. Page-table lines found in the L3 cache. */
  tableLinesL3,
  /** references. Page-table lines fetched from memory. */
  tableLinesMemory,
  /** references. Page-table entries found in the cache of entries by host-physical address. */
  entryCacheHits,
  /** walks. Walks that found four aligned pages contiguous in every stage, so that one TLB entry may hold them. */
  walksCoalesced,

  // Cycles: the parts sum to the total.
  /** cycles. The whole run. */
  cyclesTotal,
  /** cycles. Issuing accesses, one after the other. */
  cyclesIssue,
  /** cycles. Waiting for the second-level TLB. */
  cyclesTlb,
  /** cycles. Waiting for page walks. */
  cyclesWalk,
  /** cycles. Waiting for a free page walker. */
  cyclesWalkerQueue,
  /** cycles. Waiting for data, when the data caches are modelled. */
  cyclesData,
  /** cycles. Hardware round trips of VM exits. */
  cyclesExitHardware,
  /** cycles. Hypervisor handlers of VM exits. */
  cyclesExitHandler,

  // The hypervisor.
  /** exits. VM exits of every reason. */
  exits,
  /** faults. Page faults and second-stage faults handled by the hypervisor. */
  pf_taken,
  /** faults. Faults resolved by installing a mapping. */
  pf_fixed,
  /** faults. Faults reflected into the guest. */
  pf_guest,
  /** faults. Faults resolved by emulating the instruction. */
  pf_emulate,
  /** faults. Faults that found their mapping already there. */
  pf_spurious,
  /** faults. Faults resolved without the MMU lock. */
  pf_fast,
  /** entries. Mappings of device memory installed. */
  pf_mmio_spte_created,
  /** exits. INVLPG exits. */
  invlpg,
  /** flushes. Flushes of the guest's TLB context served at VM entry. */
  tlb_flush,
  /** requests. Requests for such a flush. */
  remote_tlb_flush_requests,
  /** instructions. Instructions emulated by the hypervisor. */
  insn_emulation,
  /** stores. Emulated stores into shadowed page tables. */
  mmu_pte_write,
  /** entries. Upper-level entries unlinked by such stores. */
  mmu_pde_zapped,
  /** pages. Shadow pages dropped because their table was written too often. */
  mmu_flooded,
  /** pages. Shadow pages zapped. */
  mmu_shadow_zapped,
  /** pages. Shadow pages zapped to make room. */
  mmu_recycled,
  /** pages. Shadow pages created. */
  mmu_cache_miss,
  /** pages (gauge). Shadow pages out of sync with the table they shadow. */
  mmu_unsync,
  /** entries (gauge). 4 KiB mappings installed by the hypervisor. */
  pages_4k,
  /** entries (gauge). 2 MiB mappings installed by the hypervisor. */
  pages_2m,
  /** entries (gauge). 1 GiB mappings installed by the hypervisor. */
  pages_1g,
  /** pages (gauge). Shadow pages that are not freed. */
  mmu_shadow_pages,
  /** entries (peak). Mappings that a guest page already had when one more was added. */
  max_mmu_rmap_size,
  /** pages (peak). Shadow pages of other guest frames met in one search of the hash. */
  max_mmu_page_hash_collisions,
  /** pages. Shadow pages synchronized with their table. */
  shadowPagesSynced,
  /** walks. Walks of the guest's tables made by the hypervisor in software. */
  softwareWalks,
  /** references. Guest page-table entries read by software: walks, syncs and prefetches. */
  softwareReferences,
  /** entries. Second-stage or shadow entries written by the hypervisor. */
  entriesWritten,
  /** pages. Table pages allocated by the hypervisor. */
  hypervisorTables,
  /** pages. Host frames of 4 KiB given to the guest. */
  backed4k,
  /** pages. Host frames of 2 MiB given to the guest. */
  backed2m,
  /** pages. Host frames of 1 GiB given to the guest. */
  backed1g,

  // The stand-in kernel, which plays the guest of a trace without page tables. Equal in every machine of a comparison.
  /** cycles. The stand-in kernel's own code: fault handlers, switches and calls, without its accesses. */
  cyclesKernel,
  /** accesses. Reads and writes made by the stand-in kernel: stores into page tables, and pages cleared and copied. */
  kernelAccesses,
  /** processes. Address spaces made, those of forked children included. */
  kernelProcesses,
  /** switches. Times another process or thread began to run. */
  kernelSwitches,
  /** pages. Pages of 4 KiB mapped with a frame of their own. */
  kernelPages4k,
  /** pages. Pages of 2 MiB mapped with frames of their own. */
  kernelPages2m,
  /** pages. Pages of 2 MiB that the policy wanted and no free frames were there for. */
  kernelHugeFallbacks,
  /** pages. Mappings of the zero page, for reads of untouched memory. */
  kernelZeroPages,
  /** pages. Pages copied, or cleared in place of the zero page, on a write to a shared one. */
  kernelCopies,
  /** pages. Write-protected pages that nobody else mapped any more, made writable as they were. */
  kernelReuses,
  /** pages. Pages of 2 MiB split into small ones. */
  kernelSplits,
  /** calls. Changes of protection: those played at a rate, and those that take one back. */
  kernelProtects,
  /** pages. Small pages taken back from programs. */
  kernelReclaimed,
  /** pages. Pages that came back from the swap device. */
  kernelSwapIns,
  /** calls. Forks played. */
  kernelForks,
  /** pages. Pages merged with another of the same content. */
  kernelMerged,

  COUNT,
}

/** Why the guest left for the hypervisor. Intel's basic exit reasons (SDM Vol. 3D appendix C) or AMD's codes (APM Vol. 2 appendix C) are beside each. */
export enum ExitReason {
  /** 0 / 0x4E. Page fault intercepted under shadow paging. */
  page_fault,
  /** 48 / -. EPT violation. */
  ept_violation,
  /** 49 / -. EPT misconfiguration: device memory under EPT. */
  ept_misconfig,
  /** - / 0x400. Nested page fault. */
  npf,
  /** 28 / 0x10. Load of CR0. */
  write_cr0,
  /** 28 / 0x13. Load of CR3. */
  write_cr3,
  /** 28 / 0x14. Load of CR4. */
  write_cr4,
  /** 14 / 0x79. INVLPG. */
  invlpg,
  /** 58 / 0xA2. INVPCID. */
  invpcid,
  /** 10 / 0x72. CPUID. */
  cpuid,
  /** 12 / 0x78. HLT. */
  hlt,
  /** 31 / 0x7C. RDMSR. */
  rdmsr,
  /** 32 / 0x7C. WRMSR, loads of EFER included. */
  wrmsr,
  /** 30 / 0x7B. I/O instruction. */
  io,
  /** 1 / 0x60. External interrupt. */
  interrupt,
  /** 62 / -. Page-modification log full. */
  pml_full,

  COUNT,
}

/** The structures that are looked up during a translation, each with its own hits by page size. */
export enum Structure {
  /** First-level TLB for data. */
  l1d,
  /** First-level TLB for instructions. */
  l1i,
  /** First-level TLB for stores, where it is separate. */
  l1s,
  /** Second-level TLB (data, or shared). */
  l2,
  /** Second-level TLB for instructions, where it is separate. */
  l2i,
  /** Paging-structure cache of level-2 entries (PDE). */
  pde,
  /** Paging-structure cache of level-3 entries (PDPTE). */
  pdpte,
  /** Paging-structure cache of level-4 entries (PML4E). */
  pml4e,
  /** Paging-structure cache of level-5 entries (PML5E). */
  pml5e,
  /** Nested TLB: guest-physical to host-physical pages. */
  nested,
  /** Paging-structure cache of second-stage level-2 entries. */
  hostPde,
  /** Paging-structure cache of second-stage level-3 entries. */
  hostPdpte,
  /** Paging-structure cache of second-stage level-4 entries. */
  hostPml4e,
  /** Paging-structure cache of second-stage level-5 entries. */
  hostPml5e,

  COUNT,
}

/** What is counted of each structure. Hits are by the size of the cached page. */
export enum StructureCell {
  /** lookups. Times the structure was asked. */
  lookups,
  /** hits. Hits on entries of 4 KiB (and on every paging-structure cache entry). */
  hits4k,
  /** hits. Hits on entries of 2 MiB or 4 MiB. */
  hits2m,
  /** hits. Hits on entries of 1 GiB. */
  hits1g,
  /** misses. Times the structure was asked and had no entry. */
  misses,
  /** entries. Entries put in. */
  fills,
  /** entries. Valid entries pushed out by a fill. */
  evictions,

  COUNT,
}

/** Rows and columns of the cells of `references`: guest level 0 (the final address) to 5, host level 0 (the guest entry itself) to 5. */
export const LEVELS: u32 = 6;
/** Buckets of the histogram of walks by references; the last holds everything longer. */
export const WALK_BUCKETS: u32 = 64;

export const COUNTERS_BYTES: usize = <usize>Counter.COUNT * 8;
export const REFERENCES_BYTES: usize = 36 * 8;
export const WALK_LENGTHS_BYTES: usize = 64 * 8;
export const EXITS_BYTES: usize = <usize>ExitReason.COUNT * 8;
export const STRUCTURES_BYTES: usize = <usize>Structure.COUNT * <usize>StructureCell.COUNT * 8;

const scalars = memory.data(<i32>Counter.COUNT * 8, 16);
const references = memory.data(36 * 8, 16);
const walkLengths = memory.data(64 * 8, 16);
const exitCounts = memory.data(<i32>ExitReason.COUNT * 8, 16);
const exitCycles = memory.data(<i32>ExitReason.COUNT * 8, 16);
const structures = memory.data(<i32>Structure.COUNT * <i32>StructureCell.COUNT * 8, 16);

export function countersAddress(): usize {
  return scalars;
}
export function referencesAddress(): usize {
  return references;
}
export function walkLengthsAddress(): usize {
  return walkLengths;
}
export function exitCountsAddress(): usize {
  return exitCounts;
}
export function exitCyclesAddress(): usize {
  return exitCycles;
}
export function structuresAddress(): usize {
  return structures;
}

export function count(counter: Counter): void {
  const at = scalars + ((<usize>counter) << 3);
  store<u64>(at, load<u64>(at) + 1);
}
export function add(counter: Counter, n: u64): void {
  const at = scalars + ((<usize>counter) << 3);
  store<u64>(at, load<u64>(at) + n);
}
export function subtract(counter: Counter, n: u64): void {
  const at = scalars + ((<usize>counter) << 3);
  store<u64>(at, load<u64>(at) - n);
}
export function read(counter: Counter): u64 {
  return load<u64>(scalars + ((<usize>counter) << 3));
}
export function peak(counter: Counter, value: u64): void {
  const at = scalars + ((<usize>counter) << 3);
  if (value > load<u64>(at)) store<u64>(at, value);
}
export function set(counter: Counter, value: u64): void {
  store<u64>(scalars + ((<usize>counter) << 3), value);
}
export function countReference(guestLevel: u32, hostLevel: u32): void {
  const at = references + ((<usize>(guestLevel * LEVELS + hostLevel)) << 3);
  store<u64>(at, load<u64>(at) + 1);
}
export function countWalkLength(length: u32): void {
  const at = walkLengths + ((<usize>min(length, WALK_BUCKETS - 1)) << 3);
  store<u64>(at, load<u64>(at) + 1);
}
export function countExit(reason: ExitReason, cycles: u64): void {
  const at = (<usize>reason) << 3;
  store<u64>(exitCounts + at, load<u64>(exitCounts + at) + 1);
  store<u64>(exitCycles + at, load<u64>(exitCycles + at) + cycles);
}
export function countStructure(structure: Structure, cell: StructureCell): void {
  const at = structures + ((<usize>(<u32>structure * <u32>StructureCell.COUNT + <u32>cell)) << 3);
  store<u64>(at, load<u64>(at) + 1);
}
export function addStructure(structure: Structure, cell: StructureCell, n: u64): void {
  const at = structures + ((<usize>(<u32>structure * <u32>StructureCell.COUNT + <u32>cell)) << 3);
  store<u64>(at, load<u64>(at) + n);
}
