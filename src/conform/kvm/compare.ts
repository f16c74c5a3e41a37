import { type Figures, gaugeNames } from "./figures.js";
import type { ReferencePhase } from "./reference.js";

export interface Difference {
  readonly figure: string;
  readonly expected: number | string;
  readonly found: number | string;
}

/** Figures of the reference that no model can agree with, and why. */
export const notComparable: Readonly<Record<string, string>> = {
  "exits.INTR": "interrupts of the host's timer: wall time",
  "exits.NMI": "interrupts of the host: wall time",
  "exits.SMI": "interrupts of the host: wall time",
  exits_total: "contains them",
};

/**
 * While it unmaps, the TDP MMU flushes whenever it gives way to others (tdp_mmu.c: `tdp_mmu_iter_cond_resched`): of these
 * requests a recording may hold more than the model makes, as time will have it.
 */
const YIELDS = "remote_tlb_flush_requests";

function differ(
  kind: string,
  expected: Readonly<Record<string, number>> | undefined,
  found: Readonly<Record<string, number>>,
  atLeast?: string,
): Difference[] {
  if (expected === undefined) return [];
  const names = new Set([...Object.keys(expected), ...Object.keys(found)]);
  const out: Difference[] = [];
  for (const name of names) {
    const figure = `${kind}${name}`;
    if (figure in notComparable) continue;
    const want = expected[name] ?? 0;
    const have = found[name] ?? 0;
    if (name === atLeast ? want < have : want !== have) out.push({ figure, expected: want, found: have });
  }
  return out;
}

/** Every figure of the phase that differs. */
export function differences(phase: ReferencePhase, figures: Figures): Difference[] {
  const unmaps = phase.mode === "nested" && "HOSTUNMAP" in phase.events;
  const out = [
    ...differ("exits.", phase.exits, figures.exits),
    ...differ("", phase.counters, figures.counters, unmaps ? YIELDS : undefined),
    ...differ("", phase.tracepoints, figures.tracepoints),
  ];
  const net = Object.entries(figures.exits).reduce((sum, [name, n]) => (name === "IOIO" ? sum : sum + n), 0);
  if (phase.exits_net !== undefined && net !== phase.exits_net)
    out.push({ figure: "exits_net", expected: phase.exits_net, found: net });
  const gauges = phase.gauges_before_after;
  if (gauges === undefined) return out;
  for (const name of gaugeNames) {
    const have = figures.gauges[name]!;
    /* A peak is given where it rose, a gauge where it is not zero. */
    const want = gauges[name] ?? (name.startsWith("max_") ? [have[0], have[0]] : [0, 0]);
    if (want[0] !== have[0] || want[1] !== have[1])
      out.push({ figure: name, expected: want.join(" -> "), found: have.join(" -> ") });
  }
  for (const name of Object.keys(gauges)) {
    if (!(gaugeNames as readonly string[]).includes(name))
      out.push({ figure: name, expected: gauges[name]!.join(" -> "), found: "not kept" });
  }
  return out;
}
