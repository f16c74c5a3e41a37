/**
 * The record stream (traces/FORMAT.md) as bytes: the window that the driver fills, a cursor on it, and the numbers
 * that records are made of.
 */

/** Bytes of the window. A record is at most about 14 KiB. */
const WINDOW: u32 = 1 << 21;
const window = memory.data(1 << 21, 16);

/** Records nearer to the end of the window than this are checked to be whole before they are decoded. */
const MARGIN: u32 = 16384;

/** Types of records of kind 3. */
export enum RecordType {
  cr0 = 1,
  cr3,
  cr4,
  efer,
  mode,
  invlpg,
  exception,
  tablePage,
  tablePageDropped,
  tableWrite,
  mapping,
  mark,
  instruction,
  fetchRun,
  end,
  invpcid,
  cr2,
  pkru,
  process,
  label,
  host,
}

let at: usize = 0;
let windowEnd: usize = 0;
/** From here on records are checked to be whole. */
let checkedFrom: usize = 0;
/** Whether all records are, as something may be due before any of them. */
let checksEvery = false;
/** Whether a number of the record under way is longer than 64 bits. */
let overlong = false;

export function windowAddress(): usize {
  return window;
}
export function windowSize(): u32 {
  return WINDOW;
}

export function checkEvery(yes: bool): void {
  checksEvery = yes;
}

/** Puts the cursor on byte `from` of the window, of which `length` bytes are filled. */
export function openWindow(from: u32, length: u32): void {
  at = window + from;
  windowEnd = window + length;
  checkedFrom = length > MARGIN && !checksEvery ? windowEnd - MARGIN : window;
  overlong = false;
}
export function atEnd(): bool {
  return at >= windowEnd;
}
export function cursor(): usize {
  return at;
}
export function setCursor(to: usize): void {
  at = to;
}
/** Bytes between the window's start and the cursor. */
export function consumed(): u32 {
  return <u32>(at - window);
}
export function hasOverlong(): bool {
  return overlong;
}

export function byte(): u32 {
  return <u32>load<u8>(at++);
}

/** Passes over `n` bytes; false if the window does not have them. */
export function skipBytes(n: u64): bool {
  if (n > <u64>(windowEnd - at)) return false;
  at += <usize>n;
  return true;
}

/** An unsigned LEB128 number. */
export function uv(): u64 {
  let byte = <u64>load<u8>(at++);
  if (byte < 128) return byte;
  let value = byte & 127;
  let shift: u64 = 7;
  while (true) {
    byte = <u64>load<u8>(at++);
    value |= (byte & 127) << shift;
    if (byte < 128) {
      if (shift === 63 && byte > 1) overlong = true;
      return value;
    }
    shift += 7;
    if (shift > 63) {
      overlong = true;
      return value;
    }
  }
}

/** A zigzag number. */
export function sv(): u64 {
  const z = uv();
  return (z >> 1) ^ (0 - (z & 1));
}

/** Whether the record at the cursor need not be looked at before it is decoded. */
export function isFarFromEnd(): bool {
  return at < checkedFrom;
}
/** Whether the record at the cursor ends within the window. */
export function isWhole(): bool {
  return fits(at, windowEnd);
}

function fits(from: usize, end: usize): bool {
  let p = from + 1;
  const head = load<u8>(from);
  const kind = head & 3;
  let numbers: u32 = 1;
  if (kind === 0) numbers = head & 64 ? 0 : 1;
  else if (kind === 3) {
    switch (<u32>head >> 2) {
      case RecordType.mode:
      case RecordType.mark:
      case RecordType.instruction:
        return p < end;
      case RecordType.exception:
        ++p;
        numbers = 3;
        break;
      case RecordType.label:
        p = pass(p, end);
        return p !== 0 && passed <= <u64>(end - p);
      case RecordType.tablePage:
        p = pass(p, end);
        if (p === 0) return false;
        p = pass(p + 1, end);
        if (p === 0) return false;
        numbers = <u32>min<u64>(passed, 512) * 2;
        break;
      case RecordType.tableWrite:
      case RecordType.mapping:
      case RecordType.process:
        numbers = 2;
        break;
      case RecordType.end:
      case RecordType.invpcid:
      case RecordType.host:
        numbers = 3;
        break;
      default:
        break;
    }
  }
  for (; numbers > 0; --numbers) {
    p = pass(p, end);
    if (p === 0) return false;
  }
  return p <= end;
}

/** The number that `pass` went over. */
let passed: u64 = 0;

/** The address after the number at `from`, or 0 if it goes on beyond `end`. */
function pass(from: usize, end: usize): usize {
  let p = from;
  let value: u64 = 0;
  let shift: u64 = 0;
  while (p < end) {
    const byte = <u64>load<u8>(p++);
    if (shift < 64) value |= (byte & 127) << shift;
    shift += 7;
    if (byte < 128 || shift > 70) {
      passed = value;
      return p;
    }
  }
  return 0;
}
