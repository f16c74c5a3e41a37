import type { MachineConfig } from "./config/index.js";
import type { Intervals } from "./intervals.js";
import type { Recorded } from "./trace/source.js";

/** Version of the result's shape; it grows only when a key changes its meaning or goes away. */
export const RESULT_SCHEMA = 1;

export interface ExitCount {
  reason: string;
  count: number;
  /** Core cycles: hardware round trips and handlers. */
  cycles: number;
}

/** Core cycles; the parts sum to the total. */
export interface Cycles {
  total: number;
  issue: number;
  tlb: number;
  walk: number;
  walkerQueue: number;
  data: number;
  exitHardware: number;
  exitHandler: number;
  /** The stand-in kernel's own code, where one was played. */
  kernel?: number;
}

/** A conservation law, checked on every run. */
export interface Law {
  name: string;
  holds: boolean;
  /** The figures compared. */
  detail: string;
}

export interface Oracle {
  /** Accesses compared with the recorded true mapping. */
  checked: number;
  /** Accesses for which the trace holds no true mapping. */
  unknown: number;
  mismatches: number;
  /** The first mismatch in one sentence. */
  first?: string;
}

export interface StructureCounts {
  lookups: number;
  hits4k: number;
  hits2m: number;
  hits1g: number;
  misses: number;
  fills: number;
  evictions: number;
}

/**
 * What became of the hypervisor's shadow pages, each figure by level: `1` shadows the guest's lowest tables, and `1d` is a
 * direct page, which maps a range instead (a large page of the guest, or a second stage built of such pages).
 */
export interface ShadowPages {
  created: Record<string, number>;
  /** Found in the cache when a table above was linked or a root loaded. */
  reused: Record<string, number>;
  /** Taken out of use; a root that was in use counts again when it is released. */
  zapped: Record<string, number>;
  unsynced: Record<string, number>;
  synced: Record<string, number>;
}

export interface MachineResult {
  technique: MachineConfig["technique"];
  format: "ept" | "npt" | null;
  config: MachineConfig;
  counters: Record<string, number>;
  /** Page-table references by guest level (row, 0 is the final address) and host level (column, 0 is the guest entry). */
  references: number[][];
  /** Hardware walks by the number of references they made. */
  walkLengths: number[];
  structures: Record<string, StructureCounts>;
  exits: ExitCount[];
  /** Of shadow paging, and of nested paging, whose pages are all direct. */
  shadowPages?: ShadowPages;
  cycles: Cycles;
  /** The figures by interval, where they were asked for. */
  intervals?: Intervals;
  laws: Law[];
  oracle: Oracle;
  /** What the guest could see: every access's page, every fault, the tables at the end. Sixteen hexadecimal digits. */
  guestDigest: string;
}

export interface TraceDescription {
  file: string;
  /** SHA-256 of the file, hexadecimal. */
  sha256: string;
  /** SHA-256 of the record stream: the same for the same recording in any container. */
  streamSha256: string;
  format: string;
  accesses: number;
  events: number;
  /** Accesses at the start that were replayed and not counted. */
  warmup?: number;
  recorded: Recorded;
  /** What the stand-in kernel played, for a trace without page tables. */
  played?: Played;
  /** Present when a truncated file was replayed as far as it is whole. */
  truncated?: { offset: number; events: number };
}

/** The guest's kernel was not recorded but played: how, and what it did. Equal in all machines. */
export interface Played {
  /** One sentence. */
  what: string;
  /** Its keys of the configuration. */
  policy: MachineConfig["kernel"];
  ramMiB: number;
  processes: number;
  switches: number;
  pageFaults: number;
  pages4k: number;
  pages2m: number;
  /** Pages of 2 MiB that were wanted, and no frames were there. */
  hugeFallbacks: number;
  tablePages: number;
  tableWrites: number;
  /** Reads and writes of its own. */
  accesses: number;
}

export interface Result {
  schema: typeof RESULT_SCHEMA;
  /** Version of nestwalk. */
  nestwalk: string;
  trace: TraceDescription;
  /** What was asked for, as the command had it. */
  config: Record<string, unknown>;
  machines: MachineResult[];
  /** Laws across the machines. */
  laws: Law[];
}
