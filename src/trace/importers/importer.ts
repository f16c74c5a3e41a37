import type { RecordEncoder } from "../encode.js";
import type { FetchMode } from "../records.js";
import type { Recorded } from "../source.js";
import type { Columns } from "./columns.js";
import type { RecordOut } from "./out.js";

/** What the addresses of a trace are. */
export type Addresses = "virtual" | "guest-physical";

/** What the user says of a file that the file itself does not. */
export interface ImportHints {
  /** The name of the file, for messages. */
  name: string;
  columns?: Columns | undefined;
  addresses?: Addresses | undefined;
}

/** A foreign trace format. */
export interface Importer {
  /** As `--from` and results name it. */
  readonly format: string;
  /** With its article, as a message calls it. */
  readonly title: string;
  /** How a user knows it, in a few words or by a line of it. */
  readonly looks: string;
  /**
   * How surely a file that begins with `head` is of this format: 0 not, 1 certain. `whole` says that `head` is all there
   * is. Two formats that are about as sure leave the choice to the user.
   */
  probe(head: Uint8Array, whole: boolean): number;
  /** Looks at the head once more. Throws TraceError for a version or kind that cannot be imported. */
  open(head: Uint8Array, hints: ImportHints): Import;
}

export interface Import {
  recorded: Recorded;
  /** Of the format, where its files say one. */
  version?: number;
  /** "insn" unless said. */
  fetch?: FetchMode;
  /** Starts a pass over the content. */
  start(out: RecordOut): Decoder;
}

/** Turns the content of a file, in slices of any size, into records. Throws TraceError where it makes no sense. */
export interface Decoder {
  push(bytes: Uint8Array): void;
  /** The content ends here. Throws TraceError ("truncated") inside a record. */
  end(): void;
  /** Where the records are, when not in what `start` was given. */
  readonly encoder?: RecordEncoder;
}

/** What every recording of addresses alone lacks; in user space the kernel's part, too. */
const MISSING = ["page tables", "control registers", "true translations"];
export const USER_MISSING = ["kernel accesses", ...MISSING];

/** What a trace without page tables says of itself. */
export function withoutTables(recorder: string, addresses: Addresses, more: Recorded = {}): Recorded {
  return {
    recorder,
    ...more,
    tables: false,
    addresses,
    pageSizes: more.pageSizes ?? "4k",
    missing: [...(addresses === "virtual" ? USER_MISSING : MISSING), ...(more.missing ?? [])],
  };
}
