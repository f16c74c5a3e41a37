import { hostAddressOf } from "../../hypervisor/backing";
import { read32, read64 } from "../../memory/physical";
import { touchByHypervisor } from "../../mmu/cache";
import { guest } from "../../vcpu/registers";
import { rightsOf } from "../../walk/translate";
import { countSoftwareRead } from "../../walk/walk";
import { ACCESSED, DIRTY, KEY_SHIFT, PRESENT } from "../../x86/entries";
import { RIGHT_WRITE } from "../../x86/rights";
import { hasFourByteEntries, quadrantOf } from "./role";
import { ShadowPage } from "./shadow-page";
import { ACCESS_KEY_SHIFT } from "./spte";

/** Level-1 entries of the guest, as syncs, prefetches and INVLPG read them: outside of a walk. */

/** The entry that `slot` of a level-1 page shadows. */
export function guestEntry(page: ShadowPage, slot: u32): u64 {
  countSoftwareRead();
  const wide = !hasFourByteEntries(page.role);
  const table = hostAddressOf(page.gfn << 12);
  const at = table + (wide ? slot << 3 : ((quadrantOf(page.role) << 9) | slot) << 2);
  touchByHypervisor(at);
  return wide ? read64(at) : read32(at);
}

/** Whether an entry may be installed without an access: KVM takes only those that need no accessed flag. */
export function isInstallable(entry: u64): bool {
  return (entry & (PRESENT | ACCESSED)) === (PRESENT | ACCESSED) && (entry & guest.format.reserved[2]) === 0;
}

export function frameOf(entry: u64): u64 {
  return (entry & guest.format.frame) >> 12;
}

/** RIGHT_* and key of a page whose leaf is `entry`, below entries that allow `above`. */
export function accessBelow(above: u32, entry: u64): u32 {
  const format = guest.format;
  const key = format.levels >= 4 ? (<u32>(entry >> KEY_SHIFT) & 15) << ACCESS_KEY_SHIFT : 0;
  return (above & rightsOf(format, entry ^ format.invert)) | key;
}

/** A clean page is mapped read-only, so that its first write sets the dirty flag. KVM: `protect_clean_gpte`. */
export function protectClean(access: u32, entry: u64): u32 {
  return entry & DIRTY ? access : access & ~RIGHT_WRITE;
}
