import type { ConfigRequest, Explanation, OpenOptions, Recorded, Result, TraceTotals } from "nestwalk";

/** A trace as the user gave it: a file dropped or chosen, or one of the recorded guests. */
export interface TraceFile {
  /** Named in messages and in the result. */
  name: string;
  bytes: Blob;
}

/** What a worker is asked to do. One worker does one thing and is then let go. */
export type Task =
  | { do: "look"; trace: TraceFile; open: OpenOptions }
  /** Reads the trace for the workers at the other ends of the ports. */
  | { do: "read"; trace: TraceFile; open: OpenOptions; ports: MessagePort[] }
  /** Replays the trace that comes through the port. */
  | ({ do: "replay"; port: MessagePort } & Omit<Replay, "trace" | "open">)
  | ({ do: "explain" } & Explain);

/** Accesses to be explained: the next ones from `at` on (counted from 1) that walk, fault or exit. */
export interface Explain {
  trace: TraceFile;
  open: OpenOptions;
  machine: ConfigRequest;
  at: number;
  next: "walk" | "fault" | "exit";
  /** Most that are wanted. */
  count: number;
}

/** A comparison. */
export interface Replay {
  trace: TraceFile;
  open: OpenOptions;
  /** One for each; they become configurations in the workers. */
  machines: ConfigRequest[];
  warmup: number;
  /** Accesses to an interval, "markers", or 0 for no intervals. */
  intervals: number | "markers";
  /** What the result says was asked for. */
  asked: Record<string, unknown>;
}

/** What can be said of a trace without replaying it. */
export interface Look {
  format: string;
  recorded: Recorded;
  /** Undefined where only reading it all would tell. */
  totals: TraceTotals | undefined;
}

export interface Advance {
  accesses: number;
  /** Share of the trace replayed, 0 to 1. */
  fraction: number | undefined;
}

export type Answer =
  | { is: "progress"; progress: Advance }
  | { is: "look"; look: Look }
  | { is: "result"; result: Result }
  | { is: "explanations"; explanations: Explanation[] }
  | { is: "content"; content: Blob }
  | { is: "failure"; name: string; message: string };

/** What a result can be taken away as. */
export type Kind = "html" | "json" | "csv" | "parquet" | "intervals.csv" | "intervals.parquet";

export interface Save {
  kind: Kind;
  result: Result;
}
