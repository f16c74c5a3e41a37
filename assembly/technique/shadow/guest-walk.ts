import { Counter, count } from "../../counters";
import { faultIn } from "../../hypervisor/host-page";
import { read32, read64 } from "../../memory/physical";
import { Parameter, parameter } from "../../parameters";
import { ErrorFamily, Tracepoint, trace, traceCode, traceLevel } from "../../tracepoints";
import { guest, registers } from "../../vcpu/registers";
import { rightsOf, translated, translateFirst } from "../../walk/translate";
import { countSoftwareRead, setFlags, setWalker, Walker } from "../../walk/walk";
import { KIND, WRITE } from "../../x86/access";
import { ACCESSED, DIRTY } from "../../x86/entries";
import { fault, Outcome } from "../../x86/fault";
import { RIGHT_WRITE } from "../../x86/rights";
import { protectClean } from "./guest-entry";
import { ACCESS_ALL, ACCESS_KEY_SHIFT } from "./spte";

/** The guest's translation as the hypervisor's software found it. KVM: `struct guest_walker`. */
class Walked {
  address: u64 = 0;
  /** Level of the leaf; without paging, of the largest page. */
  level: u32 = 0;
  /** RIGHT_* and key of the page; without the right to write if the first write must still be seen. */
  access: u32 = 0;
}
export const walked = new Walked();

let dirtyTrap = true;

export function configureGuestWalk(): void {
  dirtyTrap = parameter(Parameter.shadowDirtyTrap) !== 0;
}

/** A host that embeds the core may change entries again and again; the flags are then left as they are. */
const MOST_RACES: i32 = 64;

/**
 * Walks the guest's tables for an access whose error code is `code`, and sets the flags that the access sets. The
 * tables are written directly: the hypervisor's own stores are not trapped; the host gives the pages for both. When the guest refuses the access, `fault`
 * says how. KVM: `FNAME(walk_addr_generic)`.
 */
export function walkGuest(va: u64, access: u32, code: u64): bool {
  if (guest.format.levels === 0) {
    walked.address = va;
    walked.level = 2;
    walked.access = ACCESS_ALL;
    return true;
  }
  count(Counter.softwareWalks);
  traceCode(ErrorFamily.walk_err, code);
  for (let races = 0; races < MOST_RACES; ++races) {
    const before = setWalker(Walker.probe);
    const outcome = translateFirst(guest, registers, va, access);
    setWalker(before);
    for (let level = guest.top; level >= guest.level; --level) {
      traceLevel(Tracepoint.walk_read_L1, level);
      countSoftwareRead();
      faultIn(tableFrame(level), false);
    }
    if (outcome !== Outcome.ok) {
      traceCode(ErrorFamily.walker_error_err, fault.errorCode);
      return false;
    }
    if (setGuestFlags((access & KIND) === WRITE)) break;
  }
  walked.address = translated.address;
  walked.level = guest.level;
  walked.access = translated.rights | (translated.key << ACCESS_KEY_SHIFT);
  walked.access = protectClean(walked.access, guest.entries[guest.level]);
  return true;
}

/** Returns false if an entry changed under the walk, as a table that maps itself can: it starts over. */
function setGuestFlags(write: bool): bool {
  const format = guest.format;
  for (let level = guest.top; level >= guest.level; --level) {
    const entry = guest.entries[level];
    let flags: u64 = entry & ACCESSED ? 0 : ACCESSED;
    if (level === guest.level && !(entry & DIRTY)) {
      /* Without the trap the first write goes unseen, so a page that may be written counts as dirty at once. */
      if (write || (!dirtyTrap && (translated.rights & RIGHT_WRITE) !== 0)) flags |= DIRTY;
    }
    if (flags === 0) continue;
    if (flags & ACCESSED) trace(Tracepoint.walker_set_A);
    if (flags & DIRTY) trace(Tracepoint.walker_set_D);
    const at = guest.hostAddresses[level];
    if ((format.entryShift === 3 ? read64(at) : read32(at)) !== entry) return false;
    faultIn(tableFrame(level), true);
    if (!setFlags(guest, level, flags)) return false;
  }
  return true;
}

/** Guest frame of the table at `level` of the walk, and the access of all entries above it. */
export function tableFrame(level: u32): u64 {
  return guest.addresses[level] >> 12;
}
export function tableAccess(level: u32): u32 {
  return rightsOf(guest.format, guest.rightsAbove[level]);
}
