import { machineFor } from "../compare.js";
import type { MachineConfig } from "../config/index.js";
import type { CoreBuild } from "../core.js";
import type { Machine } from "../machine.js";
import { ReplayError } from "../replay-error.js";
import type { TraceSource } from "../trace/source.js";
import type { ProbedAccess } from "./read.js";
import type { Explanation } from "./types.js";

/** What an access must do to be the one that is looked for. */
export type Wanted = "walk" | "fault" | "exit";

export interface ExplainOptions {
  /** The access, counted from 1. */
  at?: number;
  /** In place of it the record, counted from 0 as in messages; not only accesses have something to explain. */
  event?: number;
  /** The first from there on that walks, faults or exits. */
  next?: Wanted;
  /** So many of them, one after the other; 1 if left out. */
  count?: number;
  core?: CoreBuild | WebAssembly.Module;
  onProgress?: (accesses: number) => void;
}

export interface ProbeOptions {
  va: bigint;
  access?: ProbedAccess;
  /** As if the TLBs, the paging-structure caches and the nested TLB were empty. */
  cold?: boolean;
  /** Accesses replayed before, or records; the whole trace if both are left out. */
  at?: number;
  event?: number;
  core?: CoreBuild | WebAssembly.Module;
  onProgress?: (accesses: number) => void;
}

function isWanted({ accesses, totals }: Explanation, wanted: Wanted | undefined): boolean {
  if (wanted === "walk") return totals.walks > 0;
  if (wanted === "exit") return totals.exits > 0;
  if (wanted === "fault")
    return accesses.some(({ outcome }) => outcome.kind !== "translated" && outcome.kind !== "emulated");
  return true;
}

/** Steps of an access that hits the first TLB. */
const OF_A_HIT = 2;

/** Replays until `onPause` gives false or the trace ends. */
async function replay(
  trace: TraceSource,
  machine: Machine,
  onProgress: ((accesses: number) => void) | undefined,
): Promise<void> {
  for await (const slice of trace.records()) {
    machine.feed(slice);
    if (machine.stopped) return;
    onProgress?.(machine.accesses);
  }
}

function beyond(trace: TraceSource, machine: Machine, { at, event, next }: ExplainOptions): ReplayError {
  const { accesses, events } = machine;
  const has = `${trace.name} has ${accesses} accesses in ${events} records`;
  const asked = event === undefined ? `access ${at}` : `record ${event}`;
  const passed = event === undefined ? (at ?? 1) <= accesses : event < events;
  const what = passed && next ? `no access from ${asked} on that ${WANTED[next]}` : `no ${asked}`;
  return new ReplayError(`there is ${what}: ${has}.`, 0, events);
}

const WANTED = { walk: "walks", fault: "faults", exit: "exits" } as const;

/**
 * Replays a trace up to an access (or a record) and explains what that one does as it happens; or the first ones from
 * there on that walk, fault or exit. Throws TraceError, and ReplayError where there is no such one.
 */
export async function explainTrace(
  trace: TraceSource,
  config: MachineConfig,
  options: ExplainOptions = {},
): Promise<Explanation[]> {
  const { at = 1, event, next, count = 1, core, onProgress } = options;
  const found: Explanation[] = [];
  const machine = machineFor(trace.header.recorded, config, core);
  /* A record may hold many accesses: where one has run past what was asked for, the replay is made again up to it. */
  let passedIn: number | undefined;
  let looking = false;
  const look = (): boolean => {
    const before = machine.accesses;
    if (looking && next !== undefined && machine.explainedSteps <= OF_A_HIT) {
      machine.beginExplanation();
      return true;
    }
    if (looking) {
      const explanation = machine.takeExplanation();
      const reached = event === undefined ? before >= at : true;
      const accessed = event !== undefined || explanation.accesses.length > 0 || next === "exit";
      if (reached && accessed && isWanted(explanation, next)) found.push(explanation);
      if (found.length === count) return false;
    } else if (event === undefined && before >= at) {
      passedIn = machine.events - 1;
      return false;
    }
    looking = true;
    machine.beginExplanation();
    return true;
  };
  if (event === undefined ? at <= 1 : event === 0) look();
  machine.pauseAt(event === undefined ? { accesses: at - 1 } : { events: event }, look);
  await replay(trace, machine, onProgress);
  if (passedIn !== undefined) return explainTrace(trace, config, { ...options, event: passedIn });
  if (found.length === 0) throw beyond(trace, machine, options);
  return found;
}

/** Replays a trace up to a place and explains what an access to any address would do there. */
export async function explainAddress(
  trace: TraceSource,
  config: MachineConfig,
  { va, access = {}, cold = false, at, event, core, onProgress }: ProbeOptions,
): Promise<Explanation> {
  const machine = machineFor(trace.header.recorded, config, core);
  const place = event !== undefined ? { events: event } : { accesses: at ?? Number.POSITIVE_INFINITY };
  machine.pauseAt(place, () => false);
  await replay(trace, machine, onProgress);
  const whole = at === undefined && event === undefined;
  if (!whole && !machine.stopped)
    throw beyond(trace, machine, { at: at ?? 1, ...(event === undefined ? {} : { event }) });
  return machine.explain(va, access, { cold });
}
