import { issueAccess, settleClock } from "../clock";
import { add, Counter, countStructure, Structure, StructureCell } from "../counters";
import { lookOnly } from "../hypervisor/backing";
import { guestBase } from "../memory/ranges";
import { TaggedArray } from "../mmu/array";
import { feedRights, gaveOut } from "../mmu/feed";
import { hintOf } from "../mmu/hints";
import { accessMask, latchAc } from "../mmu/permission";
import { context, globalContext, hardware, hardwareControls } from "../mmu/tags";
import {
  entrySize,
  entryStage1Size,
  foundArray,
  l1d,
  l1i,
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
import { guest, registers } from "../vcpu/registers";
import { convertViolation } from "../vcpu/virtualization-exception";
import { SECOND_BACKING } from "../walk/dimension";
import { composed, translate } from "../walk/translate";
import { setWalker, Walker } from "../walk/walk";
import { FETCH, IMPLICIT, KIND, USER, WRITE } from "../x86/access";
import { sizeShift } from "../x86/entries";
import { fault, Outcome } from "../x86/fault";
import { modeOf } from "../x86/rights";
import { Cell, put } from "./block";

/**
 * One translation for a host: what a replay makes of an access, with the answer in the block. A first-level hit on a page
 * seen lately is answered here; everything else goes the replay's way.
 */

/** Accesses made, by their bits. */
const ACCESSES: u32 = 32;
const made = memory.data(32 * 8, 16);

/** EFLAGS.AC, as POPF, STAC or CLAC leave it. */
export function embedAc(on: bool): void {
  if (registers.ac === on) return;
  registers.ac = on;
  hardwareControls.ac = on;
  latchAc(on);
  feedRights(context);
}

/** Translates the address `high`:`low` for `access` (x86/access.ts). */
export function embedTranslate(low: u32, high: u32, access: u32): Outcome {
  const va = <u64>low | ((<u64>high) << 32);
  const bits = access & (ACCESSES - 1);
  const uses = made + ((<usize>bits) << 3);
  store<u64>(uses, load<u64>(uses) + 1);
  issueAccess();
  const fetch = (access & KIND) === FETCH;
  const hint = hintOf(va >> 12, fetch);
  if (load<u64>(hint) === (va >> 12) + 1) {
    const at = <usize>load<u32>(hint, 16);
    if (load<u64>(at) === load<u64>(hint, 8)) {
      const array = changetype<TaggedArray>(<usize>load<u32>(hint, 20));
      const data = array.data(at);
      if (((accessMask(bits) >> (data & 63)) & 1) !== 0 && !keyRestricted(data) && !dataCaches) {
        array.touch(at);
        const structure = fetch ? Structure.l1i : Structure.l1d;
        countStructure(structure, StructureCell.lookups);
        countStructure(structure, <StructureCell>(<u32>StructureCell.hits4k + sizeClass(entrySize(data))));
        put(Cell.hostPhysical, addressIn(data, va) - guestBase);
        put(Cell.entry, data);
        put(Cell.cycles, 0);
        return Outcome.ok;
      }
    }
  }
  return translateSlow(va, access);
}

/** Exported so that it stays out of the way of a hit. */
export function translateSlow(va: u64, access: u32): Outcome {
  const kind = access & KIND;
  const outcome = accessSlow(va, kind, modeOf(access, registers.ac));
  put(Cell.cycles, accessedCycles);
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
  const va = <u64>low | ((<u64>high) << 32);
  const kind = access & KIND;
  const mode = modeOf(access, registers.ac);
  put(Cell.cycles, 0);
  const fetch = kind === FETCH;
  if (probeLevel(fetch ? l1i : l1d, va, kind, mode) || probeLevel(fetch ? l2ForFetch() : l2, va, kind, mode))
    return Outcome.ok;
  const before = setWalker(Walker.probe);
  lookOnly(true);
  const second = guest.second;
  if (guestBase !== 0) guest.second = SECOND_BACKING;
  const outcome =
    guestBase !== 0
      ? translate(guest, registers, va, access)
      : translate(hardware, hardwareControls, va, access);
  guest.second = second;
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

/** Brings the counters of accesses, and the clock's, up to date: those replayed and those translated. */
export function embedSettle(): void {
  settleAccesses();
  let accesses: u64 = 0;
  let fetches: u64 = 0;
  let writes: u64 = 0;
  let user: u64 = 0;
  let implicit: u64 = 0;
  for (let access: u32 = 0; access < ACCESSES; ++access) {
    const n = load<u64>(made + ((<usize>access) << 3));
    const kind = access & KIND;
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
