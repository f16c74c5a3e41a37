import { ConfigError } from "../error.js";
import { brief, suggestion } from "../nearest.js";
import type { Preset } from "./cite.js";
import { goldenCove } from "./golden-cove.js";
import { haswell } from "./haswell.js";
import { sandyBridge } from "./sandy-bridge.js";
import { skylakeSp } from "./skylake-sp.js";
import { zen2 } from "./zen2.js";
import { zen3 } from "./zen3.js";
import { zen4 } from "./zen4.js";
import { zen5 } from "./zen5.js";

/** The CPUs, by vendor and age. */
export const presets: readonly Preset[] = [
  sandyBridge,
  haswell,
  skylakeSp,
  goldenCove,
  zen2,
  zen3,
  zen4,
  zen5,
];

export const presetNames: readonly string[] = presets.map((preset) => preset.name);

/** What is modelled when nothing is said: the CPU with the most published numbers. */
export const defaultPreset: Preset = skylakeSp;

/** A preset by name. Throws ConfigError with the nearest name. */
export function findPreset(name: string): Preset {
  const preset = presets.find((p) => p.name === name);
  if (preset === undefined)
    throw new ConfigError(`cpu "${brief(name)}" is not a preset${suggestion(name, presetNames)}`, "cpu");
  return preset;
}
