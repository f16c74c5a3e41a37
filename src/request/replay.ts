import { ConfigError } from "../config/error.js";
import { parseAssignment } from "../config/resolve.js";
import { techniqueName } from "../config/technique.js";
import type { MachineConfig } from "../config/types.js";
import type { Result } from "../result.js";
import { openSynth, withSynthOption } from "../trace/synth/options.js";
import { type AskedAxis, combinations, parseAxes, traceOption } from "../vary/axes.js";
import { type VaryResult, varyResult } from "../vary/result.js";
import type { Task } from "../vary/run.js";
import { type DirectKeys, type MachineRequest, requestedMachines, whatChooses } from "./machines.js";
import { optionName } from "./option-names.js";

/** A replay as a user asks for it: on a command line, by a form or in a notebook. It can be sent to a worker. */
export interface ReplayRequest extends MachineRequest {
  /** `run` is about one machine. */
  command: "compare" | "run";
  /** Accesses at the start that are not counted. */
  warmup?: number | undefined;
  intervals?: number | "markers" | undefined;
  /** Keys to be varied, "key.path=value,value,..."; each combination is replayed. */
  vary?: readonly string[] | undefined;
  /** How the trace was asked to be read, for the result to say: what `openTrace` was given, files by their names. */
  reading?: Reading | undefined;
}

export interface Reading {
  from?: string | undefined;
  columns?: string | undefined;
  addresses?: string | undefined;
  pageSizes?: string | undefined;
  v2p?: string | undefined;
}

/** Comparisons to be run, one for each combination of the values of the axes; without axes, one. */
export interface ReplayPlan {
  axes: AskedAxis[];
  tasks: Task[];
  /** What the outcome says was asked for. */
  asked: Record<string, unknown>;
}

/** What has to be run for a request. Throws ConfigError: one sentence for the first thing that is wrong with any part. */
export async function replayPlan(request: ReplayRequest, trace: string): Promise<ReplayPlan> {
  const axes = parseAxes(request.vary ?? [], trace);
  refuseVariedTwice(request, axes);
  const machines = request.command === "run" ? "one" : "several";
  const tasks = combinations(axes).map((chosen): Task => {
    const settings = settingsOf(axes, chosen);
    const configs = requestedMachines(request, machines, directOf(settings));
    const set = settings.map(({ key, text }) => `${key}=${text}`);
    const { warmup, intervals } = request;
    return {
      trace: traceOf(trace, axes, chosen),
      configs,
      ...(warmup === undefined ? {} : { warmup }),
      ...(intervals === undefined ? {} : { intervals }),
      asked: askedOf(
        set.length > 0 ? { ...request, set: [...(request.set ?? []), ...set] } : request,
        configs,
      ),
    };
  });
  if (axes.some(({ key }) => traceOption(key) !== undefined))
    for (const computed of new Set(tasks.map((task) => task.trace))) await openSynth(computed);
  const asked = askedOf(request, tasks[0]!.configs);
  return { axes, tasks, asked: axes.length === 0 ? asked : { ...asked, vary: [...request.vary!] } };
}

/** What the results of a plan's tasks, in their order, are together. */
export function replayOutcome({ axes, asked }: ReplayPlan, results: readonly Result[]): Result | VaryResult {
  return axes.length === 0 ? results[0]! : varyResult(axes, results, asked);
}

/** What a result says was asked for: what changes its numbers, not where it goes. */
function askedOf(request: ReplayRequest, configs: readonly MachineConfig[]): Record<string, unknown> {
  const { command, cpu, file, set, hostPage, warmup, intervals, reading = {} } = request;
  const { from, columns, addresses, pageSizes, v2p } = reading;
  const given = {
    ...{ cpu, config: file?.name, set, hostPage, warmup, interval: intervals },
    ...{ from, columns, addresses, pageSizes, v2p },
  };
  return {
    command,
    /* Techniques that a key names are asked for by it. */
    ...(whatChooses(request) === undefined ? { technique: configs.map(techniqueName) } : {}),
    ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)),
  };
}

interface Chosen {
  key: string;
  text: string;
}

function chosenOf(axes: readonly AskedAxis[], chosen: readonly number[]): Chosen[] {
  return axes.map(({ key, texts }, i) => ({ key, text: texts[chosen[i]!]! }));
}

/** Keys of the configuration, as `set` takes them. */
function settingsOf(axes: readonly AskedAxis[], chosen: readonly number[]): Chosen[] {
  return chosenOf(axes, chosen).filter(({ key }) => traceOption(key) === undefined);
}

/** The same as options of their own: messages name them. */
function directOf(settings: readonly Chosen[]): DirectKeys {
  return settings.map(({ key, text }) => {
    const { value } = parseAssignment(`${key}=${text}`, "vary");
    return { option: optionName("vary", `${key}=${text}`), path: key, value };
  });
}

function traceOf(trace: string, axes: readonly AskedAxis[], chosen: readonly number[]): string {
  return chosenOf(axes, chosen).reduce((name, { key, text }) => {
    const option = traceOption(key);
    return option === undefined ? name : withSynthOption(name, option, text);
  }, trace);
}

/** Throws for a key that is varied and also given a value, which would be without effect. */
function refuseVariedTwice({ cpu, hostPage, set = [] }: ReplayRequest, axes: readonly AskedAxis[]): void {
  for (const { key } of axes) {
    const varied = optionName("vary", key);
    if (cpu !== undefined && key === "cpu")
      throw new ConfigError(`${optionName("cpu")} and ${varied} both choose the CPU; leave one out`);
    if (hostPage !== undefined && key === "host.page")
      throw new ConfigError(
        `${optionName("host-page")} and ${varied} both choose the host's pages; leave one out`,
      );
    const text = set.find((one) => parseAssignment(one).path === key);
    if (text !== undefined)
      throw new ConfigError(`${optionName("set", text)} and ${varied} both give ${key}; leave one out`);
  }
}
