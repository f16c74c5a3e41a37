import { Counter, count, ExitReason, read, set } from "../counters";
import { markDevice } from "../hypervisor/backing";
import { holdExits } from "../hypervisor/exits";
import { invalidateAddress } from "../mmu/invalidation";
import { hardwareControls, latchKeys, vpid } from "../mmu/tags";
import { Parameter, parameter } from "../parameters";
import {
  enter,
  exitAlways,
  hostEvent,
  invlpg,
  invpcid,
  loadCr0,
  loadCr3,
  loadCr4,
  loadEfer,
  setTablePage,
  storeTableEntry,
} from "../technique/technique";
import { currentPcid, registers, setCpl, setInstruction } from "../vcpu/registers";
import {
  FETCH,
  MODE_IMPLICIT,
  MODE_SUPERVISOR,
  MODE_SUPERVISOR_AC,
  MODE_USER,
  READ,
  WRITE,
} from "../x86/access";
import { CR3_NO_FLUSH, CR4_PCIDE } from "../x86/control";
import { accessPage, repeatFetch } from "./access";
import { noteTablePage } from "./digest";
import { replayPageFault } from "./fault";
import { forgetFrames, recordMapping, settleOracle, trueFrame } from "./oracle";

/**
 * The record stream of a trace (traces/FORMAT.md), decoded and replayed. The driver fills the window with bytes;
 * `replay` consumes whole records and says how many bytes it took.
 */

/** Bytes of the window. A record is at most about 14 KiB. */
export const WINDOW: u32 = 1 << 21;
const windowBuffer = memory.data(1 << 21, 16);

/** Records nearer to the end of the window than this are checked to be whole before they are decoded. */
const MARGIN: u32 = 16384;

/** A recorder writes this frame where it could not tell. */
const UNKNOWN_FRAME: u64 = 0xf_ffff_ffff_ffff;

/** Why `replay` stopped before the end of its bytes. */
export enum Stop {
  none,
  /** The last record continues beyond the window. */
  incomplete,
  unknownRecord,
  badVarint,
  badValue,
  /** END was read. */
  end,
  /** END's counts are not what was replayed. */
  endMismatch,
}

let stop: Stop = Stop.none;
/** Number of records replayed. */
let events: u64 = 0;

let at: usize = 0;
let windowEnd: usize = 0;
let fetchEnd: u64 = 0;
let dataAddress: u64 = 0;
let tableWriteAddress: u64 = 0;
/** MODE_* of ordinary accesses now. */
let mode: u32 = MODE_SUPERVISOR;
let fetches: u64 = 0;
let reads: u64 = 0;
let writes: u64 = 0;
let runPage: u64 = 0;
let interruptExits = false;
let bad = false;
/** Whether the trace runs fetches of a page together. */
let runs = false;

/** Whether the record before this one is an access of the CPU itself. */
let implicitBefore = false;
/**
 * Error code + 1 of a page fault whose address is not known yet. A recorder that sees only the handler's read of CR2
 * puts the exception after its frame is pushed, with a CR2 of 0, and gives the address in a later record.
 */
let lateFault: u64 = 0;
/** The address space that it happened in: the handler may have changed CR3 since. */
let latePcid: u32 = 0;

const tableBuffer = memory.data(4096, 16);
/** The vector of Linux's 32-bit system call: an exception of the program, not an interrupt. */
const SOFTWARE_INTERRUPT: u32 = 0x80;

export function windowAddress(): usize {
  return windowBuffer;
}

export function configureEvents(): void {
  interruptExits = parameter(Parameter.interruptExits) !== 0;
}

function uv(): u64 {
  let byte = <u64>load<u8>(at++);
  if (byte < 128) return byte;
  let value = byte & 127;
  let shift: u64 = 7;
  while (true) {
    byte = <u64>load<u8>(at++);
    value |= (byte & 127) << shift;
    if (byte < 128) {
      if (shift === 63 && byte > 1) bad = true;
      return value;
    }
    shift += 7;
    if (shift > 63) {
      bad = true;
      return value;
    }
  }
}

function sv(): u64 {
  const z = uv();
  return (z >> 1) ^ (0 - (z & 1));
}

/** Replays the access at `va`, page by page. */
function access(va: u64, size: u32, kind: u32, how: u32): void {
  const event = events;
  accessPage(va, kind, how, event);
  const within = <u32>va & 0xfff;
  if (within + size > 4096) {
    count(Counter.pageCrossings);
    accessPage((va | 0xfff) + 1, kind, how, event);
  }
}

/** Bytes of the whole record at `from`, or 0 if it does not end before `end`. */
function wholeRecord(from: usize, end: usize): bool {
  let p = from + 1;
  const head = load<u8>(from);
  let varints: u32 = 0;
  if ((head & 3) === 0) varints = head & 64 ? 0 : 1;
  else if ((head & 3) < 3) varints = 1;
  else {
    const type = head >> 2;
    if (type === 5 || type === 12 || type === 13) return p < end;
    if (type === 7) {
      ++p;
      varints = 3;
    } else if (type === 8 || type === 20) {
      p = skip(p, end);
      if (p === 0) return false;
      if (type === 20) return p + <usize>lastValue <= end;
      ++p;
      p = skip(p, end);
      if (p === 0) return false;
      varints = <u32>min<u64>(lastValue, 512) * 2;
    } else if (type === 10 || type === 11 || type === 19) varints = 2;
    else if (type === 15 || type === 16 || type === 21) varints = 3;
    else varints = 1;
  }
  for (; varints > 0; --varints) {
    p = skip(p, end);
    if (p === 0) return false;
  }
  return p <= end;
}

let lastValue: u64 = 0;
function skip(from: usize, end: usize): usize {
  let p = from;
  let value: u64 = 0;
  let shift: u64 = 0;
  while (p < end) {
    const byte = <u64>load<u8>(p++);
    if (shift < 64) value |= (byte & 127) << shift;
    shift += 7;
    if (byte < 128 || shift > 70) {
      lastValue = value;
      return p;
    }
  }
  return 0;
}

/** Replays whole records of the window's first `length` bytes; returns the bytes taken. `stopReason` says why it ended. */
export function replay(length: u32): u32 {
  const end = windowBuffer + length;
  windowEnd = end;
  at = windowBuffer;
  stop = Stop.none;
  const safe = length > MARGIN ? end - MARGIN : windowBuffer;
  while (at < end) {
    const start = at;
    if (start >= safe && !wholeRecord(start, end)) {
      stop = Stop.incomplete;
      break;
    }
    const head = <u32>load<u8>(at++);
    const kind = head & 3;
    if (kind < 3) implicitBefore = kind !== 0 && (head & 32) !== 0;
    if (kind === 0) {
      if ((head & 64) === 0) fetchEnd += sv();
      const size = (head >> 2) & 15;
      const va = fetchEnd;
      setInstruction(va);
      fetchEnd = va + size;
      ++fetches;
      runPage = (fetchEnd - 1) & ~0xfff;
      access(va, size, FETCH, mode);
      if (mode === MODE_USER) ++userAccesses;
    } else if (kind < 3) {
      dataAddress += sv();
      const va = dataAddress;
      const how = head & 32 ? MODE_IMPLICIT : mode;
      if (head & 96) special(head, va);
      if (kind === 1) {
        ++reads;
        access(va, 1 << ((head >> 2) & 7), READ, how);
      } else {
        ++writes;
        access(va, 1 << ((head >> 2) & 7), WRITE, how);
      }
      if (how === MODE_USER) ++userAccesses;
    } else {
      event(head >> 2);
    }
    if (stop !== Stop.none || bad) {
      if (bad) stop = Stop.badVarint;
      if (stop !== Stop.end) {
        at = start;
        break;
      }
      ++events;
      break;
    }
    ++events;
  }
  settle();
  return <u32>(at - windowBuffer);
}

let userAccesses: u64 = 0;
let implicitAccesses: u64 = 0;

/** Accesses by the CPU itself and to device memory. */
function special(head: u32, va: u64): void {
  if (head & 32) ++implicitAccesses;
  if (head & 64) {
    count(Counter.deviceAccesses);
    const gfn = trueFrame(va >> 12);
    if (gfn !== u64.MAX_VALUE) markDevice(gfn);
  }
}

function settle(): void {
  set(Counter.events, events);
  set(Counter.fetches, fetches);
  set(Counter.reads, reads);
  set(Counter.writes, writes);
  set(Counter.accesses, fetches + reads + writes);
  set(Counter.userAccesses, userAccesses);
  set(Counter.implicitAccesses, implicitAccesses);
  const pieces = fetches + reads + writes + read(Counter.pageCrossings);
  set(Counter.translations, pieces);
  settleOracle();
}

/** A load of a control register. Those before the first access are the state that the trace begins with. */
function controlRegister(type: u32): void {
  const value = uv();
  holdExits(fetches + reads + writes === 0);
  if (type === 2) {
    count(Counter.cr3Loads);
    if ((value & CR3_NO_FLUSH) !== 0 && (registers.cr4 & CR4_PCIDE) !== 0) count(Counter.cr3NoFlush);
    loadCr3(value);
  } else {
    count(Counter.controlLoads);
    if (type === 1) loadCr0(value);
    else if (type === 3) loadCr4(value);
    else loadEfer(value);
  }
  holdExits(false);
}

function event(type: u32): void {
  if (type <= 4) {
    if (type === 0) stop = Stop.unknownRecord;
    else controlRegister(type);
  } else if (type === 5) {
    const value = <u32>load<u8>(at++);
    setCpl(value & 3);
    const ac = (value & 4) !== 0;
    registers.ac = ac;
    hardwareControls.ac = ac;
    mode = (value & 3) === 3 ? MODE_USER : ac ? MODE_SUPERVISOR_AC : MODE_SUPERVISOR;
  } else if (type === 6) {
    const va = uv();
    count(Counter.guestInvlpg);
    invlpg(va);
  } else if (type === 7) {
    exception();
  } else if (type === 8) {
    tablePage();
  } else if (type === 9) {
    uv();
    count(Counter.tablePagesDropped);
  } else if (type === 10) {
    tableWriteAddress += sv() << 3;
    const value = uv();
    count(Counter.tableWrites);
    storeTableEntry(tableWriteAddress, value);
  } else if (type === 11) {
    const vpn = sv() & 0xf_ffff_ffff_ffff;
    const gfn = uv();
    recordMapping(vpn, gfn === UNKNOWN_FRAME ? u64.MAX_VALUE : gfn);
  } else if (type === 12) {
    ++at;
  } else if (type === 13) {
    instruction(<u32>load<u8>(at++));
  } else if (type === 14) {
    run(uv());
  } else if (type === 15) {
    const f = uv();
    const r = uv();
    const w = uv();
    /* A recorder that runs fetches of a page together may end before it wrote the last run. */
    const whole = f === fetches || (runs && f > fetches);
    stop = whole && r === reads && w === writes ? Stop.end : Stop.endMismatch;
  } else if (type === 16) {
    const kind = uv();
    const pcid = uv();
    const va = uv();
    if (kind > 3) stop = Stop.badValue;
    else {
      count(Counter.guestInvpcid);
      invpcid(<u32>kind, <u32>pcid & 0xfff, va);
    }
  } else if (type === 17) {
    const cr2 = uv();
    if (lateFault !== 0) {
      replayPageFault(cr2, lateFault - 1);
      invalidateAddress(vpid, latePcid, cr2);
    }
    lateFault = 0;
  } else if (type === 18) {
    const value = <u32>uv();
    registers.pkru = value;
    hardwareControls.pkru = value;
    latchKeys();
  } else if (type === 19) {
    uv();
    uv();
  } else if (type === 20) {
    const length = uv();
    if (length > <u64>(windowEnd - at)) stop = Stop.incomplete;
    else at += <usize>length;
  } else if (type === 21) {
    const what = uv();
    const gfn = uv();
    const frames = uv();
    hostEvent(<u32>what, gfn, frames);
    enter();
    forgetFrames();
  } else {
    stop = Stop.unknownRecord;
  }
}

/** An exception or interrupt was delivered. */
function exception(): void {
  const vector = <u32>load<u8>(at++);
  const code = uv();
  uv();
  const cr2 = uv();
  if (vector === 14) {
    count(Counter.guestPageFaults);
    if (cr2 === 0 && implicitBefore) {
      lateFault = code + 1;
      latePcid = currentPcid();
    } else {
      replayPageFault(cr2, code);
    }
  } else if (vector < 32 || vector === SOFTWARE_INTERRUPT) {
    count(Counter.guestExceptions);
  } else {
    count(Counter.interrupts);
    if (interruptExits) exitAlways(ExitReason.interrupt);
  }
}

/** A frame is a page table from now on; entries that the record does not give are zero. */
function tablePage(): void {
  const gfn = uv();
  const level = <u32>load<u8>(at++);
  const entries = uv();
  if (level < 1 || level > 5 || entries > 512) {
    stop = Stop.badValue;
    return;
  }
  memory.fill(tableBuffer, 0, 4096);
  let index: u64 = 0;
  for (let i: u64 = 0; i < entries; ++i) {
    index += uv();
    const value = uv();
    if (index > 511 || bad) {
      stop = Stop.badValue;
      return;
    }
    store<u64>(tableBuffer + ((<usize>index) << 3), value);
  }
  count(Counter.tablePages);
  noteTablePage(gfn);
  setTablePage(gfn, tableBuffer);
}

/** Instructions that exit under any hypervisor, by the codes of the recorder. */
function instruction(code: u32): void {
  let reason = ExitReason.io;
  if (code === 4) reason = ExitReason.cpuid;
  else if (code === 5) reason = ExitReason.hlt;
  else if (code === 6) reason = ExitReason.wrmsr;
  else if (code === 7) reason = ExitReason.rdmsr;
  else if (code !== 8) return;
  count(Counter.exitingInstructions);
  exitAlways(reason);
}

/** `n` further fetches in the page of the last one. */
function run(n: u64): void {
  runs = true;
  if (n === 0) return;
  fetches += n;
  if (mode === MODE_USER) userAccesses += n;
  accessPage(runPage, FETCH, mode, events);
  if (n > 1) repeatFetch(runPage, n - 1);
}

export function stopReason(): Stop {
  return stop;
}
export function windowSize(): u32 {
  return WINDOW;
}
/** Records replayed, exact up to 2^53. */
export function eventCountNumber(): f64 {
  return <f64>events;
}
