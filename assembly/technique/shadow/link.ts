import { requestFlush } from "../../hypervisor/flush";
import { listAdd } from "./list";
import { dropLeaf } from "./rmap";
import { placeOf, ShadowPage } from "./shadow-page";
import { isPresent, tableEntry } from "./spte";
import { markSlot } from "./unsync";

/** Links `child` below `page`, over a large leaf if there is one, and returns it. KVM: `__link_shadow_page`. */
export function descend(page: ShadowPage, slot: u32, child: ShadowPage): ShadowPage {
  if (isPresent(page.spte(slot))) {
    dropLeaf(page, slot);
    requestFlush();
  }
  page.setSpte(slot, tableEntry(child.frame));
  child.parents = listAdd(child.parents, placeOf(page, slot));
  if (child.unsync || child.unsyncChildren !== 0) markSlot(page, slot);
  return child;
}
