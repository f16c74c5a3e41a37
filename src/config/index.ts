export { parseConfig } from "./check.js";
export { ConfigError } from "./error.js";
export { checkGeometry } from "./geometry.js";
export { allKeys, allowed } from "./keys.js";
export { lower } from "./lower.js";
export { type Cite, type CitedRow, citedRows, type Preset, valuesOf } from "./presets/cite.js";
export { defaultPreset, findPreset, presetNames, presets } from "./presets/index.js";
export { profiles } from "./profiles.js";
export {
  type ConfigRequest,
  parseAssignment,
  parseConfigFile,
  resolveConfig,
  withRecordedMemory,
} from "./resolve.js";
export { jsonSchema, machineSchema } from "./schema.js";
export {
  parseTechniques,
  type TechniqueName,
  techniqueKeys,
  techniqueName,
  techniqueNames,
} from "./technique.js";
export type {
  CacheLevel,
  CpuConfig,
  EntryCache,
  Geometry,
  Inclusion,
  MachineConfig,
  PageSize,
  Policy,
  SecondStage,
  SetIndex,
  Technique,
  TlbArray,
  WalkCache,
} from "./types.js";
