/**
 * Why physical memory is read or written, for the host whose memory it is: what in bits 4 to 7, the level of the entry
 * in bits 0 to 2; of a second-stage entry, bits 8 to 10 hold the level of the guest table that is being translated, 0
 * for the final address.
 */
export enum Reason {
  /** An entry of the guest's own tables. */
  guestEntry = 16,
  /** An entry of EPT or of nested page tables. */
  secondEntry = 32,
  /** A PAE level-3 entry that a MOV to a control register loads. */
  pdpte = 48,
  /** The page-modification log. */
  log = 64,
  /** The #VE information area. */
  virtualizationArea = 80,
  /** The model's own hypervisor, in software. */
  hypervisor = 96,
  /** The host itself, through this interface. */
  host = 112,
}

export let reason: u32 = Reason.host;
export function setReason(value: u32): void {
  reason = value;
}
