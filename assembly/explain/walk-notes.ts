import { guest } from "../vcpu/registers";
import { Dimension } from "../walk/dimension";
import { row, Walker, walker } from "../walk/walk";
import { KIND_PAGE_TABLE } from "../x86/format";
import { Refusal } from "../x86/refusal";
import {
  flagsAt,
  keepFlags,
  note,
  noteFirstStageTables,
  Source,
  Step,
  source,
  Tables,
  withoutEffect,
} from "./log";

/** What the walker tells the log. */

function tablesOf(d: Dimension): Tables {
  if (d.format.kind !== KIND_PAGE_TABLE) return Tables.host;
  return d === guest ? Tables.guest : Tables.shadow;
}

export function notePdpte(d: Dimension, value: u64): void {
  note(Step.pdpte, tablesOf(d), 3, 0, 0, 0, 0, 0, 0, value, 0);
}

/** An entry that was read; returns it with the flags that a walk without effect has set. */
export function noteEntry(d: Dimension, level: u32, hostAddress: u64, entry: u64, cycles: u32): u64 {
  const value = withoutEffect ? entry | flagsAt(hostAddress) : entry;
  const tables = tablesOf(d);
  const host = tables === Tables.host;
  if (!host) noteFirstStageTables(tables);
  const hardware = walker === Walker.hardware;
  const set = (value & 0x80) !== 0 ? 1 : 0;
  note(
    hardware ? Step.reference : Step.software,
    tables,
    host ? row : level,
    host ? level : 0,
    hardware ? source() : Source.flat,
    0,
    cycles,
    d.addresses[level],
    hostAddress,
    value,
    value & d.format.reserved[(level << 1) + set],
  );
  return value;
}

export function noteFlags(d: Dimension, level: u32, hostAddress: u64, value: u64, flags: u64): void {
  if (withoutEffect) keepFlags(hostAddress, flags);
  const tables = tablesOf(d);
  const host = tables === Tables.host;
  note(
    Step.flags,
    tables,
    host ? row : level,
    host ? level : 0,
    0,
    0,
    0,
    d.addresses[level],
    hostAddress,
    value,
    flags,
  );
}

export function noteRefusal(d: Dimension, refusal: Refusal): void {
  const tables = tablesOf(d);
  const host = tables === Tables.host;
  note(Step.refusal, tables, host ? row : d.level, host ? d.level : 0, refusal, 0, 0, 0, 0, 0, 0);
}
