/** "0x" and hexadecimal digits. */
export type Hex = string;
export type PageSizeName = "4k" | "2m" | "1g" | "4m" | "16k";
export type AccessKind = "read" | "write" | "fetch";

/** Whose tables an entry lies in: the guest's, the second stage's, or the hypervisor's of shadow paging. */
export type Tables = "guest" | "host" | "shadow";
export type Lookup = "hit" | "miss" | "refused";
/** What served a reference: a data cache, memory, the cache of entries, or a flat cost without caches. */
export type Source = "L1D" | "L2" | "L3" | "memory" | "entryCache" | "flat";

export interface Bit {
  name: string;
  set: boolean;
  meaning: string;
}

/** An entry as a person reads it. */
export interface Decoded {
  type: "table" | "leaf" | "notPresent" | "reserved" | "misconfigured";
  /** Address of the next table or of the page; absent where the entry is not present. */
  frame?: Hex;
  /** Of a leaf. */
  size?: PageSizeName;
  bits: Bit[];
  /** Names of the bits that are set. */
  text: string;
  /** Protection key of a leaf. */
  key?: number;
  /** Of an EPT leaf. */
  memoryType?: string;
  /** Reserved bits that are set. */
  reserved?: Hex;
}

interface Numbered {
  /** Its place in `Explanation.steps`, from 0. */
  step: number;
  /** The walk that it belongs to, in `Explanation.walks`; null outside of one. */
  walk: number | null;
  /** Core cycles that it adds. */
  cycles: number;
}

/** A TLB was looked up. */
export interface TlbStep extends Numbered {
  kind: "tlb";
  structure: string;
  /** "refused": an entry was there that does not allow the access. */
  result: Lookup;
  /** Of the entry, where one was there: host-physical address of the page, its size, and its rights. */
  address?: Hex;
  size?: PageSizeName;
  rights?: string;
}

export interface WalkStep extends Numbered {
  kind: "walk";
  /** 1, and more where the hypervisor repaired what stopped the walk before. */
  attempt: number;
}

/** A paging-structure cache was looked up. */
export interface PscStep extends Numbered {
  kind: "psc";
  structure: string;
  name: string;
  tables: Tables;
  guestLevel: number;
  hostLevel: number;
  result: Lookup;
  /** Of the table, or the page, that the entry leads to. */
  address?: Hex;
}

export interface NestedTlbStep extends Numbered {
  kind: "nestedTlb";
  guestLevel: number;
  gpa: Hex;
  result: Lookup;
  address?: Hex;
  size?: PageSizeName;
}

/** An entry of a table is read by the hardware's walk, or by the hypervisor's software. */
export interface ReferenceStep extends Numbered {
  kind: "reference" | "softwareReference";
  /** Its place among the references of the walk, from 1. */
  order: number;
  /** 1 for the guest's tables, and the shadow ones in their place; 2 for the second stage. */
  stage: 1 | 2;
  tables: Tables;
  /** Row of the grid: the level of the guest's table; 0 is the final address. */
  guestLevel: number;
  /** Column: the level in the second stage; 0 is the guest's entry itself. */
  hostLevel: number;
  name: string;
  /** Index of the entry in its table. */
  index: number;
  /** In the address space of its tables: guest-physical for the guest's. */
  address: Hex;
  hostAddress: Hex;
  value: Hex;
  decoded: Decoded;
  source: Source;
}

/** A PAE level-3 entry that the CPU has in a register: no reference. */
export interface RegisterStep extends Numbered {
  kind: "register";
  tables: Tables;
  name: string;
  value: Hex;
  decoded: Decoded;
}

export interface FlagsStep extends Numbered {
  kind: "flags";
  tables: Tables;
  guestLevel: number;
  hostLevel: number;
  name: string;
  address: Hex;
  set: ("A" | "D")[];
  /** Of the entry, afterwards. */
  value: Hex;
}

export interface RefusalStep extends Numbered {
  kind: "refusal";
  check: Check;
  tables: Tables;
  guestLevel: number;
  hostLevel: number;
  /** The step that read the entry at fault; null where no entry is. */
  entry: number | null;
  text: string;
}

export interface WalkEndStep extends Numbered {
  kind: "walkEnd";
  outcome: OutcomeKind;
  references: number;
}

/** A cache took an entry. */
export interface FillStep extends Numbered {
  kind: "fill";
  structure: string;
  name: string;
  /** Linear, or guest-physical for what serves the second stage. */
  address: Hex;
  size?: PageSizeName;
}

export interface ExitStep extends Numbered {
  kind: "exit";
  reason: string;
}

/** What came of a walk that the hardware refused. */
export interface ResolutionStep extends Numbered {
  kind: "resolution";
  result: "retry" | "guestFault" | "emulated" | "left";
  text: string;
}

/** The access is translated. */
export interface DoneStep extends Numbered {
  kind: "done";
  hpa: Hex | null;
}

export type Step =
  | TlbStep
  | WalkStep
  | PscStep
  | NestedTlbStep
  | ReferenceStep
  | RegisterStep
  | FlagsStep
  | RefusalStep
  | WalkEndStep
  | FillStep
  | ExitStep
  | ResolutionStep
  | DoneStep;

/** The check that an access failed. */
export type Check =
  | "canonical"
  | "notPresent"
  | "reserved"
  | "rights"
  | "memoryType"
  | "user"
  | "write"
  | "execute"
  | "read"
  | "smep"
  | "smap"
  | "key"
  | "shadowStack"
  | "flags"
  | "log";

export type OutcomeKind =
  | "translated"
  | "emulated"
  | "pageFault"
  | "generalProtection"
  | "eptViolation"
  | "eptMisconfig"
  | "nestedPageFault"
  | "pmlFull"
  /** A host that the core is embedded in changed an entry again and again. */
  | "contended";

/** A word of bits that is reported, spelled out. */
export interface Reported {
  value: Hex;
  bits: Bit[];
}

export interface Outcome {
  kind: OutcomeKind;
  /** One sentence. */
  text: string;
  check?: Check;
  /** The step that read the entry at fault. */
  entry?: number | null;
  /** Of a page fault. */
  errorCode?: Reported;
  /** Of an EPT violation; EXITINFO1 of a nested page fault. */
  qualification?: Reported;
  /** The linear and the guest-physical address that are reported. */
  gva?: Hex;
  gpa?: Hex;
}

export interface Translation {
  gva: Hex;
  /** Null where it is not known. */
  gpa: Hex | null;
  /** Null where the hypervisor carried the access out. */
  hpa: Hex | null;
  /** Page of the tables that stage 1 went through. */
  guestSize: PageSizeName;
  /** Page of the second stage; null without one, or where a TLB hit does not show it. */
  hostSize: PageSizeName | null;
  /** What a TLB entry translates: the smaller of both, or a group of pages. */
  effectiveSize: PageSizeName;
  rights: { write: boolean; user: boolean; execute: boolean };
  dirty: boolean;
  global: boolean;
  key: number;
}

/** One access to one page. */
export interface AccessView {
  va: Hex;
  kind: AccessKind;
  user: boolean;
  /** EFLAGS.AC lifts SMAP. */
  ac: boolean;
  /** Made by the CPU itself. */
  implicit: boolean;
  shadowStack: boolean;
  firstStep: number;
  lastStep: number;
  outcome: Outcome;
  translation?: Translation;
  /** Under shadow paging: the tables as the access met them. */
  shadow?: ShadowRow[];
}

export interface GridCell {
  hostLevel: number;
  /** "EPT PDE", or the guest's entry. */
  name: string;
  /** The step that read it, and which reference of the walk that was. */
  step?: number;
  order?: number;
  /** Why it was not read: "PDE cache", "nested TLB", "2m page", "PDPTE register", "not reached". */
  skippedBy?: string;
}

export interface GridRow {
  guestLevel: number;
  /** "PDPTE"; the final address is "page". */
  name: string;
  /** The highest host level first, the guest's entry (host level 0) last; without a second stage that alone. */
  cells: GridCell[];
}

/** A walk of the hardware. */
export interface WalkView {
  attempt: number;
  firstStep: number;
  lastStep: number;
  references: number;
  /** Of the whole walk: its references and what the walker takes itself. */
  cycles: number;
  outcome: OutcomeKind;
  /** The top level first, the final address last where there is a second stage. */
  grid: GridRow[];
}

export interface ShadowEntry {
  address: Hex;
  value: Hex;
  decoded: Decoded;
}

/** The guest's entry of a level, and the hypervisor's in its place. Null where the walk of the tables does not come so far. */
export interface ShadowRow {
  level: number;
  name: string;
  guest: ShadowEntry | null;
  shadow: ShadowEntry | null;
  /** The shadow page: in sync with the guest's table, possibly behind it, or mapping a range without a table. */
  page: "in sync" | "out of sync" | "direct" | null;
  /** Whether pages below it are out of sync. */
  childrenOutOfSync: boolean;
}

/** The paging state that the access met. */
export interface State {
  technique: "native" | "nested" | "shadow";
  format: "ept" | "npt" | null;
  paging: "off" | "32-bit" | "PAE" | "4-level" | "5-level";
  guestLevels: number;
  /** 0 without a second stage. */
  hostLevels: number;
  cr0: Hex;
  cr3: Hex;
  cr4: Hex;
  efer: Hex;
  pkru: Hex;
  pkrs: Hex;
  ac: boolean;
  cpl: number;
  vpid: number;
  pcid: number;
  /** Root of the second stage. */
  secondRoot: Hex | null;
  /** Root of the tables that the hardware walks in place of the guest's. */
  shadowRoot: Hex | null;
}

export interface Totals {
  /** Page-table entries read by hardware walks. */
  references: number;
  walks: number;
  exits: number;
  cycles: { tlb: number; walk: number; exit: number; data: number };
}

export interface Place {
  /** Accesses replayed, this one included. */
  access: number;
  /** The record, counted from 0 as in messages. */
  event: number;
  /** Whether the record is an access; a page fault, for one, makes the access that caused it again and is none. */
  isAccess: boolean;
}

export const EXPLANATION_SCHEMA = 1;

/** What an access did, or would do, step by step. */
export interface Explanation {
  schema: typeof EXPLANATION_SCHEMA;
  /** What happened, or what would happen, without effect. */
  what: "replayed" | "probe";
  /** A probe as if TLBs, paging-structure caches and the nested TLB were empty. */
  cold?: true;
  /** The place in a trace; null without one. */
  at: Place | null;
  state: State;
  /** The access that was asked for comes first; one that crosses a page, and what a kernel played for it, follow. */
  accesses: AccessView[];
  steps: Step[];
  walks: WalkView[];
  totals: Totals;
}
