/** What a replay is asked to do, in the same words and by the same rules wherever it is asked. */
export { type MachineRequest, requestedMachines } from "./machines.js";
export { nameOptions, type OptionName, type OptionNaming, optionName } from "./option-names.js";
export { type Reading, type ReplayPlan, type ReplayRequest, replayOutcome, replayPlan } from "./replay.js";
