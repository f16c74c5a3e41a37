import { guestPsc } from "../../mmu/psc";
import { retag, setHardware, setVirtualTags } from "../../mmu/tags";
import { Parameter, parameter } from "../../parameters";
import { guest, isPaging, registers, selectMode } from "../../vcpu/registers";
import { Dimension, SECOND_BACKING, SECOND_NONE } from "../../walk/dimension";
import { Controls } from "../../walk/translate";
import {
  CR0_PG,
  CR0_WP,
  CR4_PAE,
  CR4_PCIDE,
  CR4_PGE,
  CR4_PKE,
  CR4_PKS,
  CR4_SMAP,
  CR4_SMEP,
  EFER_NXE,
} from "../../x86/control";
import { longFormat, paeFormat } from "../../x86/format";
import { latchRole } from "./role";

/** The tables that the hardware walks in place of the guest's. */
export const shadow = new Dimension();
/** The registers as the hardware has them. */
const controls = new Controls();

/** The guest's bits that the hardware follows; what they would make of the guest's own tables, the sptes hold. */
const FOLLOWED: u64 = CR4_SMEP | CR4_SMAP | CR4_PKE | CR4_PKS | CR4_PCIDE | CR4_PGE;

export function configureHardware(): void {
  guest.second = SECOND_BACKING;
  guest.psc = null;
  shadow.second = SECOND_NONE;
  shadow.psc = guestPsc;
  setHardware(shadow, controls);
  setVirtualTags(1, 0);
  followGuest();
}

/**
 * Takes over a change of the guest's control registers. CR0.WP and EFER.NXE are always on, or the sptes could not hold
 * what they hold; without paging the guest has no user pages to protect. KVM: `svm_set_cr0`, `svm_set_cr4`, `svm_set_efer`.
 */
export function followGuest(): void {
  selectMode();
  latchRole();
  const paging = isPaging();
  controls.cr0 = registers.cr0 | CR0_WP | CR0_PG;
  controls.cr4 = (registers.cr4 & ~FOLLOWED) | (paging ? registers.cr4 & FOLLOWED : 0) | CR4_PAE;
  controls.efer = registers.efer | EFER_NXE;
  controls.pkru = registers.pkru;
  controls.pkrs = registers.pkrs;
  controls.ac = registers.ac;
  const width = parameter(Parameter.hostAddressBits);
  if (guest.format.levels < 4) paeFormat(shadow.format, width, true, true);
  else longFormat(shadow.format, guest.format.levels, width, true, true, parameter(Parameter.vendor) !== 0);
  retag();
}
