import { delayAccess, drain, issueMany } from "../clock";
import { addStructure, Counter, count, countStructure, countWalkLength, StructureCell } from "../counters";
import {
  Lookup,
  noteDone,
  noteRefusedAddress,
  noteResolution,
  noteTlb,
  noteWalk,
  noteWalkEnd,
  recording,
} from "../explain/log";
import { beginAccess } from "../explain/tables";
import { TaggedArray } from "../mmu/array";
import { dataCycles } from "../mmu/cache";
import { hintOf, setHint } from "../mmu/hints";
import { invalidateFault, invalidateViolation } from "../mmu/invalidation";
import { accessClass, permits } from "../mmu/permission";
import {
  context,
  eptrta,
  globalContext,
  hardware,
  hardwareControls,
  keysRestricted,
  vpid,
} from "../mmu/tags";
import {
  anyCoalesces,
  entrySize,
  firstFor,
  foundArray,
  l2,
  l2ForFetch,
  sizeClass,
  TLB_FRAME,
  TLB_G,
  TLB_KEY_SHIFT,
  TLB_R2,
  TLB_SHADOW_STACK,
  TLB_U,
  TLB_W2,
  TlbLevel,
} from "../mmu/tlb";
import { Parameter, parameter } from "../parameters";
import { emulatedAddress, Resolution } from "../technique/resolution";
import { resolve } from "../technique/technique";
import { currentPcid, globalPages, guest } from "../vcpu/registers";
import { coalesce } from "../walk/coalesce";
import { composed, translate } from "../walk/translate";
import { addWalkCycles, beginHardwareWalk, endHardwareWalk, walkCycles, walkReferences } from "../walk/walk";
import { FETCH, MODE_SHADOW_STACK, MODE_SHADOW_STACK_USER, MODE_USER, USER, WRITE } from "../x86/access";
import { SIZE_4K, sizeShift } from "../x86/entries";
import { fault, Outcome } from "../x86/fault";
import { isCanonical } from "../x86/format";
import { accessOf, keyRefuses, shadowStackAllows } from "../x86/rights";

/** A translation for an access to one page: first-level TLB, second-level TLB, walk, and the hypervisor if it is needed. */

let l2Cycles: u32 = 0;
let l2ItlbCycles: u32 = 0;
export let dataCaches: bool = false;
let fetchCycles: u32 = 0;
let coalesces = false;

export function configureAccess(): void {
  l2Cycles = parameter(Parameter.l2TlbCycles);
  l2ItlbCycles = parameter(Parameter.l2ItlbCycles);
  dataCaches = parameter(Parameter.dataCaches) !== 0;
  fetchCycles = parameter(Parameter.walkFetchCycles);
  coalesces = anyCoalesces();
}

/** Where the last access that succeeded went; a `wasEmulated` one is a guest-physical address. */
export let accessedAddress: u64 = 0;
export let wasEmulated: bool = false;
/** The TLB entry that it went by, and its cycles beyond a hit in the first level, without exits. */
export let accessedEntry: u64 = 0;
export let accessedCycles: u32 = 0;

export function addressIn(data: u64, va: u64): u64 {
  const mask = ((<u64>1) << sizeShift(entrySize(data))) - 1;
  return (data & TLB_FRAME & ~mask) | (va & mask);
}

function keyDenies(data: u64, kind: u32, mode: u32): bool {
  const user = (data & TLB_U) !== 0;
  const c = hardwareControls;
  return keyRefuses(
    user,
    <u32>(data >> TLB_KEY_SHIFT) & 15,
    kind | (mode === MODE_USER || mode === MODE_SHADOW_STACK_USER ? USER : 0),
    c.cr0,
    c.cr4,
    c.pkru,
    c.pkrs,
  );
}

export function keyRestricted(data: u64): bool {
  return ((keysRestricted >> (<u32>(data >> TLB_KEY_SHIFT) & 15)) & 1) !== 0;
}

/** A shadow-stack page has its dirty flag, so a write needs none to be set. */
function usableByShadowStack(data: u64, kind: u32, mode: u32): bool {
  const page = (data & TLB_SHADOW_STACK) !== 0;
  const second = kind === WRITE ? TLB_W2 | TLB_R2 : TLB_R2;
  if (!shadowStackAllows(<u32>data & 7, page, accessOf(kind, mode)) || (data & second) !== second)
    return false;
  return !(keyRestricted(data) && keyDenies(data, kind, mode));
}

/** Whether a TLB entry serves an access. */
export function usable(data: u64, kind: u32, mode: u32): bool {
  if (mode >= MODE_SHADOW_STACK) return usableByShadowStack(data, kind, mode);
  return permits(accessClass(kind, mode), data) && !(keyRestricted(data) && keyDenies(data, kind, mode));
}

/** Everything but a first-level hit on a page seen lately. Exported so that it stays out of the loop. */
export function accessSlow(va: u64, kind: u32, mode: u32): Outcome {
  const fetch = kind === FETCH;
  const first = firstFor(kind);
  wasEmulated = false;
  if (!isCanonical(va, guest.format)) return refuseAddress(va, kind, mode);
  if (recording) beginAccess(va, accessOf(kind, mode));
  countStructure(first.structure, StructureCell.lookups);
  let at = first.find(va, context, globalContext);
  if (at !== 0) {
    const array = foundArray;
    const data = array.data(at);
    if (usable(data, kind, mode)) {
      array.touch(at);
      countStructure(
        first.structure,
        <StructureCell>(<u32>StructureCell.hits4k + sizeClass(entrySize(data))),
      );
      setHint(va >> 12, kind, at, changetype<usize>(array));
      if (recording) noteTlb(first.structure, Lookup.hit, va, kind, mode, data, 0);
      finish(data, addressIn(data, va), va, fetch, 0, 0);
      return Outcome.ok;
    }
    count(Counter.rightsMisses);
  }
  countStructure(first.structure, StructureCell.misses);
  if (recording) noteMiss(first, at, va, kind, mode, 0);

  const second: TlbLevel = fetch ? l2ForFetch() : l2;
  let tlbCycles: u32 = 0;
  if (second.length > 0) {
    tlbCycles = fetch ? l2ItlbCycles : l2Cycles;
    countStructure(second.structure, StructureCell.lookups);
    at = second.find(va, context, globalContext);
    if (at !== 0) {
      const array = foundArray;
      const data = array.data(at);
      if (usable(data, kind, mode)) {
        array.touch(at);
        countStructure(
          second.structure,
          <StructureCell>(<u32>StructureCell.hits4k + sizeClass(entrySize(data))),
        );
        if (second.isVictim) array.remove(at);
        if (recording) noteTlb(second.structure, Lookup.hit, va, kind, mode, data, tlbCycles);
        fillFirst(first, va, data, kind);
        finish(data, addressIn(data, va), va, fetch, tlbCycles, 0);
        return Outcome.ok;
      }
      count(Counter.rightsMisses);
    }
    countStructure(second.structure, StructureCell.misses);
    if (recording) noteMiss(second, at, va, kind, mode, tlbCycles);
  }
  return walkPage(va, kind, mode, first, second, tlbCycles);
}

/** The CPU looks at the address before it translates it. SDM 1 3.3.7.1. */
function refuseAddress(va: u64, kind: u32, mode: u32): Outcome {
  count(Counter.nonCanonical);
  if (recording) noteRefusedAddress(va, kind, mode);
  accessedCycles = 0;
  drain();
  return Outcome.generalProtection;
}

/** A TLB had no entry, or the one at `at`, which does not allow the access. */
function noteMiss(level: TlbLevel, at: usize, va: u64, kind: u32, mode: u32, cycles: u32): void {
  const found = at !== 0 ? foundArray.data(at) : 0;
  noteTlb(level.structure, at !== 0 ? Lookup.refused : Lookup.miss, va, kind, mode, found, cycles);
}

function finish(entry: u64, hpa: u64, va: u64, fetch: bool, tlb: u32, walk: u32): void {
  accessedAddress = hpa;
  accessedEntry = entry;
  const data = dataCaches ? dataCycles(hpa, va, fetch) : 0;
  accessedCycles = tlb + walk + data;
  if (recording) noteDone(va, hpa, entry, data, false);
  if (tlb | walk | data) delayAccess(tlb, walk, data);
}

function contextFor(data: u64): u32 {
  return data & TLB_G && globalPages() ? globalContext : context;
}

function fillFirst(first: TlbLevel, va: u64, data: u64, kind: u32): void {
  const at = first.fill(va, entrySize(data), contextFor(data), data);
  if (at !== 0) setHint(va >> 12, kind, at, changetype<usize>(foundArray));
}

/** Walks until the page is translated, the guest faults, or the hypervisor has carried the access out. */
function walkPage(va: u64, kind: u32, mode: u32, first: TlbLevel, second: TlbLevel, tlbCycles: u32): Outcome {
  const access = accessOf(kind, mode);
  const fetch = kind === FETCH;
  let tlb = tlbCycles;
  let attempt: u32 = 0;
  while (true) {
    if (attempt > 0) count(Counter.walksRetried);
    beginHardwareWalk();
    if (fetch) addWalkCycles(fetchCycles);
    if (recording) noteWalk(va, attempt, walkCycles);
    const outcome = translate(hardware, hardwareControls, va, access);
    endHardwareWalk(outcome);
    countWalkLength(walkReferences);
    if (recording) noteWalkEnd(outcome, walkCycles, fault.address, faultCode(outcome), fault.guestPhysical);
    if (outcome === Outcome.ok) {
      const data = coalesces && composed.size === SIZE_4K ? coalesce(hardware) : composed.data;
      if (second.length > 0 && !second.isVictim) second.fill(va, entrySize(data), contextFor(data), data);
      fillFirst(first, va, data, kind);
      finish(composed.data, composed.address, va, fetch, tlb, walkCycles);
      return outcome;
    }
    delayAccess(tlb, walkCycles, 0);
    tlb = 0;
    if (outcome === Outcome.eptViolation || outcome === Outcome.nestedPageFault) forgetViolation(va);
    const resolution = resolve(outcome, va, access);
    if (recording) noteResolution(resolution, fault.address, fault.errorCode);
    if (resolution === Resolution.leave) {
      drain();
      if (outcome === Outcome.pageFault) invalidateFault(vpid, currentPcid(), va);
      return outcome;
    }
    if (resolution === Resolution.emulated) {
      accessedAddress = emulatedAddress;
      wasEmulated = true;
      if (recording) noteDone(va, emulatedAddress, 0, 0, true);
      return Outcome.ok;
    }
    if (resolution === Resolution.guestFault) {
      drain();
      /* SDM 3A 4.10.4.1: a page fault removes what the TLBs hold for its address. */
      if (outcome === Outcome.pageFault) invalidateFault(vpid, currentPcid(), va);
      return <Outcome>(outcome === Outcome.generalProtection ? Outcome.generalProtection : Outcome.pageFault);
    }
    if (attempt++ === MOST_ATTEMPTS) {
      stuck = true;
      return outcome;
    }
  }
}

/** What the outcome reports: a #PF error code, an exit qualification or an EXITINFO1. */
function faultCode(outcome: Outcome): u64 {
  return outcome === Outcome.pageFault ? fault.errorCode : fault.qualification;
}

/**
 * An EPT violation (and a nested page fault) drops what the hardware has cached for its addresses, so that a retry needs no INVEPT. SDM 3C
 * 29.4.3.1.
 */
function forgetViolation(va: u64): void {
  invalidateViolation(vpid, currentPcid(), eptrta, fault.guestPhysical, va);
}

/** A translation needs at most an exit per table it uses, in each dimension, and a few for flags. */
const MOST_ATTEMPTS: u32 = 256;
/** An access did not get on however often the hypervisor repaired what stopped it. */
let stuck = false;
export function isStuck(): bool {
  return stuck;
}

/** Whether the access just made to the page of `va` would hit the first level if it were made again, and do nothing else. */
export function hitsAgain(va: u64, kind: u32): bool {
  const hint = hintOf(va >> 12, kind);
  if (dataCaches || load<u64>(hint) !== (va >> 12) + 1) return false;
  return load<u64>(<usize>load<u32>(hint, 16)) === load<u64>(hint, 8);
}

/** The access just made to the page of `va` is made `n` more times: each hits the first level. */
export function repeatHits(va: u64, kind: u32, n: u64): void {
  const hint = hintOf(va >> 12, kind);
  let size: u32 = 0;
  if (load<u64>(hint) === (va >> 12) + 1) {
    const at = <usize>load<u32>(hint, 16);
    size = entrySize(changetype<TaggedArray>(<usize>load<u32>(hint, 20)).data(at));
  }
  const structure = firstFor(kind).structure;
  addStructure(structure, StructureCell.lookups, n);
  addStructure(structure, <StructureCell>(<u32>StructureCell.hits4k + sizeClass(size)), n);
  issueMany(n);
}
