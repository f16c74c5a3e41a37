/** nestwalk as the MMU of an emulator: `createMmu`. */
export { ConfigError } from "../config/index.js";
export { explanationText, type TextOptions } from "../explain/text/index.js";
export type { Explanation } from "../explain/types.js";
export {
  Access,
  abiVersion,
  Feed,
  Kind,
  MemoryType,
  Reason,
  Right,
  Scope,
  Status,
} from "../generated/abi.js";
export { ReplayError } from "../replay-error.js";
export type { Value } from "./block.js";
export type { RegisterState } from "./guest-cpu.js";
export { createMmu, Mmu } from "./mmu.js";
export type { Features, Invalidation, MemoryRange, MmuOptions, PhysicalHooks } from "./options.js";
