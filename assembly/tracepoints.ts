/**
 * Counts of Linux KVM's MMU tracepoints, by the names that the recorded reference uses. They move only in exits.
 * A page's level follows the name; `d` marks a direct page, one that maps a range instead of shadowing a table.
 */
export enum Tracepoint {
  /** pages. Shadow pages of level 1 created (`kvm_mmu_get_page`). */
  sp_created_L1,
  /** pages. Shadow pages of level 2 created (`kvm_mmu_get_page`). */
  sp_created_L2,
  /** pages. Shadow pages of level 3 created (`kvm_mmu_get_page`). */
  sp_created_L3,
  /** pages. Shadow pages of level 4 created (`kvm_mmu_get_page`). */
  sp_created_L4,
  /** pages. Shadow pages of level 5 created (`kvm_mmu_get_page`). */
  sp_created_L5,
  /** pages. Direct pages of level 1 created (`kvm_mmu_get_page`). */
  sp_created_L1d,
  /** pages. Direct pages of level 2 created (`kvm_mmu_get_page`). */
  sp_created_L2d,
  /** pages. Direct pages of level 3 created (`kvm_mmu_get_page`). */
  sp_created_L3d,
  /** pages. Direct pages of level 4 created (`kvm_mmu_get_page`). */
  sp_created_L4d,
  /** pages. Direct pages of level 5 created (`kvm_mmu_get_page`). */
  sp_created_L5d,
  /** pages. Shadow pages of level 1 found in the cache (`kvm_mmu_get_page`). */
  sp_reused_L1,
  /** pages. Shadow pages of level 2 found in the cache (`kvm_mmu_get_page`). */
  sp_reused_L2,
  /** pages. Shadow pages of level 3 found in the cache (`kvm_mmu_get_page`). */
  sp_reused_L3,
  /** pages. Shadow pages of level 4 found in the cache (`kvm_mmu_get_page`). */
  sp_reused_L4,
  /** pages. Shadow pages of level 5 found in the cache (`kvm_mmu_get_page`). */
  sp_reused_L5,
  /** pages. Direct pages of level 1 found in the cache (`kvm_mmu_get_page`). */
  sp_reused_L1d,
  /** pages. Direct pages of level 2 found in the cache (`kvm_mmu_get_page`). */
  sp_reused_L2d,
  /** pages. Direct pages of level 3 found in the cache (`kvm_mmu_get_page`). */
  sp_reused_L3d,
  /** pages. Direct pages of level 4 found in the cache (`kvm_mmu_get_page`). */
  sp_reused_L4d,
  /** pages. Direct pages of level 5 found in the cache (`kvm_mmu_get_page`). */
  sp_reused_L5d,
  /** pages. Shadow pages of level 1 zapped (`kvm_mmu_prepare_zap_page`); a zapped root counts again when it is released. */
  sp_zapped_L1,
  /** pages. Shadow pages of level 2 zapped (`kvm_mmu_prepare_zap_page`); a zapped root counts again when it is released. */
  sp_zapped_L2,
  /** pages. Shadow pages of level 3 zapped (`kvm_mmu_prepare_zap_page`); a zapped root counts again when it is released. */
  sp_zapped_L3,
  /** pages. Shadow pages of level 4 zapped (`kvm_mmu_prepare_zap_page`); a zapped root counts again when it is released. */
  sp_zapped_L4,
  /** pages. Shadow pages of level 5 zapped (`kvm_mmu_prepare_zap_page`); a zapped root counts again when it is released. */
  sp_zapped_L5,
  /** pages. Direct pages of level 1 zapped (`kvm_mmu_prepare_zap_page`). */
  sp_zapped_L1d,
  /** pages. Direct pages of level 2 zapped (`kvm_mmu_prepare_zap_page`). */
  sp_zapped_L2d,
  /** pages. Direct pages of level 3 zapped (`kvm_mmu_prepare_zap_page`). */
  sp_zapped_L3d,
  /** pages. Direct pages of level 4 zapped (`kvm_mmu_prepare_zap_page`). */
  sp_zapped_L4d,
  /** pages. Direct pages of level 5 zapped (`kvm_mmu_prepare_zap_page`). */
  sp_zapped_L5d,
  /** pages. Shadow pages synchronized with their table (`kvm_mmu_sync_page`). */
  sp_synced_L1,
  /** pages. Shadow pages that went out of sync (`kvm_mmu_unsync_page`). */
  sp_unsynced_L1,
  /** entries. Leaf entries of level 1 set (`kvm_mmu_set_spte`). */
  set_spte_L1,
  /** entries. Leaf entries of level 2 set (`kvm_mmu_set_spte`). */
  set_spte_L2,
  /** entries. Leaf entries of level 3 set (`kvm_mmu_set_spte`). */
  set_spte_L3,
  /** entries. Entries of level 1 of second-stage tables changed (`kvm_tdp_mmu_spte_changed`). */
  tdp_spte_changed_L1,
  /** entries. Entries of level 2 of second-stage tables changed (`kvm_tdp_mmu_spte_changed`). */
  tdp_spte_changed_L2,
  /** entries. Entries of level 3 of second-stage tables changed (`kvm_tdp_mmu_spte_changed`). */
  tdp_spte_changed_L3,
  /** entries. Entries of level 4 of second-stage tables changed (`kvm_tdp_mmu_spte_changed`). */
  tdp_spte_changed_L4,
  /** entries. Entries of level 5 of second-stage tables changed (`kvm_tdp_mmu_spte_changed`). */
  tdp_spte_changed_L5,
  /** faults. Faults that came to set an entry of level 1 (`kvm_mmu_spte_requested`). */
  spte_requested_L1,
  /** faults. Faults that came to set an entry of level 2 (`kvm_mmu_spte_requested`). */
  spte_requested_L2,
  /** faults. Faults that came to set an entry of level 3 (`kvm_mmu_spte_requested`). */
  spte_requested_L3,
  /** entries. Guest entries of level 1 read by walks of the hypervisor (`kvm_mmu_paging_element`). */
  walk_read_L1,
  /** entries. Guest entries of level 2 read by walks of the hypervisor (`kvm_mmu_paging_element`). */
  walk_read_L2,
  /** entries. Guest entries of level 3 read by walks of the hypervisor (`kvm_mmu_paging_element`). */
  walk_read_L3,
  /** entries. Guest entries of level 4 read by walks of the hypervisor (`kvm_mmu_paging_element`). */
  walk_read_L4,
  /** entries. Guest entries of level 5 read by walks of the hypervisor (`kvm_mmu_paging_element`). */
  walk_read_L5,
  /** entries. Accessed flags that the hypervisor set in guest entries (`kvm_mmu_set_accessed_bit`). */
  walker_set_A,
  /** entries. Dirty flags that the hypervisor set in guest entries (`kvm_mmu_set_dirty_bit`). */
  walker_set_D,
  /** instructions. Instructions emulated (`kvm_emulate_insn`). */
  emulate_insn,
  /** calls. Ranges that the host took away (`kvm_unmap_hva_range`). */
  unmap_hva_range,

  COUNT,
}

/** Tracepoints that are counted by error code. */
export enum ErrorFamily {
  /** faults. Faults that exited, by the hardware's error code (`kvm_page_fault`). */
  page_fault_err,
  /** walks. Walks of the guest's tables by the hypervisor, by access (`kvm_mmu_pagetable_walk`). */
  walk_err,
  /** walks. Such walks that ended in a fault of the guest, by its error code (`kvm_mmu_walker_error`). */
  walker_error_err,
  /** faults. Faults resolved without the MMU lock, by error code (`fast_page_fault`). */
  fast_page_fault_err,

  COUNT,
}

const counts = memory.data(<i32>Tracepoint.COUNT * 8, 16);

/** Codes seen of a family, in order of first use: code u64 │ count u64; an unused slot has a count of 0. */
export const ERROR_CODES: u32 = 32;
const codes = memory.data(<i32>ErrorFamily.COUNT * 32 * 16, 16);

export function tracepointsAddress(): usize {
  return counts;
}
export function errorCodesAddress(): usize {
  return codes;
}

export function trace(point: Tracepoint): void {
  const at = counts + ((<usize>point) << 3);
  store<u64>(at, load<u64>(at) + 1);
}

/** Counts the tracepoint `first` of the family by level. */
export function traceLevel(first: Tracepoint, level: u32): void {
  trace(<Tracepoint>(<u32>first + level - 1));
}

/** The same for a shadow page, direct or not. */
export function tracePage(first: Tracepoint, level: u32, direct: bool): void {
  trace(<Tracepoint>(<u32>first + level - 1 + (direct ? 5 : 0)));
}

/** More codes than there are slots for are counted in the last one. */
export function traceCode(family: ErrorFamily, code: u64): void {
  let at = codes + ((<usize>family * ERROR_CODES) << 4);
  for (let i: u32 = 1; i < ERROR_CODES; ++i, at += 16) {
    const n = load<u64>(at, 8);
    if (n === 0) store<u64>(at, code);
    else if (load<u64>(at) !== code) continue;
    break;
  }
  store<u64>(at, load<u64>(at, 8) + 1, 8);
}
