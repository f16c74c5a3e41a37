/** The paging registers, and what the CPU that has them supports. */
export interface Registers {
  cr0: bigint;
  cr3: bigint;
  cr4: bigint;
  efer: bigint;
  pkru: bigint;
  pkrs: bigint;
  /** EFLAGS.AC */
  ac: boolean;
  /** MAXPHYADDR as the guest sees it. */
  maxphyaddr: number;
  vendor: "intel" | "amd";
  /** PAE: the level-3 entries that MOV CR3 loaded. */
  pdptes?: readonly [bigint, bigint, bigint, bigint];
  /** 1 GiB pages; true when left out. */
  gbPages?: boolean;
  /** CS.L; true when left out. */
  codeLong?: boolean;
}

export interface Access {
  kind: "read" | "write" | "fetch";
  user: boolean;
  /** Made by the CPU itself: descriptor tables, TSS, exception delivery. */
  implicit: boolean;
  shadowStack?: boolean;
}

export interface Ept {
  kind: "ept";
  /** Address of the root table. */
  root: bigint;
  levels: 4 | 5;
  maxphyaddr: number;
  accessedDirty: boolean;
  executeOnly: boolean;
  /** Mode-based execute control. */
  mbec: boolean;
  /** Bits 11:9 of exit qualifications. */
  advancedInformation?: boolean;
  /** Page-modification logging. */
  pml?: boolean;
}

export interface Npt {
  kind: "npt";
  /** nCR3 */
  root: bigint;
  levels: 3 | 4 | 5;
  maxphyaddr: number;
  hostEfer: bigint;
  hostCr4: bigint;
}

export type Stage2 = { kind: "none" } | Ept | Npt;

export type Outcome = { references: number } & (
  | { ok: true; hpa: bigint; gpa: bigint }
  | { ok: false; fault: "PF"; errorCode: number; cr2: bigint }
  | { ok: false; fault: "GP" }
  | { ok: false; fault: "VE" }
  | { ok: false; exit: "EPT_VIOLATION"; qualification: number; gpa: bigint; gla?: bigint }
  | { ok: false; exit: "EPT_MISCONFIG"; gpa: bigint }
  | { ok: false; exit: "NPF"; exitinfo1: bigint; gpa: bigint }
  | { ok: false; exit: "PML_FULL" }
);

/** How an instruction that steers paging ended. */
export type Ended =
  | "ok"
  | "GP"
  | "VMfail"
  | { exit: "EPT_VIOLATION"; qualification: number; gpa: bigint }
  | { exit: "EPT_MISCONFIG"; gpa: bigint }
  | { exit: "NPF"; exitinfo1: bigint; gpa: bigint }
  | { exit: "PML_FULL" };
