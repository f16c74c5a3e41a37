import { read64, write64 } from "../memory/physical";
import { Parameter, parameter } from "../parameters";
import { Tracepoint, traceLevel, tracePage } from "../tracepoints";
import { host } from "../walk/second";
import { FRAME, LARGE } from "../x86/entries";
import { worked } from "./exits";
import { changePages, isDeviceMark } from "./second-stage";

/**
 * Taking a whole second stage down, as a change of the memory slots does. An entry that goes takes everything below along.
 * KVM: `tdp_mmu_zap_root`, `handle_removed_pt`.
 */

const SLOTS: u32 = 512;

function isPresent(entry: u64): bool {
  return (entry & host.format.present) !== 0 && !isDeviceMark(entry);
}
function isLeaf(entry: u64, level: u32): bool {
  return level === 1 || (entry & LARGE) !== 0;
}

/** Every entry of a table is marked as removed, present or not. */
function removeTable(table: u64, level: u32): void {
  tracePage(Tracepoint.sp_zapped_L1, level, true);
  worked(SLOTS);
  for (let slot: u32 = 0; slot < SLOTS; ++slot) {
    traceLevel(Tracepoint.tdp_spte_changed_L1, level);
    forget(read64(table + (slot << 3)), level);
  }
}

/** An entry is gone. */
function forget(entry: u64, level: u32): void {
  if (!isPresent(entry)) return;
  if (isLeaf(entry, level)) changePages(level, false);
  else removeTable(entry & FRAME, level - 1);
}

/** Empties the present entries of one level. */
function zapLevel(table: u64, level: u32, wanted: u32): void {
  for (let slot: u32 = 0; slot < SLOTS; ++slot) {
    const at = table + (slot << 3);
    const entry = read64(at);
    if (!isPresent(entry)) continue;
    if (level > wanted) {
      if (!isLeaf(entry, level)) zapLevel(entry & FRAME, level - 1, wanted);
      continue;
    }
    write64(at, 0);
    worked(1);
    traceLevel(Tracepoint.tdp_spte_changed_L1, level);
    forget(entry, level);
  }
}

/** Linux 6.12 goes through every level, 6.1 begins with the entries of 1 GiB. */
export function zapSecondStage(): void {
  const top = host.format.levels;
  for (let level: u32 = parameter(Parameter.shadowKernel) >= 612 ? 1 : 3; level <= 3; ++level)
    zapLevel(host.root, top, level);
  zapLevel(host.root, top, top);
}
