import { add, Counter, count } from "../../counters";
import { workedEmulation } from "../../hypervisor/exits";
import { requestFlush } from "../../hypervisor/flush";
import { Parameter, parameter } from "../../parameters";
import { Tracepoint, trace } from "../../tracepoints";
import { cpl, guest, instruction, storeBytes } from "../../vcpu/registers";
import { rightsOf } from "../../walk/translate";
import { FETCH, USER } from "../../x86/access";
import { ACCESSED, LARGE, PRESENT } from "../../x86/entries";
import { PF_FETCH, PF_USER, PF_WRITE } from "../../x86/fault";
import { firstOf, nextOf, shadows } from "./cache";
import { frameOf, guestEntry } from "./guest-entry";
import { walkGuest } from "./guest-walk";
import { descend } from "./link";
import { install } from "./prefetch";
import { hasFourByteEntries, quadrantOf, roleOf } from "./role";
import { ShadowPage } from "./shadow-page";
import { syncChildren, syncEntries } from "./sync";
import { clearSlot, commitZaps, prepareZap } from "./zap";

/** Instructions that the hypervisor carries out, above all stores into protected tables. */

let flooding: u32 = 3;
/** Stores to one table with no other fault between that drop its shadow; 0 is never. Xen: `check_for_early_unshadow`. */
let unshadow: u32 = 0;
/** An emulated store changes the shadow entry at once. Xen: `sh_validate_guest_entry`. */
let propagates = false;

export function configureEmulate(): void {
  flooding = parameter(Parameter.shadowFlooding);
  unshadow = parameter(Parameter.shadowUnshadow);
  propagates = parameter(Parameter.shadowPropagate) !== 0;
  endRun();
}

/** The instruction is read through the guest's tables. */
export function emulateInstruction(): void {
  workedEmulation();
  trace(Tracepoint.emulate_insn);
  const user = cpl === 3;
  walkGuest(instruction, FETCH | (user ? USER : 0), PF_FETCH | (user ? PF_USER : 0));
}

/** Address of the last emulated store, and how many upper entries it took away; its value is not known before it is made. */
let storeAddress: u64 = u64.MAX_VALUE;
let upperCleared: u32 = 0;

/** A store to `gpa`. */
export function emulateStore(va: u64, access: u32, gpa: u64): void {
  emulateInstruction();
  walkGuest(va, access, PF_WRITE | (access & USER ? PF_USER : 0));
  trackWrite(gpa);
}

/** The table of the last emulated stores, and how many there were with no other fault between. */
let runTable: u64 = u64.MAX_VALUE;
let run: u32 = 0;

/** A fault of another kind. */
export function endRun(): void {
  runTable = u64.MAX_VALUE;
}

function continuesRun(gfn: u64): bool {
  run = gfn === runTable ? run + 1 : 1;
  runTable = gfn;
  return run >= unshadow && unshadow !== 0;
}

/** An emulated store changes an entry that may be shadowed. KVM: `kvm_mmu_track_write`, before `kvm_mmu_pte_write`. */
function trackWrite(gpa: u64): void {
  const gfn = gpa >> 12;
  let flush = false;
  storeAddress = gpa;
  upperCleared = 0;
  count(Counter.mmu_pte_write);
  const abandoned = continuesRun(gfn);
  for (let page = firstOf(gfn); !page.isNone(); page = nextOf(page)) {
    if (!shadows(page, gfn)) continue;
    if (abandoned || isMisaligned(page, <u32>gpa & 0xfff, storeBytes) || isFlooded(page)) {
      prepareZap(page);
      count(Counter.mmu_flooded);
      continue;
    }
    if (clearWritten(page, <u32>gpa & 0xfff)) flush = true;
  }
  if (!commitZaps() && flush) requestFlush();
}

/**
 * A store that is not of whole entries: the frame is no table. A single byte of an entry is let pass, as systems write
 * flags so. KVM: `detect_write_misaligned`.
 */
function isMisaligned(page: ShadowPage, offset: u32, bytes: u32): bool {
  const entry: u32 = hasFourByteEntries(page.role) ? 4 : 8;
  if (bytes === 1 && (offset & (entry - 1)) === 0) return false;
  return bytes < 4 || ((offset ^ (offset + bytes - 1)) & ~(entry - 1)) !== 0;
}

/** Many stores and no walk between them: the frame is probably no table any more. Level-1 tables go out of sync instead. */
function isFlooded(page: ShadowPage): bool {
  if (page.level() === 1) return false;
  return ++page.flood >= flooding && flooding !== 0;
}

/** Clears the slots made from the entry at `offset`. An entry of 4 bytes above level 1 makes two. KVM: `get_written_sptes`. */
function clearWritten(page: ShadowPage, offset: u32): bool {
  const upper = page.level() > 1;
  if (!hasFourByteEntries(page.role)) {
    if (upper) ++upperCleared;
    return clearSlot(page, offset >> 3);
  }
  const entry = (offset & ~7) >> 2;
  let present = false;
  for (let i = entry; i < entry + 2; ++i) {
    const slot = upper ? i << 1 : i;
    if (slot >> 9 !== quadrantOf(page.role)) continue;
    if (clearSlot(page, slot & 511)) present = true;
    if (upper && clearSlot(page, (slot & 511) + 1)) present = true;
    if (upper) upperCleared += 2;
  }
  return present;
}

/** The store is made: KVM counts the upper entries that it replaced by something. */
export function storeMade(gpa: u64, value: u64): void {
  if (gpa === storeAddress) {
    if (value !== 0) add(Counter.mmu_pde_zapped, upperCleared);
    if (propagates) propagate(gpa);
  }
  storeAddress = u64.MAX_VALUE;
}

/** The new entry in every shadow page of its table; tables of 4-byte entries are left to the next fault. */
function propagate(gpa: u64): void {
  const gfn = gpa >> 12;
  const slot = (<u32>gpa & 0xfff) >> 3;
  for (let page = firstOf(gfn); !page.isNone(); page = nextOf(page)) {
    if (!shadows(page, gfn) || hasFourByteEntries(page.role) || page.spte(slot) !== 0) continue;
    if (page.level() === 1) install(page, slot, true);
    else relink(page, slot);
  }
}

/** An upper entry leads to the shadow of its table if there is one; none is made before it is needed. */
function relink(page: ShadowPage, slot: u32): void {
  const level = page.level();
  const access = page.access();
  if (page.role !== roleOf(level, false, access)) return;
  const entry = guestEntry(page, slot);
  if (
    (entry & (PRESENT | ACCESSED | LARGE)) !== (PRESENT | ACCESSED) ||
    (entry & guest.format.reserved[level << 1]) !== 0
  )
    return;
  const gfn = frameOf(entry);
  const role = roleOf(level - 1, false, access & rightsOf(guest.format, entry ^ guest.format.invert));
  for (let child = firstOf(gfn); !child.isNone(); child = nextOf(child)) {
    if (!shadows(child, gfn) || child.role !== role) continue;
    /* As a fault links it: up to date, since the guest need not flush when it makes an entry present. */
    if (child.unsync && syncEntries(child)) requestFlush();
    if (child.unsyncChildren !== 0) syncChildren(child);
    descend(page, slot, child);
    return;
  }
}
