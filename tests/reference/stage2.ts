import type { PhysicalMemory } from "./memory.js";
import type { Reference, Stage1Rights, Stage2Rights } from "./outcome.js";

export interface Ept {
  kind: "ept";
  /** EPTP; only the address bits are used. */
  root: bigint;
  levels: 4 | 5;
  maxphyaddr: number;
  /** EPTP bit 6 */
  accessedDirty: boolean;
  /** IA32_VMX_EPT_VPID_CAP bit 0 */
  executeOnly: boolean;
  /** Mode-based execute control for EPT */
  mbec: boolean;
  /** IA32_VMX_EPT_VPID_CAP bit 22: qualification bits 11:9 are reported. False when left out. */
  advancedInformation?: boolean;
  /** IA32_VMX_EPT_VPID_CAP bit 17. True when left out. */
  gbPages?: boolean;
}

export interface Npt {
  kind: "npt";
  /** nCR3 */
  root: bigint;
  /** 3: a host in PAE mode. */
  levels: 3 | 4 | 5;
  maxphyaddr: number;
  hostEfer: bigint;
  hostCr4: bigint;
  gbPages?: boolean;
}

export type Stage2 = { kind: "none" } | Ept | Npt;

export interface Options {
  /** When A is set in non-leaf entries: after a whole successful walk, or level by level on the way. */
  nonleafAccessed: "all-or-nothing" | "eager";
}

export interface WalkState {
  memory: PhysicalMemory;
  stage2: Stage2;
  eager: boolean;
  references: Reference[];
}

export type Stage2Request =
  | { purpose: "table"; guestLevel: number; gva: bigint }
  | { purpose: "pdpte-load" }
  | {
      purpose: "final";
      kind: "read" | "write" | "fetch";
      shadowStack: boolean;
      gva: bigint;
      page: Stage1Rights;
    };

export interface Stage2Translation {
  ok: true;
  hpa: bigint;
  /** Infinity without a second stage. */
  pageSize: number;
  rights: Stage2Rights;
}

export const ALL_RIGHTS: Stage2Rights = { read: true, write: true, execute: true, userExecute: true };

export function guestLevelOf(request: Stage2Request): number {
  if (request.purpose === "table") return request.guestLevel;
  return request.purpose === "pdpte-load" ? 3 : 0;
}
