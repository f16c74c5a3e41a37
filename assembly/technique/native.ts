import { guestPsc } from "../mmu/psc";
import { setHardware, setVirtualTags } from "../mmu/tags";
import { guest, registers } from "../vcpu/registers";
import { SECOND_NONE } from "../walk/dimension";

/** No hypervisor: the hardware walks the guest's tables, and the guest's frames are the machine's. */
export function startNative(): void {
  guest.second = SECOND_NONE;
  guest.psc = guestPsc;
  setHardware(guest, registers);
  setVirtualTags(0, 0);
}
