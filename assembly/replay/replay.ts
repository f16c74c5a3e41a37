import { settleClock } from "../clock";
import { churnAt } from "../guest/churn";
import { keepTime } from "../guest/kernel";
import { isStuck } from "./access";
import { accessCount, countEvent, eventNumber, replayData, replayFetch, settleAccesses } from "./accesses";
import { replayEvent, Stop } from "./events";
import { isDue, pausing, resume } from "./pause";
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

/**
 * Replays whole records of the window's first `length` bytes, from byte `from` on; returns where it ended. `stopReason`
 * says why.
 */
export function replay(from: u32, length: u32): u32 {
  checkEvery(churnAt !== u64.MAX_VALUE);
  openWindow(from, length);
  stop = Stop.none;
  resume();
  while (!atEnd()) {
    const start = cursor();
    if (!isFarFromEnd() && !isReady()) {
      stop = Stop.incomplete;
      break;
    }
    const head = byte();
    const kind = head & 3;
    if (kind < 3 && (head & 128) !== 0) stop = Stop.badValue;
    else if (kind === 0) stop = replayFetch(head) ? Stop.none : Stop.badValue;
    else if (kind < 3) replayData(head);
    else stop = replayEvent(head >> 2);
    if (hasOverlong()) stop = Stop.badVarint;
    if (isStuck()) stop = Stop.stuck;
    if (stop !== Stop.none && stop !== Stop.end) {
      setCursor(start);
      break;
    }
    countEvent();
    if (stop === Stop.end) break;
    if (pausing && isDue(accessCount(), eventNumber())) {
      stop = Stop.paused;
      settleClock();
      break;
    }
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
