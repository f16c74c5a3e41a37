import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { presetNames, resolveConfig } from "../../config/index.js";
import { compareKnees, errorsOf } from "./errors.js";
import type { PlottedTable } from "./figures.js";
import { type LatencyCurve, latencies, latencyCurves, presetOfChip, type Test } from "./latency.js";

/** The CPUs of instlat.csv: where the curves bend, and what translation costs. */

/** A node a page shows the TLBs, up to half as much again as the second level reaches. */
const KNEE_STRIDE = 4096;
const KNEE_REACHES = 1.5;
/** The stride at which translation was isolated, and the working sets for which it is printed. */
const COST_STRIDE = 128;
const COST_KIB = [65_536, 131_072, 262_144, 524_288];
const COST_MARGIN = 0.15;

export interface Line {
  text: string;
  passed?: boolean;
}

export interface NativeReport {
  lines: Line[];
  plots: PlottedTable[];
}

async function textOf(folder: string): Promise<string | undefined> {
  try {
    return await readFile(join(folder, "instlat.csv"), "utf8");
  } catch {
    return undefined;
  }
}

export async function compareNative(
  folder: string,
  only: (label: string) => boolean,
  set: readonly string[],
): Promise<NativeReport> {
  const report: NativeReport = { lines: [], plots: [] };
  const text = await textOf(folder);
  if (text === undefined) return report;
  const curves = latencyCurves(text);
  for (const chip of new Set(curves.map((c) => c.cpu))) {
    const preset = presetOfChip(chip);
    if (!only(`instlat ${preset ?? chip}`)) continue;
    if (preset === undefined) {
      const known = `the presets are ${presetNames.join(", ")}`;
      report.lines.push({
        text: `${`instlat ${chip}`.padEnd(26)} not replayed: no preset models it; ${known}\n`,
      });
      continue;
    }
    const of = (test: Test, stride: number) =>
      curves.find((c) => c.cpu === chip && c.test === test && c.stride === stride);
    const full = of("Random_Full", KNEE_STRIDE);
    const part = of("Page_Random", KNEE_STRIDE);
    if (full && part) report.lines.push(bends(quieter(full, part), preset, set, report.plots));
    const random = of("Random_Full", COST_STRIDE);
    const blocks = of("Page_Random", COST_STRIDE);
    if (random && blocks) report.lines.push(...cost(random, blocks, preset, set));
  }
  return report;
}

/** With one node a page both tests visit the same pages: what one of them has more is noise. */
function quieter(a: LatencyCurve, b: LatencyCurve): LatencyCurve {
  const points = a.points.map((p) => {
    const other = b.points.find((q) => q.n === p.n)?.cycles ?? p.cycles;
    return { n: p.n, cycles: Math.min(p.cycles, other), spread: Math.max(p.cycles, other) };
  });
  return { ...a, points };
}

function bends(curve: LatencyCurve, preset: string, set: readonly string[], plots: PlottedTable[]): Line {
  const config = resolveConfig({ cpu: preset, set: [...set] });
  const reach = config.tlb.l2.reduce((sum, a) => sum + (a.pages.includes("4k") ? 4 * a.entries : 0), 0);
  const measured = curve.points.filter((p) => p.n <= KNEE_REACHES * reach);
  if (measured.length === 0)
    return { text: `instlat ${preset} knees: no point up to ${KNEE_REACHES * reach} KiB\n` };
  const { points, broken } = latencies(
    curve.test,
    curve.stride,
    measured.map((p) => p.n),
    config,
  );
  plots.push({
    id: `instlat-${preset}`,
    subject: `${curve.test} every ${curve.stride} bytes on ${preset}`,
    unit: "Working set in KiB",
    columns: [{ name: curve.test, measured, model: points }],
  });
  const errors = errorsOf(measured, points);
  const knees = compareKnees(measured, points);
  const passed = knees.met.length === knees.measured.length && broken.length === 0;
  const name = `instlat ${preset} knees`.padEnd(26);
  return {
    text: `${name} ${String(errors.points).padStart(3)} ${percent(errors.median).padStart(7)} ${percent(errors.mean).padStart(6)}  KiB ${knees.measured.join(" ")} | ${knees.model.join(" ")} (${knees.met.length} of ${knees.measured.length} met)\n`,
    passed,
  };
}

function cost(random: LatencyCurve, blocks: LatencyCurve, preset: string, set: readonly string[]): Line[] {
  const config = resolveConfig({ cpu: preset, set: [...set] });
  const both = COST_KIB.filter((n) => [random, blocks].every((c) => c.points.some((p) => p.n === n)));
  const at = (curve: { points: readonly { n: number; cycles: number }[] }, n: number) =>
    curve.points.find((p) => p.n === n)!.cycles;
  const modelled = [random, blocks].map((c) => latencies(c.test, c.stride, both, config));
  return both.map((n) => {
    const truth = at(random, n) - at(blocks, n);
    const model = at(modelled[0]!, n) - at(modelled[1]!, n);
    const error = Math.abs(model - truth) / truth;
    const line = `${`instlat ${preset} cost`.padEnd(26)} translation at ${n / 1024} MiB: measured ${truth}, model ${model.toFixed(1)} (${percent(error)} %)\n`;
    return n === both.at(-1) ? { text: line, passed: error <= COST_MARGIN } : { text: line };
  });
}

const percent = (x: number) => (100 * x).toFixed(1);
