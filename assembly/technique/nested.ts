import { Counter, count, ExitReason } from "../counters";
import { isDevice, isReadOnly } from "../hypervisor/backing";
import { exit, workedEmulation, workedHosted } from "../hypervisor/exits";
import { requestFlush, takeFlush } from "../hypervisor/flush";
import {
  faultIn,
  HostPage,
  hostLevelOf,
  isDirtyLogged,
  isWritable,
  logStores,
  registerNotifier,
  takePages,
} from "../hypervisor/host-page";
import {
  configureSecondStage,
  mapDevice,
  mapGuestPage,
  newSecondStage,
  protectGuestPage,
  restoreGuestPage,
  unmapGuestPage,
} from "../hypervisor/second-stage";
import { zapSecondStage } from "../hypervisor/zap-stage";
import { hosted } from "../memory/ranges";
import { rootTag } from "../mmu/context";
import { invalidateEptrta } from "../mmu/invalidation";
import { guestPsc, hostPsc } from "../mmu/psc";
import { eptrta, retag, setHardware, setVirtualTags } from "../mmu/tags";
import { Parameter, parameter } from "../parameters";
import { ErrorFamily, Tracepoint, trace, traceCode, traceLevel } from "../tracepoints";
import { guest, readPdptesFromMemory, registers, selectMode } from "../vcpu/registers";
import { SECOND_NESTED } from "../walk/dimension";
import { host, resetPml } from "../walk/second";
import { pageFault } from "../walk/translate";
import {
  fault,
  NPF_FINAL,
  NPF_TABLE,
  Outcome,
  PF_FETCH,
  PF_PRESENT,
  PF_RESERVED,
  PF_USER,
  PF_WRITE,
} from "../x86/fault";
import { KIND_EPT } from "../x86/format";
import { loadDirect, mapDirect, mapDirectDevice, releaseDirect, startDirect } from "./direct";
import { Resolution, setEmulatedAddress } from "./resolution";
import { zapAllPages } from "./shadow/cache";
import { dropPage, protectPage } from "./shadow/host";
import { restoreWrites } from "./shadow/rmap";

/**
 * Two-dimensional paging: the hardware walks the guest's tables, and each address in them through the second stage.
 * Page faults, CR3 and INVLPG stay in the guest; what exits is a second stage without a mapping.
 */

/** The tables are direct shadow pages, as KVM built them before its TDP MMU. */
let legacy = false;
/** Linux 6.12 traces a fast fault by all 64 bits of its error code, 6.1 by 32. */
let keysFastFaultsWhole = false;
/** The root was zapped. */
let rootObsolete = false;

export function startNested(): void {
  guest.second = SECOND_NESTED;
  guest.psc = guestPsc;
  host.psc = hostPsc;
  setHardware(guest, registers);
  legacy = parameter(Parameter.tdpLegacy) !== 0;
  keysFastFaultsWhole = parameter(Parameter.shadowKernel) >= 612;
  configureSecondStage();
  useRoot(legacy ? startDirect(parameter(Parameter.hostLevels)) : newSecondStage());
  resetPml(0);
  readPdptesFromMemory(host.format.kind !== KIND_EPT);
  selectMode();
  registerNotifier(dropPages);
}

/** A second-stage refusal: violation, misconfiguration, nested page fault or a full log. */
export function resolveNested(outcome: Outcome, va: u64, access: u32): Resolution {
  if (outcome === Outcome.pageFault || outcome === Outcome.generalProtection) return Resolution.guestFault;
  const gpa = fault.guestPhysical;
  if (outcome === Outcome.pmlFull) {
    resetPml(0);
    exit(ExitReason.pml_full);
    return Resolution.retry;
  }
  const ept = host.format.kind === KIND_EPT;
  const code = ept ? errorCodeOf(fault.qualification) : fault.qualification;
  const reason = ept ? ExitReason.ept_violation : ExitReason.npf;
  const known = ept ? outcome === Outcome.eptMisconfig : (code & PF_RESERVED) !== 0;
  if (!(ept && known)) traceCode(ErrorFamily.page_fault_err, code);
  const writesRom = (code & PF_WRITE) !== 0 && isReadOnly(gpa >> 12);
  if (hosted && (code & NPF_TABLE) !== 0 && isDevice(gpa >> 12)) {
    /* A table where the guest has no memory: the hypervisor's own walk finds nothing. KVM: `kvm_is_error_hva` in `FNAME(walk_addr_generic)`. */
    pageFault(va, access, registers, 0);
    enterNested();
    exit(reason);
    return Resolution.guestFault;
  }
  if (isDevice(gpa >> 12) || writesRom) {
    /* The first access installs an entry that exits by itself; KVM counts a fault only for that one. */
    if (!known) {
      count(Counter.pf_taken);
      count(Counter.pf_emulate);
      if (writesRom) trace(Tracepoint.emulate_insn);
      else if (legacy) mapDirectDevice(gpa);
      else mapDevice(gpa);
    }
    workedEmulation();
    workedHosted();
    enterNested();
    exit(ept && known ? ExitReason.ept_misconfig : reason);
    setEmulatedAddress(gpa);
    return Resolution.emulated;
  }
  count(Counter.pf_taken);
  repair(gpa, code);
  enterNested();
  exit(reason);
  return Resolution.retry;
}

/** A fault of KVM's direct MMUs. KVM: `direct_page_fault`, `kvm_tdp_mmu_map`. */
function repair(gpa: u64, code: u64): void {
  const gfn = gpa >> 12;
  const write = (code & PF_WRITE) !== 0;
  if (write && (code & PF_PRESENT) !== 0) {
    traceCode(ErrorFamily.fast_page_fault_err, keysFastFaultsWhole ? code : code & 0xffff_ffff);
    /* A dirty log protected the page and nothing else did: its first store is seen here. */
    if (isDirtyLogged(gfn) && isWritable(gfn) && (legacy ? restoreWrites(gfn) : restoreGuestPage(gpa))) {
      count(Counter.pf_fast);
      count(Counter.pf_fixed);
      return;
    }
  }
  const hostPage = faultIn(gfn, write);
  if (hostPage === HostPage.copied) return;
  const most = isDirtyLogged(gfn) ? 1 : hostLevelOf(gfn);
  traceLevel(Tracepoint.spte_requested_L1, most);
  const writable = hostPage === HostPage.writable;
  const changed = legacy ? mapDirect(gpa, most, write, writable) : mapGuestPage(gpa, most, writable);
  count(changed ? Counter.pf_fixed : Counter.pf_spurious);
}

/** The error code that KVM makes of an EPT violation. KVM: `handle_ept_violation`. */
function errorCodeOf(qualification: u64): u64 {
  return (
    (qualification & 1 ? PF_USER : 0) |
    (qualification & 2 ? PF_WRITE : 0) |
    (qualification & 4 ? PF_FETCH : 0) |
    (qualification & 0x38 ? PF_PRESENT : 0) |
    (qualification & (1 << 8) ? NPF_FINAL : NPF_TABLE)
  );
}

/** Combined mappings are tagged by the root. */
function useRoot(frame: u64): void {
  host.root = frame << 12;
  setVirtualTags(1, rootTag(host.root));
}

/** Serves the flush that was asked for, and leaves the hardware with a root. KVM: `kvm_vcpu_flush_tlb_all`, `kvm_mmu_reload`. */
export function enterNested(): void {
  if (rootObsolete && legacy) releaseDirect();
  if (takeFlush()) {
    count(Counter.tlb_flush);
    invalidateEptrta(eptrta, false);
  }
  if (!rootObsolete) return;
  rootObsolete = false;
  useRoot(legacy ? loadDirect(parameter(Parameter.hostLevels)) : newSecondStage());
  invalidateEptrta(eptrta, false);
  retag();
}

/** The memory slots change: everything is zapped, and the guest gets a new root. KVM: `kvm_mmu_zap_all_fast`. */
function zapAll(): void {
  if (legacy) zapAllPages();
  else if (!rootObsolete) zapSecondStage();
  rootObsolete = true;
}

function drop(gfn: u64): bool {
  return legacy ? dropPage(gfn) : unmapGuestPage(gfn << 12);
}

/** The host changes pages: their mappings go, with one flush. */
function dropPages(gfn: u64, frames: u64): void {
  trace(Tracepoint.unmap_hva_range);
  let any = false;
  for (let i = gfn; i < gfn + frames; ++i) if (drop(i)) any = true;
  if (any) requestFlush();
}

/** The host takes memory away (1), shares it (2), starts a dirty log (3) or changes the memory slots (4). */
export function hostEventNested(what: u32, gfn: u64, frames: u64): void {
  if (what === 4) {
    zapAll();
    return;
  }
  if (what === 3) {
    logStores(gfn, frames);
    let changed = false;
    for (let i = gfn; i < gfn + frames; ++i)
      if (legacy ? protectPage(i) : protectGuestPage(i << 12)) changed = true;
    if (changed) requestFlush();
    return;
  }
  takePages(gfn, frames, what === 2);
}
