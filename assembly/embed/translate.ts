import { issueAccess, issueMany, settleClock } from "../clock";
import { add, addStructure, Counter, StructureCell } from "../counters";
import { lookOnly } from "../hypervisor/backing";
import { guestBase } from "../memory/ranges";
import { TaggedArray } from "../mmu/array";
import { feedRights, forgetFlushed, gaveOut } from "../mmu/feed";
import { hintOf } from "../mmu/hints";
import {
  hitLookaside,
  hitsPending,
  LookasideEntry,
  lookasideOf,
  lookasideServes,
  lookNext,
  lookWithAc,
  takeHits,
} from "../mmu/lookaside";
import { context, globalContext, hardware, hardwareControls } from "../mmu/tags";
import {
  entrySize,
  entryStage1Size,
  firstFor,
  foundArray,
  l2,
  l2ForFetch,
  sizeClass,
  TlbLevel,
} from "../mmu/tlb";
import {
  accessedAddress,
  accessedCycles,
  accessedEntry,
  accessSlow,
  addressIn,
  dataCaches,
  keyRestricted,
  usable,
  wasEmulated,
} from "../replay/access";
import { settleAccesses } from "../replay/accesses";
import { guest, linearAddress, registers } from "../vcpu/registers";
import { convertViolation } from "../vcpu/virtualization-exception";
import { SECOND_BACKING } from "../walk/dimension";
import { composed, translate } from "../walk/translate";
import { setWalker, Walker } from "../walk/walk";
import { FETCH, IMPLICIT, KIND, USER, WRITE } from "../x86/access";
import { sizeShift } from "../x86/entries";
import { fault, Outcome } from "../x86/fault";
import { isCanonical } from "../x86/format";
import { modeOf } from "../x86/rights";
import { checkedKind, followCpl } from "./access";
import { Cell, cell, put } from "./block";

/**
 * One translation for a host: what a replay makes of an access, with the answer in the block. A first-level hit on a page
 * seen lately is answered here; everything else goes the replay's way.
 */

const ACCESSES: u32 = 32;
/** Hits of the lookaside since the last settlement, by size class of the TLB entry and bits of the access. */
const served = memory.data(3 * 32 * 8, 16);
/** Other accesses, and those of earlier settlements, by their bits. */
const made = memory.data(32 * 8, 16);

/** EFLAGS.AC, as POPF, STAC or CLAC leave it. */
export function embedAc(on: bool): void {
  forgetFlushed();
  if (registers.ac === on) return;
  registers.ac = on;
  hardwareControls.ac = on;
  lookWithAc(on);
  feedRights(context);
}

/** An entry of the lookaside that serves the access under way, or null. Inlined, so that a hit is one function. */
@unmanaged
class Hit {
  @inline static of(low: u32, high: u32, access: u32): Hit {
    const va = <u64>low | ((<u64>high) << 32);
    const bits = access & (ACCESSES - 1);
    const entry = lookasideOf(va, access & KIND);
    if (!lookasideServes(entry, va, bits)) return changetype<Hit>(0);
    hitLookaside(entry, bits);
    return changetype<Hit>(entry);
  }
  @inline entry(): usize {
    return changetype<usize>(this);
  }
  /** Answers with it; returns the physical address. */
  @inline answer(low: u32): u64 {
    const physical = load<u64>(this.entry(), LookasideEntry.physical) | (low & 0xfff);
    put(Cell.hostPhysical, physical);
    put(Cell.entry, load<u64>(this.entry(), LookasideEntry.data));
    return physical;
  }
}

/**
 * The address `high`:`low` translated for `access`, if the lookaside has it: returns its entry (mmu/lookaside.ts), or 0 if
 * `embedTranslate` must be asked.
 */
export function embedFind(low: u32, high: u32, access: u32): usize {
  return Hit.of(low, high, access).entry();
}

/** Translates the address `high`:`low` for `access` (x86/access.ts). */
export function embedTranslate(low: u32, high: u32, access: u32): Outcome {
  const hit = Hit.of(low, high, access);
  if (hit.entry() === 0) return miss(low, high, access);
  hit.answer(low);
  return Outcome.ok;
}

/** As `embedTranslate`, with the physical address as the answer, or the negative Outcome. */
export function embedPhysical(low: u32, high: u32, access: u32): f64 {
  const hit = Hit.of(low, high, access);
  if (hit.entry() !== 0) return <f64>(<i64>hit.answer(low));
  const outcome = miss(low, high, access);
  return outcome === Outcome.ok ? <f64>(<i64>cell(Cell.hostPhysical)) : -(<f64>outcome);
}

function miss(low: u32, high: u32, access: u32): Outcome {
  return translateSlow(linearAddress(<u64>low | ((<u64>high) << 32)), access & (ACCESSES - 1));
}

/** Core cycles of the last translation beyond a first-level hit, exits left out. */
export function embedCycles(): u32 {
  return hitsPending() ? 0 : cycles;
}
let cycles: u32 = 0;

/** The clock learns of what the lookaside served. */
function catchUp(): void {
  const hits = takeHits();
  if (hits !== 0) issueMany(hits);
}

/** Exported so that it stays out of the way of a hit. */
export function translateSlow(va: u64, access: u32): Outcome {
  const kind = checkedKind(access);
  const n = made + ((<usize>access) << 3);
  store<u64>(n, load<u64>(n) + 1);
  forgetFlushed();
  catchUp();
  issueAccess();
  followCpl(access);
  const outcome = accessSlow(va, kind, modeOf(access, registers.ac));
  if (outcome === Outcome.ok && !wasEmulated) keep(va, kind);
  cycles = accessedCycles;
  if (outcome === Outcome.ok) {
    put(Cell.hostPhysical, wasEmulated ? accessedAddress : accessedAddress - guestBase);
    put(Cell.entry, accessedEntry);
    if (wasEmulated) return Outcome.emulated;
    gaveOut(sizeShift(entryStage1Size(accessedEntry)));
    return Outcome.ok;
  }
  const delivering = (access & IMPLICIT) !== 0 && kind !== FETCH;
  return refused(convertViolation(outcome, delivering));
}

/** The next access to the page finds its answer in the lookaside, unless each must be looked at. */
function keep(va: u64, kind: u32): void {
  if (dataCaches || keyRestricted(accessedEntry)) return;
  const hint = hintOf(va >> 12, kind);
  if (load<u64>(hint) !== (va >> 12) + 1) return;
  const slot = <usize>load<u32>(hint, 16);
  const array = changetype<TaggedArray>(<usize>load<u32>(hint, 20));
  if (!array.ageable()) return;
  /* A group of pages may be one entry: it is not that of the walk. */
  const data = array.data(slot);
  const counters = served + ((<usize>sizeClass(entrySize(data)) * ACCESSES) << 3);
  const physical = accessedAddress - guestBase;
  lookNext(va, kind, slot, slot + array.column, array.ageAt(slot), physical, data, counters);
}

function refused(outcome: Outcome): Outcome {
  put(Cell.errorCode, fault.errorCode);
  put(Cell.faultAddress, fault.address);
  put(Cell.qualification, fault.qualification);
  put(Cell.exitAddress, fault.guestPhysical);
  return outcome;
}

/**
 * What `embedTranslate` would answer, without an effect on anything: TLBs, then tables. Paging-structure caches and the
 * nested TLB are not asked. Where the machine's own hypervisor would have to act, the guest's own tables answer.
 */
export function embedProbe(low: u32, high: u32, access: u32): Outcome {
  const va = linearAddress(<u64>low | ((<u64>high) << 32));
  const kind = checkedKind(access);
  const mode = modeOf(access, registers.ac);
  if (!isCanonical(va, guest.format)) return refused(Outcome.generalProtection);
  const second = kind === FETCH ? l2ForFetch() : l2;
  if (probeLevel(firstFor(kind), va, kind, mode) || probeLevel(second, va, kind, mode)) return Outcome.ok;
  const before = setWalker(Walker.probe);
  lookOnly(true);
  const dimension = guest.second;
  if (guestBase !== 0) guest.second = SECOND_BACKING;
  const outcome =
    guestBase !== 0
      ? translate(guest, registers, va, access)
      : translate(hardware, hardwareControls, va, access);
  guest.second = dimension;
  lookOnly(false);
  setWalker(before);
  if (outcome !== Outcome.ok) return refused(outcome);
  put(Cell.hostPhysical, composed.address);
  put(Cell.entry, composed.data);
  return Outcome.ok;
}

function probeLevel(level: TlbLevel, va: u64, kind: u32, mode: u32): bool {
  const at = level.find(va, context, globalContext);
  if (at === 0) return false;
  const data = foundArray.data(at);
  if (!usable(data, kind, mode)) return false;
  put(Cell.hostPhysical, addressIn(data, va) - guestBase);
  put(Cell.entry, data);
  return true;
}

/** What the lookaside served is counted as hits of the first level. */
function settleServed(): void {
  for (let i: u32 = 0; i < 3 * ACCESSES; ++i) {
    const at = served + ((<usize>i) << 3);
    const hits = load<u64>(at);
    if (hits === 0) continue;
    store<u64>(at, 0);
    const access = i & (ACCESSES - 1);
    const structure = firstFor(access & KIND).structure;
    addStructure(structure, StructureCell.lookups, hits);
    addStructure(structure, <StructureCell>(<u32>StructureCell.hits4k + i / ACCESSES), hits);
    const all = made + ((<usize>access) << 3);
    store<u64>(all, load<u64>(all) + hits);
  }
}

/** Brings the counters of accesses, and the clock's, up to date: those replayed and those translated. */
export function embedSettle(): void {
  settleAccesses();
  catchUp();
  settleServed();
  let accesses: u64 = 0;
  let fetches: u64 = 0;
  let writes: u64 = 0;
  let user: u64 = 0;
  let implicit: u64 = 0;
  for (let access: u32 = 0; access < ACCESSES; ++access) {
    const kind = access & KIND;
    const n = load<u64>(made + ((<usize>access) << 3));
    accesses += n;
    if (kind === FETCH) fetches += n;
    else if (kind === WRITE) writes += n;
    if ((access & USER) !== 0) user += n;
    if ((access & IMPLICIT) !== 0) implicit += n;
  }
  add(Counter.accesses, accesses);
  add(Counter.fetches, fetches);
  add(Counter.writes, writes);
  add(Counter.reads, accesses - fetches - writes);
  add(Counter.userAccesses, user);
  add(Counter.implicitAccesses, implicit);
  add(Counter.translations, accesses);
  settleClock();
}
