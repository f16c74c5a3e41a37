import type { PageSizes, Placement } from "./importers/pages.js";
import type { FetchMode } from "./records.js";

/** What a trace says of its own origin. Every part is optional; unknown keys are kept. */
export interface Recorded {
  /** Operating system of the guest. */
  guest?: string;
  program?: string;
  kernel?: string;
  recorder?: string;
  /** The command line that records it again. */
  command?: string;
  cpu?: string;
  /** How the guest chooses page sizes. */
  pageSizePolicy?: string;
  /** Guest RAM in MiB. */
  ramMiB?: number;
  /** What a whole-guest recording would have and this one has not. */
  missing?: string[];
  notes?: string[];
  /** Control registers at the start as "0x..." strings. Hints: the records say the same with authority. */
  registers?: Record<string, string>;
  /** The header of the format it was converted from, as it was. */
  source?: { format: string; header: unknown };
  /** False when the trace holds no page tables: a stand-in for the kernel must make them. */
  tables?: boolean;
  /** What the addresses are. Absent with page tables: virtual. */
  addresses?: "virtual" | "guest-physical";
  /** Without page tables: the page sizes of the guest, one for all or by range. */
  pageSizes?: PageSizes;
  /** Without page tables: where pages lay. */
  placement?: Placement;
  [key: string]: unknown;
}

export interface TraceTotals {
  /** Records of every kind. */
  events: number;
  fetches: number;
  reads: number;
  writes: number;
  /** Bytes of the record stream. */
  streamBytes: number;
}

export interface TraceHeader {
  /** Of the format, where its files have one. */
  version?: number | undefined;
  fetch: FetchMode;
  recorded: Recorded;
  /** Known in advance only where the file can be read at its end. */
  totals?: TraceTotals;
}

/** Where a truncated trace ends. */
export interface Truncation {
  /** Size in bytes of what there is of the file. */
  offset: number;
  /** Whole events before the cut. */
  events: number;
}

/** A trace that can be read, whatever its file format. */
export interface TraceSource {
  readonly format: "nwt" | "pgrec1" | (string & {});
  /** Name of the file, for messages. */
  readonly name: string;
  readonly header: TraceHeader;
  /**
   * Consecutive slices of the record stream, from the start. Throws TraceError at the first fault, after everything
   * before it. May be called again unless the bytes came from a pipe.
   */
  records(): AsyncIterable<Uint8Array>;
  /**
   * SHA-256 of the record stream, in hexadecimal, once records() has come to its end: for formats that hash it to verify
   * it, so that nobody else has to.
   */
  hashedStream?(): string;
  /** Part of the file that records() has read so far, 0 to 1, where the header has no totals to tell it by. */
  readShare?(): number | undefined;
  /** Set once records() has ended early on a truncated file that was allowed to be. */
  readonly truncated: Truncation | undefined;
  /**
   * SHA-256 of the file as stored, in hexadecimal. Reads the file for it, or, for a pipe, waits until records() has
   * come to the end.
   */
  sha256(): Promise<string>;
}

/** How much of a trace has been read after so many accesses, 0 to 1, where that is known. */
export function shareRead(trace: TraceSource, accesses: number): number | undefined {
  const { totals } = trace.header;
  if (totals === undefined) return trace.readShare?.();
  const all = totals.fetches + totals.reads + totals.writes;
  return all === 0 ? undefined : accesses / all;
}

export interface OpenOptions {
  /** Read a truncated file as far as it is whole, instead of failing at its end. */
  allowTruncated?: boolean;
  /** The format, in place of what the content shows: one of `traceFormats`. */
  from?: string;
  /** The columns of a plain text trace, such as "hex,kind,size". */
  columns?: string;
  /** What the addresses of a trace without page tables are, where the format leaves it open. */
  addresses?: "virtual" | "physical";
  /** Page sizes for a trace without page tables (parsePageSizes). */
  pageSizes?: PageSizes;
  /** Where the pages of a trace without page tables lay (parseV2p). */
  placement?: Placement;
}
