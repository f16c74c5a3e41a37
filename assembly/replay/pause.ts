/** Where the replay stops for the driver to look at the machine, and goes on as if it had not. */

/** Whether it is to stop anywhere: the one thing that the loop asks. */
export let pausing: bool = false;
let atAccess: u64 = u64.MAX_VALUE;
let atEvent: u64 = u64.MAX_VALUE;
let atMarkers = false;
export const NO_MARKER: u32 = 256;
/** The marker just replayed, or NO_MARKER. */
let marker: u32 = NO_MARKER;

function rearm(): void {
  pausing = atMarkers || atAccess !== u64.MAX_VALUE || atEvent !== u64.MAX_VALUE;
}

/** Once, after the record with which so many accesses were replayed. Exact up to 2^53; Infinity for never. */
export function pauseAfter(accesses: f64): void {
  atAccess = accesses < 9007199254740992 ? <u64>accesses : u64.MAX_VALUE;
  rearm();
}
/** Once, after so many records; as `pauseAfter`. */
export function pauseAfterEvents(events: f64): void {
  atEvent = events < 9007199254740992 ? <u64>events : u64.MAX_VALUE;
  rearm();
}
/** After every marker of the trace, from here on. */
export function pauseAtMarkers(yes: bool): void {
  atMarkers = yes;
  marker = NO_MARKER;
  rearm();
}

export function noteMarker(value: u32): void {
  if (atMarkers) marker = value;
}
/** The marker that the replay stopped at, or 256. */
export function markerReached(): u32 {
  return marker;
}
/** Goes on after a pause. */
export function resume(): void {
  marker = NO_MARKER;
}

/** Whether to stop after the record just replayed. */
export function isDue(accesses: u64, events: u64): bool {
  if (accesses < atAccess && events < atEvent && marker === NO_MARKER) return false;
  if (accesses >= atAccess) atAccess = u64.MAX_VALUE;
  if (events >= atEvent) atEvent = u64.MAX_VALUE;
  rearm();
  return true;
}
