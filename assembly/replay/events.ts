import { Counter, count, ExitReason } from "../counters";
import { switched } from "../guest/kernel";
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
import { currentPcid, registers } from "../vcpu/registers";
import { CR3_NO_FLUSH, CR4_PCIDE } from "../x86/control";
import {
  beforeFirstAccess,
  countsAgree,
  eventNumber,
  followsImplicitAccess,
  runFetches,
  setMode,
} from "./accesses";
import { noteTablePage } from "./digest";
import { replayPageFault } from "./fault";
import { forgetFrames, recordMapping } from "./oracle";
import { noteMarker } from "./pause";
import { byte, hasOverlong, RecordType, skipBytes, sv, uv } from "./stream";

/** What the records other than accesses do (traces/FORMAT.md). */

/** Why a replay stopped before the end of its bytes. */
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
  /** An access that no repair gets on. */
  stuck,
  /** pause.ts wanted it. */
  paused,
}

/** Bounds that the format sets (traces/FORMAT.md): frames of one record of the host, frame numbers, labels, runs. */
const HOST_FRAMES: u64 = 1 << 24;
const MOST_FRAME: u64 = 1 << 40;
const MOST_LABEL: u64 = 4096;
const MOST_RUN: u64 = 1 << 48;
/** A recorder writes this frame where it could not tell. */
const UNKNOWN_FRAME: u64 = 0xf_ffff_ffff_ffff;
/** The vector of Linux's 32-bit system call: an exception of the program, not an interrupt. */
const SOFTWARE_INTERRUPT: u32 = 0x80;

let tableWriteAddress: u64 = 0;
let interruptExits = false;
/**
 * Error code + 1 of a page fault whose address is not known yet. A recorder that sees only the handler's read of CR2
 * puts the exception after its frame is pushed, with a CR2 of 0, and gives the address in a later record.
 */
let lateFault: u64 = 0;
/** The address space that it happened in: the handler may have changed CR3 since. */
let latePcid: u32 = 0;

const tableBuffer = memory.data(4096, 16);

export function configureEvents(): void {
  interruptExits = parameter(Parameter.interruptExits) !== 0;
}

/** Does a record of kind 3 whose first byte is read. */
export function replayEvent(type: u32): Stop {
  switch (type) {
    case RecordType.cr0:
    case RecordType.cr3:
    case RecordType.cr4:
    case RecordType.efer:
      controlRegister(type);
      break;
    case RecordType.mode: {
      const value = byte();
      if (value > 7) return Stop.badValue;
      setMode(value);
      break;
    }
    case RecordType.invlpg:
      count(Counter.guestInvlpg);
      invlpg(uv());
      break;
    case RecordType.exception:
      exception();
      break;
    case RecordType.tablePage:
      return tablePage();
    case RecordType.tablePageDropped:
      uv();
      count(Counter.tablePagesDropped);
      break;
    case RecordType.tableWrite:
      tableWriteAddress += sv() << 3;
      count(Counter.tableWrites);
      storeTableEntry(tableWriteAddress, uv());
      break;
    case RecordType.mapping: {
      const vpn = sv() & 0xf_ffff_ffff_ffff;
      const gfn = uv();
      recordMapping(vpn, gfn === UNKNOWN_FRAME ? u64.MAX_VALUE : gfn);
      break;
    }
    case RecordType.mark:
      noteMarker(byte());
      break;
    case RecordType.instruction:
      instruction(byte());
      break;
    case RecordType.fetchRun: {
      const n = uv();
      if (n > MOST_RUN) return Stop.badValue;
      runFetches(n);
      break;
    }
    case RecordType.end: {
      const fetches = uv();
      const reads = uv();
      return countsAgree(fetches, reads, uv()) ? Stop.end : Stop.endMismatch;
    }
    case RecordType.invpcid:
      return invalidatePcid();
    case RecordType.cr2:
      lateAddress(uv());
      break;
    case RecordType.pkru: {
      const value = uv();
      if (value > u32.MAX_VALUE) return Stop.badValue;
      setPkru(<u32>value);
      break;
    }
    case RecordType.process:
      switched(uv(), uv(), eventNumber());
      break;
    case RecordType.label: {
      const length = uv();
      if (length > MOST_LABEL) return Stop.badValue;
      return skipBytes(length) ? Stop.none : Stop.incomplete;
    }
    case RecordType.host:
      return host();
    default:
      return Stop.unknownRecord;
  }
  return Stop.none;
}

/** A load of a control register. Those before the first access are the state that the trace begins with. */
function controlRegister(type: u32): void {
  const value = uv();
  holdExits(beforeFirstAccess());
  if (type === RecordType.cr3) {
    count(Counter.cr3Loads);
    if ((value & CR3_NO_FLUSH) !== 0 && (registers.cr4 & CR4_PCIDE) !== 0) count(Counter.cr3NoFlush);
    loadCr3(value);
  } else {
    count(Counter.controlLoads);
    if (type === RecordType.cr0) loadCr0(value);
    else if (type === RecordType.cr4) loadCr4(value);
    else loadEfer(value);
  }
  holdExits(false);
}

function setPkru(value: u32): void {
  registers.pkru = value;
  hardwareControls.pkru = value;
  latchKeys();
}

function invalidatePcid(): Stop {
  const type = uv();
  const pcid = uv();
  const va = uv();
  if (type > 3) return Stop.badValue;
  count(Counter.guestInvpcid);
  invpcid(<u32>type, <u32>pcid & 0xfff, va);
  return Stop.none;
}

function host(): Stop {
  const what = uv();
  const gfn = uv();
  const frames = uv();
  if (what < 1 || what > 4 || frames > HOST_FRAMES || gfn >= MOST_FRAME || gfn + frames > MOST_FRAME)
    return Stop.badValue;
  hostEvent(<u32>what, gfn, frames);
  enter();
  forgetFrames();
  return Stop.none;
}

/** An exception or interrupt was delivered. */
function exception(): void {
  const vector = byte();
  const code = uv();
  uv();
  const cr2 = uv();
  if (vector === 14) {
    count(Counter.guestPageFaults);
    if (cr2 === 0 && followsImplicitAccess()) {
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

/** The address of the page fault that is waiting for it. */
function lateAddress(cr2: u64): void {
  if (lateFault === 0) return;
  replayPageFault(cr2, lateFault - 1);
  invalidateAddress(vpid, latePcid, cr2);
  lateFault = 0;
}

/** A frame is a page table from now on; entries that the record does not give are zero. */
function tablePage(): Stop {
  const gfn = uv();
  const level = byte();
  const entries = uv();
  if (gfn >= MOST_FRAME || level < 1 || level > 5 || entries > 512) {
    return Stop.badValue;
  }
  memory.fill(tableBuffer, 0, 4096);
  let index: u64 = 0;
  for (let i: u64 = 0; i < entries; ++i) {
    const step = uv();
    index += step;
    const value = uv();
    if (index > 511 || (step === 0 && i > 0) || hasOverlong()) return Stop.badValue;
    store<u64>(tableBuffer + ((<usize>index) << 3), value);
  }
  count(Counter.tablePages);
  noteTablePage(gfn);
  setTablePage(gfn, tableBuffer);
  return Stop.none;
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
