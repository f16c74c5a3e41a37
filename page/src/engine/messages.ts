import type {
  Task as Comparison,
  Explanation,
  MachineConfig,
  OpenOptions,
  OptionName,
  Recorded,
  ReplayPlan,
  ReplayRequest,
  Result,
  TraceTotals,
  VaryResult,
} from "nestwalk";

/** A file that the user gave. */
export interface NamedFile {
  /** Named in messages and in the result. */
  name: string;
  bytes: Blob;
}

/** A trace: a file dropped or chosen, one of the recorded guests, or, without bytes, one that is computed as its name says. */
export interface TraceFile {
  name: string;
  bytes?: Blob;
}

/** How a trace is to be read, as `OpenOptions` has it, with maps as the files that hold them. */
export interface Opening extends Pick<OpenOptions, "from" | "columns" | "addresses" | "allowTruncated"> {
  pageSizes?: NamedFile;
  v2p?: NamedFile;
}

/** What the options that sentences may name are called where the workers' sentences are shown. */
export type Labels = Record<OptionName, string>;

/** What a worker is asked to do, one thing after the other. */
export type Task =
  | { do: "look"; trace: TraceFile; open: Opening }
  | { do: "plan"; request: ReplayRequest; trace: string }
  /** Reads the trace for the workers at the other ends of the ports. */
  | { do: "read"; trace: TraceFile; open: Opening; ports: MessagePort[] }
  /** Replays the trace that comes through the port. */
  | { do: "replay"; port: MessagePort; comparison: Comparison }
  | ({ do: "explain" } & Explain);

/** Accesses to be explained: the next ones from `at` on (counted from 1) that walk, fault or exit. */
export interface Explain {
  trace: TraceFile;
  open: Opening;
  machine: MachineConfig;
  at: number;
  next: "walk" | "fault" | "exit";
  /** Most that are wanted. */
  count: number;
}

/** Comparisons of one trace, or of traces that are computed. */
export interface Replay {
  trace: TraceFile;
  open: Opening;
  tasks: readonly Comparison[];
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
  | { is: "plan"; plan: ReplayPlan }
  | { is: "read" }
  | { is: "result"; result: Result }
  | { is: "explanations"; explanations: Explanation[] }
  | { is: "content"; content: Blob }
  | { is: "failure"; name: string; message: string };

/** What a result can be taken away as. */
export type Kind = "html" | "json" | "csv" | "parquet" | "intervals.csv" | "intervals.parquet";

export interface Save {
  kind: Kind;
  result: Result | VaryResult;
}
