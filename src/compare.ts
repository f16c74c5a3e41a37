import { type MachineConfig, withRecordedMemory } from "./config/index.js";
import type { CoreBuild } from "./core.js";
import { version } from "./generated/version.js";
import { comparisonLaws } from "./laws.js";
import { Machine } from "./machine.js";
import { playedBy, withKernel } from "./played.js";
import { ReplayError } from "./replay-error.js";
import { type MachineResult, RESULT_SCHEMA, type Result, type TraceDescription } from "./result.js";
import { toHex } from "./trace/bytes.js";
import { sha256 } from "./trace/platform.js";
import { type Recorded, shareRead, type TraceSource } from "./trace/source.js";

export interface Progress {
  /** Share of the trace replayed, where its length is known. */
  fraction: number | undefined;
  /** Accesses replayed by each machine. */
  accesses: number;
}

export interface CompareOptions {
  core?: CoreBuild | WebAssembly.Module;
  /** Accesses at the start that are replayed and not counted; more than the trace has are an error. */
  warmup?: number;
  /** Accesses to an interval, from 1, by which the figures are given too; or "markers": each marker of the trace ends one. */
  intervals?: number | "markers" | undefined;
  /** What to put into the result as `config`. */
  asked?: Record<string, unknown>;
  onProgress?: (progress: Progress) => void;
}

/** The machine of a configuration, set up for what a trace's header says. */
export function machineFor(
  recorded: Recorded,
  config: MachineConfig,
  core?: CoreBuild | WebAssembly.Module,
): Machine {
  const machine = new Machine(withKernel(withRecordedMemory(config, recorded.ramMiB), recorded), core);
  machine.layPages(recorded);
  return machine;
}

/**
 * Replays one trace through several machines, each slice through all of them, so that the trace is read once and memory
 * is bounded by the page tables it touches. Throws TraceError and ReplayError.
 */
export async function compare(
  trace: TraceSource,
  configs: readonly MachineConfig[],
  options: CompareOptions = {},
): Promise<Result> {
  const machines = configs.map((config) => machineFor(trace.header.recorded, config, options.core));
  for (const machine of machines) {
    if (options.warmup) machine.warmUp(options.warmup);
    if (options.intervals) machine.sampleIntervals(options.intervals);
  }
  const first = machines[0];
  if (first === undefined) throw new RangeError("compare needs at least one machine");
  const stream = trace.hashedStream ? undefined : sha256();
  for await (const slice of trace.records()) {
    stream?.update(slice);
    for (const machine of machines) machine.feed(slice);
    const { accesses } = first;
    options.onProgress?.({ fraction: shareRead(trace, accesses), accesses });
  }
  if (!first.ended && trace.truncated === undefined) {
    throw new ReplayError(
      `${trace.name} ends without an END record after ${first.events} events; it is cut short: record or copy it again.`,
      0,
      first.events,
    );
  }
  const { accesses, events } = first;
  if (options.warmup && options.warmup >= accesses) {
    throw new ReplayError(
      `the warm-up of ${options.warmup} accesses leaves nothing to measure: ${trace.name} has ${accesses}.`,
      0,
      events,
    );
  }
  const results = machines.map((machine) => machine.finish());
  const played = playedBy(results[0]!, trace.header.recorded);
  const description: TraceDescription = {
    file: trace.name,
    sha256: await trace.sha256(),
    streamSha256: stream ? toHex(stream.digest()) : trace.hashedStream!(),
    format: trace.format,
    accesses,
    events,
    ...(options.warmup ? { warmup: options.warmup } : {}),
    recorded: trace.header.recorded,
    ...(played === undefined ? {} : { played }),
    ...(trace.truncated === undefined ? {} : { truncated: trace.truncated }),
  };
  const config = options.asked ?? {};
  return withMachines({ schema: RESULT_SCHEMA, nestwalk: version, trace: description, config }, results);
}

/**
 * A comparison of other machines on the same trace: what replays that ran apart, each through some of the machines, are
 * together.
 */
export function withMachines(
  { schema, nestwalk, trace, config }: Omit<Result, "machines" | "laws">,
  machines: MachineResult[],
): Result {
  return { schema, nestwalk, trace, config, machines, laws: comparisonLaws(machines) };
}
