import { Counter, count } from "../../counters";
import { hostFrameOf, isDevice, isReadOnly } from "../../hypervisor/backing";
import { workedHosted } from "../../hypervisor/exits";
import { requestFlush } from "../../hypervisor/flush";
import { faultIn, HostPage, hostLevelOf, isDirtyLogged } from "../../hypervisor/host-page";
import { Parameter, parameter } from "../../parameters";
import { ErrorFamily, Tracepoint, traceCode, traceLevel } from "../../tracepoints";
import { guest, registers } from "../../vcpu/registers";
import { KIND, SHADOW_STACK, USER, WRITE } from "../../x86/access";
import { CR0_WP, CR4_PKE, CR4_PKS, CR4_SMAP, CR4_SMEP } from "../../x86/control";
import { fault, PF_KEY, PF_PRESENT, PF_RESERVED, PF_WRITE } from "../../x86/fault";
import { RIGHT_EXECUTE, RIGHT_USER, RIGHT_WRITE } from "../../x86/rights";
import { Resolution, setEmulatedAddress } from "../resolution";
import { getPage, makeRoom } from "./cache";
import { installDevice, knownDevice } from "./device";
import { emulateInstruction, emulateStore, endRun } from "./emulate";
import { tableAccess, tableFrame, walked, walkGuest } from "./guest-walk";
import { invalidateOn } from "./invalidate";
import { Asker, Leaf, setLeaf } from "./leaf";
import { descend } from "./link";
import { prefetch } from "./prefetch";
import { hasFourByteEntries, roleOf, withQuadrant } from "./role";
import { isRootObsolete, rootFor } from "./roots";
import { childOf, ShadowPage, slotOf } from "./shadow-page";
import { ACCESS_ALL, isLeaf, isPresent } from "./spte";
import { syncChildren, syncExcess } from "./sync";
import { allowsLeaf, isTracked } from "./tracking";
import { clearSlot } from "./zap";

/** A page fault that exited. KVM: `FNAME(page_fault)`, `FNAME(fetch)`. */

let checksSelfMapping = true;
let roomFirst = false;
/** Large pages of the guest are mapped piece by piece. Xen: the fl1 shadows of arch/x86/mm/shadow/multi.c. */
let splinters = false;
/** What the hardware found mapped goes with the fault, whatever the guest's entry says. SDM 3A 4.10.4.1. */
let faultDrops = true;

export function configureFault(): void {
  checksSelfMapping = parameter(Parameter.shadowKernel) < 612;
  roomFirst = parameter(Parameter.shadowKernel) >= 612;
  splinters = parameter(Parameter.shadowSplinter) !== 0;
  faultDrops = parameter(Parameter.shadowFaultDrops) !== 0;
}

/** What comes of the fault that `fault` describes, with the hardware's error code. */
export function resolveFault(va: u64, access: u32): Resolution {
  const code = fault.errorCode;
  traceCode(ErrorFamily.page_fault_err, code);
  if (code & PF_RESERVED && knownDevice(va, access)) {
    setEmulatedAddress(walked.address);
    emulateInstruction();
    workedHosted();
    return Resolution.emulated;
  }
  count(Counter.pf_taken);
  if (!walkGuest(va, access, code & ~PF_RESERVED)) {
    /* The TLB must not hold more than the guest was told. KVM: `kvm_inject_emulated_page_fault`. */
    const mapped = faultDrops ? code : fault.errorCode;
    if ((mapped & (PF_PRESENT | PF_RESERVED)) === PF_PRESENT) invalidateOn(rootFor(va), va);
    count(Counter.pf_guest);
    endRun();
    return Resolution.guestFault;
  }
  const gpa = walked.address;
  const gfn = gpa >> 12;
  if ((code & (PF_PRESENT | PF_WRITE)) === (PF_PRESENT | PF_WRITE) && isTracked(gfn)) {
    clearFlood(va);
    return emulate(va, access, gpa);
  }
  if (isDevice(gfn)) return resolveDevice(va, gpa);
  if ((access & KIND) === WRITE && isReadOnly(gfn)) return emulate(va, access, gpa);
  if (access & SHADOW_STACK) return emulate(va, access, gpa);
  const write = (access & KIND) === WRITE;
  const most: u32 = splinters || (checksSelfMapping && mapsItsTables(gfn, access)) ? 1 : walked.level;
  const hostPage = faultIn(gfn, write);
  if (hostPage === HostPage.copied) return Resolution.retry;

  /* A key's write-disable binds the hardware, which has CR0.WP, where it does not bind the guest without. */
  if (write && (code & PF_KEY) !== 0) return emulate(va, access, gpa);
  if (write && !(walked.access & RIGHT_WRITE)) {
    /*
     * Only CR0.WP = 0 lets this write pass, which the hardware never has: the page becomes a writable page of the
     * supervisor. KVM loses SMAP on such a page, and the user's key would count as the supervisor's; where they count,
     * the write is emulated instead.
     */
    if (walked.access & RIGHT_USER && (registers.cr4 & (CR4_SMAP | CR4_PKE | CR4_PKS)) !== 0)
      return emulate(va, access, gpa);
    walked.access = (walked.access | RIGHT_WRITE) & ~RIGHT_USER;
    if (registers.cr4 & CR4_SMEP) walked.access &= ~RIGHT_EXECUTE;
  }
  if (roomFirst) makeRoom();
  if (isRootObsolete()) return Resolution.retry;
  if (!roomFirst) makeRoom();

  const leaf = fetch(va, gfn, most, write, hostPage === HostPage.writable);
  syncExcess();
  if (leaf === Leaf.emulate) return emulate(va, access, gpa);
  endRun();
  count(leaf === Leaf.spurious ? Counter.pf_spurious : Counter.pf_fixed);
  return Resolution.retry;
}

/** The access is a store into a table that must not be written unseen: the hypervisor makes it. */
function emulate(va: u64, access: u32, gpa: u64): Resolution {
  count(Counter.pf_emulate);
  emulateStore(va, access, gpa);
  setEmulatedAddress(gpa);
  return Resolution.emulated;
}

function resolveDevice(va: u64, gpa: u64): Resolution {
  makeRoom();
  if (isRootObsolete()) return Resolution.retry;
  const page = leafPage(tablePage(va), va, gpa >> 12, 1);
  installDevice(page, slotOf(va, 1), gpa >> 12, walked.access & ACCESS_ALL);
  count(Counter.pf_emulate);
  emulateInstruction();
  workedHosted();
  setEmulatedAddress(gpa);
  return Resolution.emulated;
}

/** A walk came by the tables of `va`: they are in use as tables. KVM: `shadow_page_table_clear_flood`. */
function clearFlood(va: u64): void {
  let page = rootFor(va);
  while (true) {
    page.flood = 0;
    const level = page.level();
    const spte = page.spte(slotOf(va, level));
    if (!isPresent(spte) || isLeaf(spte, level)) return;
    page = childOf(spte);
  }
}

/**
 * Whether the writable page that is mapped holds one of the tables that map it: a large leaf would be broken up at once.
 * KVM 6.1: `FNAME(is_self_change_mapping)`.
 */
function mapsItsTables(gfn: u64, access: u32): bool {
  if (!(walked.access & RIGHT_WRITE) && ((registers.cr0 & CR0_WP) !== 0 || (access & USER) !== 0))
    return false;
  const shift = 9 * (walked.level - 1);
  for (let level = walked.level; level <= guest.top; ++level) {
    if ((gfn ^ tableFrame(level)) >> shift === 0) return true;
  }
  return false;
}

/** The shadow page of the guest's table that holds the leaf for `va`, with everything above it. */
function tablePage(va: u64): ShadowPage {
  let page = rootFor(va);
  for (let level = page.level(); level > walked.level; --level) {
    page.flood = 0;
    const slot = slotOf(va, level);
    const spte = page.spte(slot);
    if (isPresent(spte) && !isLeaf(spte, level)) {
      const child = childOf(spte);
      if (!child.direct() && child.gfn === tableFrame(level - 1)) {
        page = child;
        continue;
      }
      forgetChild(page, slot);
    }
    const role = roleOf(level - 1, false, tableAccess(level - 1));
    /* A table of 4-byte entries spans 4 MiB: each half has its own shadow page. */
    const child = getPage(
      tableFrame(level - 1),
      hasFourByteEntries(role) ? withQuadrant(role, slot & 1) : role,
    );
    /* The guest need not flush when it makes an entry present, so what is linked must be up to date. */
    if (child.unsyncChildren !== 0) syncChildren(child);
    page = descend(page, slot, child);
  }
  return page;
}

/** What a slot leads to is not what the guest's entry says: it was changed by a store that nobody saw, a device's. */
function forgetChild(page: ShadowPage, slot: u32): void {
  clearSlot(page, slot);
  requestFlush();
}

/** The page that the leaf of level `goal` belongs in: below the table's page, direct pages split the guest's leaf. */
function leafPage(table: ShadowPage, va: u64, gfn: u64, goal: u32): ShadowPage {
  let page = table;
  traceLevel(Tracepoint.spte_requested_L1, goal);
  for (let level = page.level(); level > goal; --level) {
    page.flood = 0;
    const slot = slotOf(va, level);
    const spte = page.spte(slot);
    if (isPresent(spte) && !isLeaf(spte, level)) {
      const child = childOf(spte);
      /* A direct page allows what the guest's leaf allowed when it was made. KVM: `validate_direct_spte`. */
      if (child.access() === walked.access && child.direct() && child.gfn === firstFrame(gfn, level)) {
        page = child;
        continue;
      }
      forgetChild(page, slot);
    }
    page = descend(page, slot, getPage(firstFrame(gfn, level), roleOf(level - 1, true, walked.access)));
  }
  page.flood = 0;
  return page;
}

/** First frame of the leaf of `level` that holds `gfn`. */
function firstFrame(gfn: u64, level: u32): u64 {
  return gfn & ~(((<u64>1) << (9 * (level - 1))) - 1);
}

function fetch(va: u64, gfn: u64, most: u32, write: bool, hostWritable: bool): Leaf {
  const table = tablePage(va);
  /* Only now: the tables just shadowed may lie in the range of the leaf. */
  let goal: u32 = 1;
  if (most > 1 && !isDirtyLogged(gfn)) {
    goal = min(most, hostLevelOf(gfn));
    while (!allowsLeaf(gfn, goal)) --goal;
  }
  const page = leafPage(table, va, gfn, goal);
  const slot = slotOf(va, goal);
  const first = firstFrame(gfn, goal);
  const leaf = setLeaf(
    page,
    slot,
    walked.access,
    first,
    hostFrameOf(first),
    Asker.fault,
    write,
    hostWritable,
  );
  if (leaf !== Leaf.spurious) prefetch(page, slot);
  return leaf;
}
