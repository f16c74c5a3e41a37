/** What came of a translation that the hardware refused. */
export enum Resolution {
  /** The hypervisor repaired something: the access is made again. */
  retry,
  /** The guest takes the fault that `fault` describes. */
  guestFault,
  /** The hypervisor carried the access out itself, at `emulatedAddress`. */
  emulated,
  /** The outcome is left to whoever embeds the machine. */
  leave,
}

/** Guest-physical address of an access that the hypervisor carried out. */
export let emulatedAddress: u64 = 0;
export function setEmulatedAddress(gpa: u64): void {
  emulatedAddress = gpa;
}
