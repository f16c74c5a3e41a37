/** What is wrong with a trace: it ends too early, its bytes are damaged, it is not a trace, or it needs a newer reader. */
export type TraceErrorKind = "truncated" | "corrupt" | "unrecognised" | "unsupported" | "unreadable";

export interface TraceErrorDetail {
  kind: TraceErrorKind;
  /** Byte offset in the file; for truncation, where the file ends. */
  offset?: number | undefined;
  /** Whole, good events before the fault, when known. */
  events?: number | undefined;
}

/** A trace that cannot be used. `message` is one sentence: what, where, and what to do about it. */
export class TraceError extends Error {
  override readonly name = "TraceError";
  readonly kind: TraceErrorKind;
  /** Byte offset in the file; `undefined` when the fault has no place. */
  readonly offset: number | undefined;
  /** Whole, good events before the fault; `undefined` when unknown. */
  readonly events: number | undefined;

  constructor(message: string, detail: TraceErrorDetail) {
    super(message);
    this.kind = detail.kind;
    this.offset = detail.offset;
    this.events = detail.events;
  }
}

/** "1 event", "2 events". */
export function countOf(n: number, what: string): string {
  return `${n} ${what}${n === 1 ? "" : "s"}`;
}
