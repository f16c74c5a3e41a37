import { Counter, read } from "./counters";
import { clearMemory, read32, read64, write32, write64 } from "./memory/physical";
import { invalidateEverything } from "./mmu/invalidation";
import { hardwareControls, retag, setVirtualTags, vpid } from "./mmu/tags";
import { accessedAddress, accessSlow } from "./replay/access";
import { guest, registers, selectMode, setCr3Value, rootOf } from "./vcpu/registers";
import { SECOND_NESTED } from "./walk/dimension";
import { host } from "./walk/second";
import { composed, translate, translated } from "./walk/translate";
import { beginHardwareWalk, endHardwareWalk, walkReferences } from "./walk/walk";
import { modeOf } from "./x86/rights";
import { KIND } from "./x86/access";
import { fault, Outcome } from "./x86/fault";

/**
 * The walker and the TLBs without a trace: for a host that owns the registers and the memory. Addresses and values
 * pass through one block of 64-bit cells.
 *
 *   0 cr0  1 cr3  2 cr4  3 efer  4 pkru  5 pkrs  6 ac  7-10 PAE level-3 entries  11 root of the second stage
 *   12 address asked, or physical address  13 value
 *   16 host-physical address  17 guest-physical address  18 TLB entry (mmu/tlb.ts)  19 stage-1 rights
 *   20 error code  21 CR2 or guest-linear address  22 qualification  23 guest-physical address of the exit
 *   24 table entries read
 */
const block = memory.data(32 * 8, 16);

export function embedAddress(): usize {
  return block;
}

function cell(i: usize): u64 {
  return load<u64>(block + (i << 3));
}
function put(i: usize, value: u64): void {
  store<u64>(block + (i << 3), value);
}

/** Takes the registers of cells 0 to 11 as they are, without the checks or flushes of an instruction. */
export function embedSetState(): void {
  registers.cr0 = cell(0);
  registers.cr4 = cell(2);
  registers.efer = cell(3);
  registers.pkru = <u32>cell(4);
  registers.pkrs = <u32>cell(5);
  registers.ac = cell(6) !== 0;
  setCr3Value(cell(1));
  selectMode();
  guest.root = rootOf(cell(1));
  for (let i: u32 = 0; i < 4; ++i) guest.pdptes[i] = cell(7 + i);
  if (guest.second === SECOND_NESTED) {
    host.root = cell(11);
    setVirtualTags(vpid, host.root);
  }
  retag();
}

/** Zeroes all of memory and drops everything cached. */
export function embedClear(): void {
  clearMemory();
  invalidateEverything();
}

/** Drops everything cached. */
export function embedFlush(): void {
  invalidateEverything();
}

/** Reads 8 (or 4) bytes of host-physical memory at cell 12 into cell 13. */
export function embedRead(bytes: u32): void {
  put(13, bytes === 8 ? read64(cell(12)) : read32(cell(12)));
}
/** Writes the low 8 (or 4) bytes of cell 13 at host-physical cell 12. */
export function embedWrite(bytes: u32): void {
  if (bytes === 8) write64(cell(12), cell(13));
  else write32(cell(12), <u32>cell(13));
}

function report(): void {
  put(20, fault.errorCode);
  put(21, fault.address);
  put(22, fault.qualification);
  put(23, fault.guestPhysical);
}

/** One walk of the address in cell 12 for `access` (x86/access.ts), past the TLBs. Returns an Outcome. */
export function embedWalk(access: u32): Outcome {
  beginHardwareWalk();
  const outcome = translate(guest, hardwareControls, cell(12), access);
  endHardwareWalk(outcome);
  put(16, composed.address);
  put(17, translated.address);
  put(18, composed.data);
  put(19, translated.rights);
  put(24, walkReferences);
  report();
  return outcome;
}

/** One access to the address in cell 12 through the TLBs. Returns an Outcome. */
export function embedAccess(access: u32): Outcome {
  const before = read(Counter.tableReferences);
  const outcome = accessSlow(cell(12), access & KIND, modeOf(access, registers.ac));
  put(16, accessedAddress);
  put(24, read(Counter.tableReferences) - before);
  report();
  return outcome;
}
