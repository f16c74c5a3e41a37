import { Counter, count, ExitReason } from "../counters";
import { hostAddressOf } from "../hypervisor/backing";
import { exit } from "../hypervisor/exits";
import { requestFlush } from "../hypervisor/flush";
import { registerNotifier, takePages } from "../hypervisor/host-page";
import { read64 } from "../memory/physical";
import { invalidateAddressOfVpid } from "../mmu/invalidation";
import { retag, vpid } from "../mmu/tags";
import { Parameter, parameter } from "../parameters";
import { activeLongMode } from "../vcpu/legality";
import { loadPdptes } from "../vcpu/pdptes";
import { cr3, currentPcid, guest, registers, rootOf, setCr3Value } from "../vcpu/registers";
import {
  CR0_CD,
  CR0_NW,
  CR0_PG,
  CR0_WP,
  CR3_NO_FLUSH,
  CR3_PCID,
  CR4_LA57,
  CR4_PAE,
  CR4_PCIDE,
  CR4_PGE,
  CR4_PKE,
  CR4_PKS,
  CR4_PSE,
  CR4_SMAP,
  CR4_SMEP,
  EFER_LMA,
  EFER_LME,
  EFER_NXE,
} from "../x86/control";
import { ACCESSED, DIRTY } from "../x86/entries";
import { Outcome } from "../x86/fault";
import { Resolution } from "./resolution";
import { configureCache, firstOf, nextOf, shadows, zapAllPages } from "./shadow/cache";
import { configureEmulate, emulateInstruction, storeMade } from "./shadow/emulate";
import { configureFault, resolveFault } from "./shadow/fault";
import { configureGuestWalk } from "./shadow/guest-walk";
import { configureHardware, followGuest } from "./shadow/hardware";
import { dropPages, startDirtyLog } from "./shadow/host";
import { configureInvalidate, invalidateAll, invalidateOn } from "./shadow/invalidate";
import { configurePrefetch } from "./shadow/prefetch";
import { enterGuest, FLUSH_CURRENT, FLUSH_GUEST, request, SYNC } from "./shadow/requests";
import { hasFourByteEntries } from "./shadow/role";
import {
  configureRoots,
  pcidOf,
  releaseAllRoots,
  releaseCurrentRoot,
  releaseRootsOf,
  rootAt,
  rootFor,
  rootsKept,
  switchRoot,
} from "./shadow/roots";
import { configureSync, syncAll } from "./shadow/sync";
import { configureUnsync } from "./shadow/unsync";
import { clearSlot } from "./shadow/zap";

/**
 * Shadow paging as Linux KVM does it: the hardware walks tables that the hypervisor derives from the guest's, and every
 * fault, CR3 load and INVLPG exits. This file is what the guest does; shadow/ is what the hypervisor does then.
 */

/** Whether the guest runs: until its first access its registers are being set, and nothing exits. */
let running = false;
/** Control instructions are emulated or at least decoded, by a CPU that does neither at the exit. */
let emulatesControls = false;

export function startShadow(): void {
  running = false;
  emulatesControls = parameter(Parameter.shadowEmulateControls) !== 0;
  configureCache(1);
  configureEmulate();
  configureFault();
  configureGuestWalk();
  configureInvalidate();
  configurePrefetch();
  configureRoots();
  configureSync();
  configureUnsync();
  configureHardware();
  registerNotifier(dropPages);
}

/** The instruction that exited is read and decoded, before it changes how. */
function decode(): void {
  if (running && emulatesControls) emulateInstruction();
}

/** The handler is done: back to the guest. */
function leave(reason: ExitReason): void {
  enterGuest();
  exit(reason);
}

export function resolveShadow(outcome: Outcome, va: u64, access: u32): Resolution {
  if (outcome === Outcome.generalProtection) return Resolution.guestFault;
  if (!running) {
    running = true;
    enterGuest();
    return Resolution.retry;
  }
  const resolution = resolveFault(va, access);
  leave(ExitReason.page_fault);
  return resolution;
}

/** Bits of CR0 and CR4 whose change loads the PDPTEs. SDM 3A 4.4.1. */
const CR0_PDPTES: u64 = CR0_CD | CR0_NW | CR0_PG;
const CR4_PDPTES: u64 = CR4_PAE | CR4_PGE | CR4_PSE | CR4_SMEP;

/** PDPTEs are registers: other ones are other roots. KVM: `load_pdptrs`. */
function reloadPdptes(): void {
  if (!guest.format.pdpteRegisters) return;
  const pdptes = guest.pdptes;
  const p0 = pdptes[0];
  const p1 = pdptes[1];
  const p2 = pdptes[2];
  const p3 = pdptes[3];
  loadPdptes(true);
  if (p0 !== pdptes[0] || p1 !== pdptes[1] || p2 !== pdptes[2] || p3 !== pdptes[3]) releaseCurrentRoot();
}

/** The mode changed: roots of the old one are let go, their pages stay cached. KVM: `kvm_mmu_reset_context`. */
function resetContext(): void {
  releaseAllRoots();
  followGuest();
}

/** Registers are being set before the guest runs. */
function prepare(): void {
  followGuest();
  reloadPdptes();
}

const TASK_SWITCHED: u64 = 1 << 3;

export function loadCr0(value: u64): void {
  const changed = registers.cr0 ^ value;
  if ((changed & ~TASK_SWITCHED) !== 0) decode();
  registers.cr0 = value;
  if ((changed & CR0_PG) !== 0 && (registers.efer & EFER_LME) !== 0)
    registers.efer = activeLongMode(value, registers.efer);
  if (!running) {
    prepare();
    return;
  }
  if ((changed & CR0_PG) !== 0 && (value & CR0_PG) === 0) request(FLUSH_GUEST);
  if ((changed & (CR0_PG | CR0_WP)) !== 0) resetContext();
  else followGuest();
  if ((changed & CR0_PDPTES) !== 0) reloadPdptes();
  /* TS is the guest's own. KVM: `KVM_POSSIBLE_CR0_GUEST_BITS`. */
  if ((changed & ~TASK_SWITCHED) !== 0) leave(ExitReason.write_cr0);
}

const CR4_ROLE: u64 = CR4_PSE | CR4_PAE | CR4_LA57 | CR4_SMEP | CR4_SMAP | CR4_PKE | CR4_PKS;

/** KVM: `kvm_post_set_cr4`. */
export function loadCr4(value: u64): void {
  const changed = registers.cr4 ^ value;
  if (changed !== 0) decode();
  registers.cr4 = value;
  if (!running) {
    prepare();
    return;
  }
  if (changed === 0) return;
  if ((changed & CR4_ROLE) !== 0) resetContext();
  else followGuest();
  if ((changed & CR4_PDPTES) !== 0) reloadPdptes();
  const pcidsOff = (changed & CR4_PCIDE) !== 0 && (value & CR4_PCIDE) === 0;
  if ((changed & CR4_PCIDE) !== 0 && !pcidsOff) releaseAllRoots();
  if ((changed & CR4_PGE) !== 0 || pcidsOff) request(FLUSH_GUEST);
  else if ((changed & CR4_PAE) !== 0 || (changed & value & CR4_SMEP) !== 0) request(FLUSH_CURRENT);
  leave(ExitReason.write_cr4);
}

export function loadEfer(value: u64): void {
  const changed = registers.efer ^ value;
  if (changed !== 0) decode();
  registers.efer = value;
  if (!running) {
    prepare();
    return;
  }
  if ((changed & (EFER_NXE | EFER_LME | EFER_LMA)) !== 0) resetContext();
  if (changed !== 0) leave(ExitReason.wrmsr);
}

/** KVM: `kvm_set_cr3`, `kvm_mmu_new_pgd`. */
export function loadCr3(value: u64): void {
  const pcids = (registers.cr4 & CR4_PCIDE) !== 0;
  const kept = pcids ? value & ~CR3_NO_FLUSH : value;
  if (!running) {
    setCr3Value(kept);
    prepare();
    return;
  }
  decode();
  if (kept !== cr3) {
    setCr3Value(kept);
    guest.root = rootOf(kept);
    if (switchRoot(kept)) rootAt(0).flood = 0;
  }
  reloadPdptes();
  if (!pcids || (value & CR3_NO_FLUSH) === 0) flushPcid(<u32>(pcids ? kept & CR3_PCID : 0));
  retag();
  leave(ExitReason.write_cr3);
}

/** The guest flushes a PCID; roots that are not cached are synchronized when they are loaded. KVM: `kvm_invalidate_pcid`. */
function flushPcid(pcid: u32): void {
  if (currentPcid() === pcid) {
    syncAll();
    request(SYNC | FLUSH_CURRENT);
  }
  if ((registers.cr4 & CR4_PCIDE) !== 0) releaseRootsOf(pcid);
}

export function invlpg(va: u64): void {
  if (!running) return;
  decode();
  count(Counter.invlpg);
  invalidateAll(va);
  invalidateAddressOfVpid(vpid, va);
  leave(ExitReason.invlpg);
}

/** KVM: `kvm_handle_invpcid`, `kvm_mmu_invpcid_gva`. */
export function invpcid(type: u32, pcid: u32, va: u64): void {
  if (!running) return;
  if (type === 0) {
    let any = false;
    for (let i: u32 = 0, n = rootsKept(); i < n; ++i) {
      const root = i === 0 ? rootFor(va) : rootAt(i);
      if (root.isNone() || (i === 0 ? currentPcid() : pcidOf(i)) !== pcid) continue;
      invalidateOn(root, va);
      any = true;
    }
    count(Counter.invlpg);
    if (any) invalidateAddressOfVpid(vpid, va);
  } else if (type === 1) {
    flushPcid(pcid);
  } else {
    /* The sptes know no global pages, so what spares these spares nothing. */
    request(FLUSH_GUEST);
  }
  leave(ExitReason.invpcid);
}

export function tableEntryStored(gpa: u64, value: u64): void {
  storeMade(gpa, value);
}

/**
 * A frame becomes a table with a content that no store was seen of. What a page in sync holds of the former content goes.
 */
export function tablePageReplaced(gfn: u64, content: usize): void {
  if (!running) return;
  const table = hostAddressOf(gfn << 12);
  let flush = false;
  for (let page = firstOf(gfn); !page.isNone(); page = nextOf(page)) {
    if (!shadows(page, gfn) || page.unsync) continue;
    const all = hasFourByteEntries(page.role);
    for (let slot: u32 = 0; slot < 512; ++slot) {
      if (page.spte(slot) === 0) continue;
      const changed = all
        ? u64.MAX_VALUE
        : read64(table + (slot << 3)) ^ load<u64>(content + ((<usize>slot) << 3));
      if ((changed & ~(ACCESSED | DIRTY)) !== 0 && clearSlot(page, slot)) flush = true;
    }
  }
  if (!flush) return;
  requestFlush();
  enterGuest();
}

/** The host takes memory away (1), shares it (2), starts a dirty log (3) or changes the memory slots (4). */
export function hostEvent(what: u32, gfn: u64, frames: u64): void {
  if (what === 4) zapAllPages();
  else if (what === 3) startDirtyLog(gfn, frames);
  else takePages(gfn, frames, what === 2);
}

/** The PDPTEs of the current root are known from now on. */
export function rootTold(): void {
  reloadPdptes();
  enter();
}

/** What the host's doing left to be done is done before the guest goes on. */
export function enter(): void {
  if (running) enterGuest();
}
