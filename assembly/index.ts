/** The core's surface: numbers and addresses only; text, files and JSON belong to the driver. */
export {
  countersAddress,
  exitCountsAddress,
  exitCyclesAddress,
  referencesAddress,
  structuresAddress,
  walkLengthsAddress,
} from "./counters";
export { parametersAddress } from "./parameters";
export { start, finish, guestDigestLow, guestDigestHigh } from "./machine";
export { replay, stopReason, windowAddress, windowSize, eventCountNumber } from "./replay/events";
export { accessSlow } from "./replay/access";
export { verifySlow, mismatchAddress } from "./replay/oracle";
