/** The core's surface: numbers and addresses only; text, files and JSON belong to the driver. */
export {
  countersAddress,
  exitCountsAddress,
  exitCyclesAddress,
  referencesAddress,
  structuresAddress,
  walkLengthsAddress,
} from "./counters";
export { embedAccess, embedResolve, embedWalk } from "./embed/access";
export {
  embedContext,
  embedKind,
  embedMemoryType,
  embedOffset,
  embedRights,
  embedTlbArray,
} from "./embed/answer";
export { embedBatch, embedBatchAddress, embedBatchMost } from "./embed/batch";
export { embedAddress } from "./embed/block";
export {
  embedEnter,
  embedExit,
  embedExitAlways,
  embedFlushed,
  embedHostEvent,
  embedInvept,
  embedInvlpg,
  embedInvlpga,
  embedInvpcid,
  embedInvvpid,
  embedLoad,
  embedLoaded,
  embedNoRoot,
  embedResume,
  embedRun,
  embedSetVpid,
  embedTlbControl,
} from "./embed/instructions";
export { embedMany, embedManyAddress, embedManyMost } from "./embed/many";
export { embedSequence, embedSequenceAddress, embedSequenceMost } from "./embed/sequence";
export {
  embedClear,
  embedCodeLong,
  embedFlush,
  embedGetState,
  embedHostMemory,
  embedInstruction,
  embedLeaveExits,
  embedRange,
  embedRead,
  embedReadGuest,
  embedSetPat,
  embedSetState,
  embedSetVirtualization,
  embedStored,
  embedStoreEntry,
  embedWrite,
} from "./embed/state";
export {
  embedAc,
  embedCycles,
  embedFind,
  embedPhysical,
  embedProbe,
  embedSettle,
  embedTranslate,
  translateSlow,
} from "./embed/translate";
export {
  explainBegin,
  explainEnd,
  explainLogAddress,
  explainLogLength,
  explainProbe,
  explainStateAddress,
} from "./explain/explain";
export { kernelLargeRange, kernelPlacedRange } from "./guest/kernel";
export { finish, guestDigestHigh, guestDigestLow, heapBase, start } from "./machine";
export { fedAddress, feedAddress } from "./mmu/feed";
export { lookasideAddress, lookasideHeadAddress } from "./mmu/lookaside";
export { guestLevelsMost } from "./mmu/tags";
export { parametersAddress } from "./parameters";
export { accessSlow } from "./replay/access";
export { eventCountNumber } from "./replay/accesses";
export { mismatchAddress, verifySlow } from "./replay/oracle";
export { markerReached, pauseAfter, pauseAfterEvents, pauseAtMarkers } from "./replay/pause";
export { replay, stopReason } from "./replay/replay";
export { windowAddress, windowSize } from "./replay/stream";
export { framesReached, watchFrames } from "./replay/working-set";
export { errorCodesAddress, tracepointsAddress } from "./tracepoints";
export { currentCpl } from "./vcpu/registers";

/** Version of the interface for hosts that embed the core (scripts/abi.mjs). */
export function abiVersion(): u32 {
  return 1;
}
