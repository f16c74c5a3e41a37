import { host } from "../../walk/second";
import {
  ACCESSED,
  DIRTY,
  EPT_EXECUTE,
  EPT_EXECUTE_USER,
  EPT_WRITE,
  EPT_WRITE_BACK,
  FRAME,
  KEY_SHIFT,
  LARGE,
  NO_EXECUTE,
  PRESENT,
  USER_PAGE,
  WRITABLE,
} from "../../x86/entries";
import { KIND_EPT } from "../../x86/format";
import { RIGHT_EXECUTE, RIGHT_USER, RIGHT_WRITE } from "../../x86/rights";

/**
 * Entries of shadow pages ("sptes"): real x86 entries that the hardware walks, with two bits of software.
 * KVM: arch/x86/kvm/mmu/spte.h. The host's no-execute is always on, so bit 63 says what the guest's access says.
 */

/** The host page is writable. KVM: `DEFAULT_SPTE_HOST_WRITABLE`, `EPT_SPTE_HOST_WRITABLE`. */
export let hostWritableBit: u64 = 1 << 9;
/** Nothing but a dirty log makes this entry read-only. KVM: `DEFAULT_SPTE_MMU_WRITABLE`, `EPT_SPTE_MMU_WRITABLE`. */
export let mmuWritableBit: u64 = 1 << 10;
/** Flags that the hardware sets; none in an EPT without them. */
let accessedBit: u64 = ACCESSED;
export let dirtyBit: u64 = DIRTY;
/** What every entry, and what every leaf, of an EPT holds beside its rights, which have the places of x86's. */
let everyEntry: u64 = 0;
let everyLeaf: u64 = 0;
let ept = false;

/** Entries of direct pages in the format of the second stage. KVM: `kvm_mmu_set_ept_masks`. */
export function configureDirectEntries(): void {
  ept = host.format.kind === KIND_EPT;
  if (!ept) return;
  hostWritableBit = (<u64>1) << 57;
  mmuWritableBit = (<u64>1) << 58;
  accessedBit = host.format.accessed;
  dirtyBit = host.format.dirty;
  everyEntry = EPT_EXECUTE_USER & host.format.rights;
  everyLeaf = EPT_WRITE_BACK;
}

/** Set in entries of device memory: beyond every physical address that the CPU has, so that each access exits. */
export const DEVICE_MARK: u64 = 1 << 51;

/** Access of a leaf: RIGHT_* in bits 0-2, protection key in bits 3-6. */
export const ACCESS_ALL: u32 = RIGHT_WRITE | RIGHT_USER | RIGHT_EXECUTE;
export const ACCESS_KEY_SHIFT: u32 = 3;

export function isPresent(spte: u64): bool {
  return (spte & PRESENT) !== 0 && (spte & DEVICE_MARK) === 0;
}
export function isDeviceEntry(spte: u64): bool {
  return (spte & (PRESENT | DEVICE_MARK)) === (PRESENT | DEVICE_MARK);
}
export function isLeaf(spte: u64, level: u32): bool {
  return level === 1 || (spte & LARGE) !== 0;
}

/** An entry that leads to a shadow page: everything allowed, since the leaf alone holds the accumulated rights. */
export function tableEntry(frame: u32): u64 {
  return ((<u64>frame) << 12) | PRESENT | WRITABLE | USER_PAGE | accessedBit | everyEntry;
}

/**
 * A leaf without its writability. KVM refuses protection keys under shadow paging; here the guest's key is carried into
 * the entry, so that the hardware checks it as natively.
 */
export function leafEntry(access: u32, level: u32, hfn: u64, accessed: bool, hostWritable: bool): u64 {
  return (
    (hfn << 12) |
    PRESENT |
    (access & RIGHT_USER ? USER_PAGE : 0) |
    (access & RIGHT_EXECUTE ? 0 : NO_EXECUTE) |
    everyEntry |
    everyLeaf |
    (accessed ? accessedBit : 0) |
    (level > 1 ? LARGE : 0) |
    (hostWritable ? hostWritableBit : 0) |
    ((<u64>(access >> ACCESS_KEY_SHIFT)) << KEY_SHIFT)
  );
}

/** KVM: `make_mmio_spte`; the generation of the memory slots never changes here. */
export function deviceEntry(gfn: u64, access: u32): u64 {
  /* Written and not read: each access is a misconfiguration. */
  if (ept) return (gfn << 12) | EPT_WRITE | EPT_EXECUTE;
  return (
    ((gfn << 12) & ~DEVICE_MARK) |
    DEVICE_MARK |
    PRESENT |
    (access & RIGHT_WRITE ? WRITABLE : 0) |
    (access & RIGHT_USER ? USER_PAGE : 0)
  );
}
export function deviceFrame(spte: u64): u64 {
  return (spte & FRAME & ~DEVICE_MARK) >> 12;
}

/**
 * Whether replacing a present leaf asks for a flush: a right to write, the accessed or the dirty flag is lost.
 * KVM: `mmu_spte_update`.
 */
export function losesRights(old: u64, value: u64): bool {
  if ((old & mmuWritableBit) !== 0 && (value & WRITABLE) === 0) return true;
  return (old & ~value & (accessedBit | dirtyBit)) !== 0;
}
