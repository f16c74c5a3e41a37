import { resolveConfig, type TechniqueName, techniqueKeys } from "../../src/config/index.js";
import { Machine } from "../../src/machine.js";
import { withKernel } from "../../src/played.js";
import type { MachineResult } from "../../src/result.js";
import { RecordEncoder } from "../../src/trace/encode.js";
import type { Recorded } from "../../src/trace/source.js";
import { randomNumbers } from "../fixtures/traces.js";

export const TECHNIQUES = ["native", "shadow", "ept", "npt"] as const;
export const PROGRAMS: Recorded = { tables: false, addresses: "virtual" };
export const DATA = 0x10_0000_0000;
const CODE = 0x40_0000;

/** Instructions with one random access each to `pages` pages; a quarter are stores; `processes` take turns. */
export function program(instructions: number, pages: number, processes = 1, turn = 500): Uint8Array {
  const e = new RecordEncoder();
  const random = randomNumbers(7);
  for (let i = 0; i < instructions; i++) {
    if (processes > 1 && i % turn === 0) e.switchTo(1 + ((i / turn) % processes), 1);
    e.fetch(CODE + (i % 16) * 4, 4);
    const at = DATA + (random() % pages) * 4096 + (random() % 500) * 8;
    if (random() % 4 === 0) e.write(at, 8);
    else e.read(at, 8);
  }
  return e.end().take();
}

/** A stream that `write` writes, with its END. */
export function stream(write: (e: RecordEncoder) => void): Uint8Array {
  const e = new RecordEncoder();
  write(e);
  return e.end().take();
}

export function machineFor(
  technique: TechniqueName,
  set: readonly string[] = [],
  recorded: Recorded = PROGRAMS,
  core?: "simd" | "scalar" | WebAssembly.Module,
): Machine {
  const options = Object.entries(techniqueKeys(technique)).map(([key, value]) => ({
    option: "--technique",
    path: key,
    value,
  }));
  const machine = new Machine(withKernel(resolveConfig({ set, options }), recorded), core);
  machine.layPages(recorded);
  return machine;
}

export function play(
  records: Uint8Array,
  technique: TechniqueName,
  set: readonly string[] = [],
  recorded: Recorded = PROGRAMS,
  core?: "simd" | "scalar" | WebAssembly.Module,
): MachineResult {
  const machine = machineFor(technique, set, recorded, core);
  machine.feed(records);
  return machine.finish();
}

export const broken = (result: MachineResult) => result.laws.filter((law) => !law.holds);
