import { ExitReason } from "../counters";
import { configureBacking, hostAddressOf } from "../hypervisor/backing";
import { exit } from "../hypervisor/exits";
import { read64, write64 } from "../memory/physical";
import { hosted } from "../memory/ranges";
import { Reason, setReason } from "../memory/reason";
import { retag } from "../mmu/tags";
import { Parameter, parameter } from "../parameters";
import * as effects from "../vcpu/effects";
import { loadPdptes } from "../vcpu/pdptes";
import { guest, registers } from "../vcpu/registers";
import { READ } from "../x86/access";
import { CR0_WP, CR4_PGE } from "../x86/control";
import { Outcome } from "../x86/fault";
import { startNative } from "./native";
import { enterNested, hostEventNested, resolveNested, startNested } from "./nested";
import { Resolution } from "./resolution";
import * as shadow from "./shadow";

/**
 * The techniques, and what each does at an event of the guest: which events exit, and what the hypervisor does
 * then. A further technique is a row here and a file beside.
 */
export const NATIVE: u32 = 0;
export const NESTED: u32 = 1;
export const SHADOW: u32 = 2;

export let technique: u32 = NATIVE;
/** Nobody resolves what the hardware refuses: the host that embeds the machine is the hypervisor. */
let embedded = false;
export function leaveExits(yes: bool): void {
  embedded = yes;
}
export function leavesExits(): bool {
  return embedded;
}

export function startTechnique(): void {
  technique = parameter(Parameter.technique);
  configureBacking(technique === NATIVE || (hosted && embedded));
  if (technique === NESTED) startNested();
  else if (technique === SHADOW) shadow.startShadow();
  else startNative();
  retag();
}

/** What comes of a translation that the hardware refused with `outcome`. */
export function resolve(outcome: Outcome, va: u64, access: u32): Resolution {
  if (embedded) return Resolution.leave;
  if (isDefined(HOSTED)) setReason(Reason.hypervisor);
  if (technique === NESTED) return resolveNested(outcome, va, access);
  if (technique === SHADOW) return shadow.resolveShadow(outcome, va, access);
  return Resolution.guestFault;
}

/** Whether the machine's own hypervisor has repaired what a load of PDPTEs met, so that it can be made again. */
export function resolveLoad(outcome: Outcome): bool {
  if (outcome === Outcome.ok || outcome === Outcome.generalProtection || technique !== NESTED) return false;
  return resolve(outcome, 0, READ) === Resolution.retry;
}

/** A load of CR0, CR4 or EFER changed these bits: whether it exits under EPT and NPT. CR0.WP is the guest's own. */
export function exitOfCr0(changed: u64): void {
  if (technique === NESTED && !embedded && (changed & ~CR0_WP) !== 0) exit(ExitReason.write_cr0);
}
/** CR4.PGE is guest-owned, so that a guest's whole flush does not exit. KVM: `KVM_POSSIBLE_CR4_GUEST_BITS`. */
export function exitOfCr4(changed: u64): void {
  if (technique === NESTED && !embedded && (changed & ~CR4_PGE) !== 0) exit(ExitReason.write_cr4);
}
export function exitOfEfer(changed: u64): void {
  if (technique === NESTED && !embedded && changed !== 0) exit(ExitReason.wrmsr);
}

export function loadCr0(value: u64): void {
  if (technique === SHADOW) {
    shadow.loadCr0(value);
    return;
  }
  const changed = registers.cr0 ^ value;
  effects.loadCr0(value, true);
  exitOfCr0(changed);
}

export function loadCr3(value: u64): void {
  if (technique === SHADOW) shadow.loadCr3(value);
  else effects.loadCr3(value, true);
}

export function loadCr4(value: u64): void {
  if (technique === SHADOW) {
    shadow.loadCr4(value);
    return;
  }
  const changed = registers.cr4 ^ value;
  effects.loadCr4(value, true);
  exitOfCr4(changed);
}

export function loadEfer(value: u64): void {
  if (technique === SHADOW) {
    shadow.loadEfer(value);
    return;
  }
  const changed = registers.efer ^ value;
  effects.loadEfer(value);
  exitOfEfer(changed);
}

export function invlpg(va: u64): void {
  if (technique === SHADOW) shadow.invlpg(va);
  else effects.invlpg(va);
}

export function invpcid(type: u32, pcid: u32, va: u64): void {
  if (technique === SHADOW) shadow.invpcid(type, pcid, va);
  else effects.invpcid(type, pcid, va);
}

/** The guest stored `value` into the page-table entry at `gpa`; the access itself was made before. */
export function storeTableEntry(gpa: u64, value: u64): void {
  write64(hostAddressOf(gpa), value);
  if (technique === SHADOW) shadow.tableEntryStored(gpa, value);
}

/** The guest's store to `gpa`, which a host has made, is seen by the hypervisor. */
export function entryStored(gpa: u64): void {
  if (technique !== SHADOW) return;
  shadow.tableEntryStored(gpa, read64(hostAddressOf(gpa)));
  shadow.enter();
}

/** The guest frame `gfn` is a page table from now on, with the 512 entries at `content`. */
export function setTablePage(gfn: u64, content: usize): void {
  if (technique === SHADOW) shadow.tablePageReplaced(gfn, content);
  const hpa = hostAddressOf(gfn << 12);
  for (let i: u32 = 0; i < 512; ++i) write64(hpa + (i << 3), load<u64>(content + ((<usize>i) << 3)));
  /* A trace tells a root after the load of CR3 that made it one, and that load took the PDPTEs from it. */
  if (guest.format.pdpteRegisters && gfn === guest.root >> 12) {
    if (technique === SHADOW) shadow.rootTold();
    else loadPdptes(true);
  }
}

/** An instruction that exits under any hypervisor, or an interrupt. */
export function exitAlways(reason: ExitReason): void {
  if (technique !== NATIVE) exit(reason);
}

/** The guest goes on after something that it did not cause. */
export function enter(): void {
  if (technique === SHADOW) shadow.enter();
  else if (technique === NESTED) enterNested();
}

/** The host takes memory away (1), shares it (2), starts a dirty log (3) or changes the memory slots (4). */
export function hostEvent(what: u32, gfn: u64, frames: u64): void {
  if (technique === SHADOW) shadow.hostEvent(what, gfn, frames);
  else if (technique === NESTED) hostEventNested(what, gfn, frames);
}
