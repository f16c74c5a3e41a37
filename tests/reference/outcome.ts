/** One table entry read. guestLevel 0: for the final gpa; hostLevel 0: a guest (or native) entry. */
export interface Reference {
  guestLevel: number;
  hostLevel: number;
  hpa: bigint;
  kind: "guest" | "host";
}

export interface Stage1Rights {
  user: boolean;
  write: boolean;
  execute: boolean;
  /** CR4.CET=1, and R/W=1 in all entries but the leaf, which has R/W=0 and D=1. */
  shadowStack: boolean;
  /** Bits 62:59 of the leaf; 0 outside 4- and 5-level paging. */
  protectionKey: number;
}

export interface Stage2Rights {
  read: boolean;
  write: boolean;
  /** EPT bit 2: every fetch, or the supervisor-mode ones under mode-based execute control. */
  execute: boolean;
  /** EPT bit 10 under mode-based execute control; otherwise as execute. */
  userExecute: boolean;
}

export interface Translated {
  ok: true;
  hpa: bigint;
  gpa: bigint;
  /** 0 with paging off. */
  stage1PageSize: number;
  /** The smaller of both stages: what one TLB entry may cover. */
  pageSize: number;
  rights: Stage1Rights;
  stage2Rights: Stage2Rights;
}

export interface PageFault {
  ok: false;
  fault: "PF";
  errorCode: number;
  cr2: bigint;
}

export interface GeneralProtection {
  ok: false;
  fault: "GP";
}

export interface EptViolation {
  ok: false;
  exit: "EPT_VIOLATION";
  qualification: number;
  gpa: bigint;
  /** Left out when qualification bit 7 is 0. */
  gla?: bigint;
}

export interface EptMisconfiguration {
  ok: false;
  exit: "EPT_MISCONFIG";
  gpa: bigint;
}

export interface NestedPageFault {
  ok: false;
  exit: "NPF";
  exitinfo1: bigint;
  /** EXITINFO2 */
  gpa: bigint;
}

export type Exit = EptViolation | EptMisconfiguration | NestedPageFault;
export type Fault = PageFault | GeneralProtection;
export type Outcome = (Translated | Fault | Exit) & { references: Reference[] };
