import { describe, expect, it } from "vitest";
import { allKeys } from "../src/config/index.js";
import type { MachineResult } from "../src/result.js";
import { DATA, play, program, stream } from "./kernel/programs.js";

/** Every key of the stand-in kernel, turned: which figure it moves, and how. */

type Figure = (result: MachineResult) => number;
const counter =
  (name: string): Figure =>
  ({ counters }) =>
    counters[name]!;
const hits2m: Figure = ({ structures }) => structures.l1d!.hits2m;
const hits1g: Figure = ({ structures }) => structures.l1d!.hits1g;
const cycles: Figure = (result) => result.cycles.kernel!;

interface Knob {
  key: string;
  /** Settings to compare, and what both have besides. */
  low: string | number | boolean;
  high: string | number | boolean;
  with?: string[];
  figure: Figure;
  /** What the figure does from low to high; a function says it exactly. */
  does: "rises" | "falls" | ((low: number, high: number) => boolean);
}

const knobs: Knob[] = [
  {
    key: "plays",
    low: "programs",
    high: "physical",
    figure: counter("guestPageFaults"),
    does: (_, high) => high === 0,
  },
  {
    key: "levels",
    low: 4,
    high: 5,
    figure: counter("walkReferencesMax"),
    does: (low, high) => high === low + 1,
  },
  { key: "directMap", low: "2m", high: "1g", figure: hits1g, does: "rises" },
  { key: "pcid", low: false, high: true, figure: counter("cr3NoFlush"), does: (low) => low === 0 },
  { key: "pti", low: false, high: true, figure: counter("cr3Loads"), does: "rises" },
  { key: "pages", low: "4k", high: "2m", figure: counter("kernelPages2m"), does: (low) => low === 0 },
  { key: "pages", low: "4k", high: "thp", figure: counter("guestPageFaults"), does: "falls" },
  { key: "pages", low: "4k", high: "thp", figure: hits2m, does: "rises" },
  {
    key: "populate",
    low: false,
    high: true,
    figure: counter("guestPageFaults"),
    does: (_, high) => high === 0,
  },
  {
    key: "fragmentation",
    low: 0,
    high: 100,
    with: ["kernel.pages=thp"],
    figure: counter("kernelHugeFallbacks"),
    does: (low) => low === 0,
  },
  { key: "zeroPage", low: false, high: true, figure: counter("kernelZeroPages"), does: (low) => low === 0 },
  {
    key: "faultAround",
    low: 1,
    high: 16,
    figure: counter("kernelPages4k"),
    does: (low, high) => high === low + 2 * 15,
  },
  { key: "clearBytes", low: 8, high: 64, figure: counter("kernelAccesses"), does: "falls" },
  { key: "quantum", low: 0, high: 100, figure: counter("kernelSwitches"), does: "rises" },
  { key: "forks", low: 0, high: 500, figure: counter("kernelForks"), does: (low) => low === 0 },
  { key: "forks", low: 100, high: 1000, figure: counter("kernelForks"), does: "rises" },
  { key: "forks", low: 0, high: 500, figure: counter("kernelCopies"), does: "rises" },
  {
    key: "forkLife",
    low: 100,
    high: 1900,
    with: ["kernel.forks=500"],
    figure: counter("kernelCopies"),
    does: "rises",
  },
  { key: "protects", low: 0, high: 1000, figure: counter("kernelProtects"), does: (low) => low === 0 },
  {
    key: "protectPages",
    low: 1,
    high: 16,
    with: ["kernel.protects=1000"],
    figure: counter("guestInvlpg"),
    does: "rises",
  },
  { key: "reclaims", low: 0, high: 500, figure: counter("kernelReclaimed"), does: (low) => low === 0 },
  { key: "reclaims", low: 0, high: 500, figure: counter("kernelSwapIns"), does: "rises" },
  { key: "merges", low: 0, high: 1000, figure: counter("kernelMerged"), does: (low) => low === 0 },
];

const records = program(4000, 600, 2, 200);

describe("turning a key of the stand-in kernel", () => {
  const turned = (key: string, value: unknown, more: string[] = []) => {
    const addresses = value === "physical" ? ("guest-physical" as const) : ("virtual" as const);
    const set = key === "plays" ? more : [`kernel.${key}=${value}`, ...more];
    return play(records, "native", set, { tables: false, addresses });
  };
  it.each(knobs.map((knob) => [`${knob.key}: ${knob.low} to ${knob.high}`, knob] as const))(
    "%s",
    (_, knob) => {
      const low = knob.figure(turned(knob.key, knob.low, knob.with));
      const high = knob.figure(turned(knob.key, knob.high, knob.with));
      const { does } = knob;
      const holds =
        does === "rises" ? high > low : does === "falls" ? high < low : does(low, high) && high !== low;
      expect({ low, high, holds }).toEqual({ low, high, holds: true });
    },
  );

  it.each([
    ["faultCycles", "guestPageFaults", []],
    ["switchCycles", "kernelSwitches", []],
    ["callCycles", "kernelForks", ["kernel.forks=1000"]],
    ["swapCycles", "kernelSwapIns", ["kernel.reclaims=500"]],
  ] as const)("%s: one cycle more for each of %s", (key, name, more) => {
    const low = turned(key, 5000, [...more]);
    const high = turned(key, 5001, [...more]);
    expect(counter(name)(low)).toBeGreaterThan(0);
    expect(cycles(high) - cycles(low)).toBe(counter(name)(low));
    expect(high.cycles.total - low.cycles.total).toBe(cycles(high) - cycles(low));
  });

  it("seed: where the frames that never move lie, and so where pages go", () => {
    const of = (seed: number) => play(records, "native", [`kernel.seed=${seed}`, "kernel.fragmentation=100"]);
    expect(of(1).guestDigest).toBe(of(1).guestDigest);
    expect(of(2).guestDigest).not.toBe(of(1).guestDigest);
  });

  it("is tested for every key", () => {
    const tested = new Set([
      ...knobs.map(({ key }) => key),
      "faultCycles",
      "switchCycles",
      "callCycles",
      "swapCycles",
      "seed",
    ]);
    const keys = allKeys().flatMap(({ path }) => (path.startsWith("kernel.") ? [path.slice(7)] : []));
    expect(keys.filter((key) => !tested.has(key))).toEqual([]);
  });
});

describe("costs", () => {
  it("are part of the sum of cycles, and an access that faults twice pays twice", () => {
    const twice = stream((e) => e.read(DATA, 8).write(DATA, 8));
    const set = ["kernel.zeroPage=true", "kernel.faultCycles=777"];
    for (const technique of ["native", "ept", "npt", "shadow"] as const) {
      const result = play(twice, technique, set);
      expect(result.cycles.kernel).toBe(2 * 777);
      expect(result.laws.filter((law) => !law.holds)).toEqual([]);
    }
  });
});
