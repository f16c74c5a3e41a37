import { Counter, count } from "../../counters";
import { Parameter, parameter } from "../../parameters";
import { registers } from "../../vcpu/registers";
import { KIND } from "../../x86/access";
import { allows, modeOf } from "../../x86/rights";
import { walked } from "./guest-walk";
import { rootFor } from "./roots";
import { childOf, ShadowPage, slotOf } from "./shadow-page";
import { deviceEntry, deviceFrame, isDeviceEntry, isLeaf, isPresent } from "./spte";
import { clearSlot } from "./zap";

/**
 * Device memory: an entry with a reserved bit makes each access exit, and says at the exit which frame it is, so that
 * the guest's tables need not be walked again. KVM: `mark_mmio_spte`, `handle_mmio_page_fault`.
 */

/** Installs the entry. A host with 52 address bits has no reserved bit: its entries stay empty. */
export function installDevice(page: ShadowPage, slot: u32, gfn: u64, access: u32): void {
  if (parameter(Parameter.hostAddressBits) === 52) return;
  clearSlot(page, slot);
  count(Counter.pf_mmio_spte_created);
  page.setSpte(slot, deviceEntry(gfn, access));
}

/** Whether `va` leads to such an entry that allows the access; leaves the guest-physical address in `walked`. */
export function knownDevice(va: u64, access: u32): bool {
  let page = rootFor(va);
  while (!page.isNone()) {
    const level = page.level();
    const spte = page.spte(slotOf(va, level));
    if (isPresent(spte) && !isLeaf(spte, level)) {
      page = childOf(spte);
      continue;
    }
    if (!isDeviceEntry(spte)) return false;
    const rights = <u32>(spte >> 1) & 3;
    if (!allows(rights, access & KIND, modeOf(access, registers.ac), registers.cr0, registers.cr4))
      return false;
    walked.address = (deviceFrame(spte) << 12) | (va & 0xfff);
    return true;
  }
  return false;
}
