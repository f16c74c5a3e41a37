import { churnAt } from "../guest/churn";
import { keepTime } from "../guest/kernel";
import { countEvent, eventNumber, replayData, replayFetch, settleAccesses } from "./accesses";
import { replayEvent, Stop } from "./events";
import {
  atEnd,
  byte,
  checkEvery,
  consumed,
  cursor,
  hasOverlong,
  isFarFromEnd,
  isWhole,
  openWindow,
  setCursor,
} from "./stream";

/** The loop: each record of the window is decoded and done at once. */

let stop: Stop = Stop.none;

/** Replays whole records of the window's first `length` bytes; returns the bytes taken. `stopReason` says why it ended. */
export function replay(length: u32): u32 {
  checkEvery(churnAt !== u64.MAX_VALUE);
  openWindow(length);
  stop = Stop.none;
  while (!atEnd()) {
    const start = cursor();
    if (!isFarFromEnd() && !isReady()) {
      stop = Stop.incomplete;
      break;
    }
    const head = byte();
    const kind = head & 3;
    if (kind === 0) replayFetch(head);
    else if (kind < 3) replayData(head);
    else stop = replayEvent(head >> 2);
    if (hasOverlong()) stop = Stop.badVarint;
    if (stop !== Stop.none && stop !== Stop.end) {
      setCursor(start);
      break;
    }
    countEvent();
    if (stop === Stop.end) break;
  }
  settleAccesses();
  return consumed();
}

/** Whether the record at the cursor is all there; what the stand-in kernel is to do before it is done. */
function isReady(): bool {
  if (!isWhole()) return false;
  if (eventNumber() >= churnAt) keepTime(eventNumber());
  return true;
}

export function stopReason(): Stop {
  return stop;
}
