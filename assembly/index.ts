/** The core's surface: numbers and addresses only; text, files and JSON belong to the driver. */
export {
  countersAddress,
  exitCountsAddress,
  exitCyclesAddress,
  referencesAddress,
  structuresAddress,
  walkLengthsAddress,
} from "./counters";
export { finish, guestDigestHigh, guestDigestLow, start } from "./machine";
export { parametersAddress } from "./parameters";
export { accessSlow } from "./replay/access";
export { eventCountNumber, replay, stopReason, windowAddress, windowSize } from "./replay/events";
export { mismatchAddress, verifySlow } from "./replay/oracle";
export { guestLevelsMost } from "./mmu/tags";
export {
  embedAccess,
  embedAddress,
  embedClear,
  embedFlush,
  embedRead,
  embedSetState,
  embedWalk,
  embedWrite,
} from "./embed";
export {
  driveAttempt,
  driveEnter,
  driveErrorCode,
  driveHost,
  driveInstruction,
  driveInvlpg,
  driveLoad,
  driveMode,
  driveStoreEntry,
} from "./drive";
export { errorCodesAddress, tracepointsAddress } from "./tracepoints";
