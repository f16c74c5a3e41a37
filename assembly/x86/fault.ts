/** #PF error-code bits. SDM 3A 4.7. */
export const PF_PRESENT: u64 = 1;
export const PF_WRITE: u64 = 2;
export const PF_USER: u64 = 4;
export const PF_RESERVED: u64 = 8;
export const PF_FETCH: u64 = 16;
export const PF_KEY: u64 = 32;
export const PF_SHADOW_STACK: u64 = 64;

/** EXITINFO1 of a nested page fault. APM 2 15.25.6. */
export const NPF_FINAL: u64 = 1 << 32;
export const NPF_TABLE: u64 = 1 << 33;

/** How a translation ended. */
export enum Outcome {
  ok,
  /** #PF: `errorCode`, `address` (CR2). */
  pageFault,
  /** #GP(0): a non-canonical address. */
  generalProtection,
  /** Exit: EPT violation, `qualification`, `guestPhysical`. */
  eptViolation,
  /** Exit: EPT misconfiguration, `guestPhysical`. */
  eptMisconfig,
  /** Exit: nested page fault, `qualification` is EXITINFO1, `guestPhysical` EXITINFO2. */
  nestedPageFault,
  /** Exit: page-modification log full. */
  pmlFull,
  /** #VE: an EPT violation that the guest takes itself; what it is about lies in the information area. */
  virtualizationException,
  /** VMfailValid(28): an invalid operand of INVEPT or INVVPID, or an invalid EPTP at VM entry. */
  vmFail,
  /** The hypervisor carries the access out itself. */
  emulated,
  /** A host whose memory the tables are in refused to exchange an entry again and again. */
  contended,
}

/** What the last refused translation reported. */
export class Fault {
  errorCode: u64 = 0;
  /** The linear address: CR2, or the guest-linear address of an exit. */
  address: u64 = 0;
  qualification: u64 = 0;
  guestPhysical: u64 = 0;
  /** An EPT violation: bit 63 of the entry that stopped the walk forbids to make it a #VE. SDM 3C 25.5.7.1. */
  suppressVe: bool = false;
}

export const fault = new Fault();
