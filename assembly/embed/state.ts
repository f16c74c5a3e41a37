import { hostAddressOf } from "../hypervisor/backing";
import { clearMemory, read32, read64, write32, write64 } from "../memory/physical";
import { invalidateEverything } from "../mmu/invalidation";
import { eptrta, hardwareControls, retag, setVirtualTags, vpid } from "../mmu/tags";
import { Parameter, parameter } from "../parameters";
import * as machine from "../technique/technique";
import { setCodeSegmentLong } from "../vcpu/legality";
import { cr3, guest, registers, rootOf, selectMode, setCr3Value } from "../vcpu/registers";
import { setVeArea } from "../vcpu/virtualization-exception";
import { SECOND_NESTED } from "../walk/dimension";
import { host, pmlIndexNow, resetPml } from "../walk/second";
import { FRAME } from "../x86/entries";
import { Cell, cell, put } from "./block";

/** The machine's state as its host sets it: registers, tags and memory. */

/** With `yes`, exits are left to the host; else the machine's own hypervisor resolves them, as in a replay. */
export function embedLeaveExits(yes: bool): void {
  machine.leaveExits(yes);
}

/** Takes the registers of cells 0 to 15 as they are, without the checks or flushes of an instruction. */
export function embedSetState(): void {
  registers.ac = cell(Cell.ac) !== 0;
  hardwareControls.ac = registers.ac;
  registers.pkru = <u32>cell(Cell.pkru);
  registers.pkrs = <u32>cell(Cell.pkrs);
  setCodeSegmentLong(cell(Cell.codeLong) !== 0);
  if (machine.technique === machine.SHADOW) {
    hardwareControls.pkru = registers.pkru;
    hardwareControls.pkrs = registers.pkrs;
    machine.loadEfer(cell(Cell.efer));
    machine.loadCr4(cell(Cell.cr4));
    machine.loadCr0(cell(Cell.cr0));
    machine.loadCr3(cell(Cell.cr3));
    return;
  }
  registers.cr0 = cell(Cell.cr0);
  registers.cr4 = cell(Cell.cr4);
  registers.efer = cell(Cell.efer);
  setCr3Value(cell(Cell.cr3));
  selectMode();
  guest.root = rootOf(cell(Cell.cr3));
  for (let i: u32 = 0; i < 4; ++i) guest.pdptes[i] = cell(Cell.pdptes + i);
  const tag: u32 = parameter(Parameter.vpid) !== 0 ? <u32>cell(Cell.vpid) : 0;
  if (guest.second === SECOND_NESTED && cell(Cell.secondRoot) !== 0) {
    host.root = cell(Cell.secondRoot) & FRAME;
    setVirtualTags(tag, host.root);
  } else {
    setVirtualTags(tag, eptrta);
  }
  retag();
}

/** Puts the registers into cells 0 to 10. */
export function embedGetState(): void {
  put(Cell.cr0, registers.cr0);
  put(Cell.cr3, cr3);
  put(Cell.cr4, registers.cr4);
  put(Cell.efer, registers.efer);
  put(Cell.pkru, registers.pkru);
  put(Cell.pkrs, registers.pkrs);
  put(Cell.ac, registers.ac ? 1 : 0);
  for (let i: u32 = 0; i < 4; ++i) put(Cell.pdptes + i, guest.pdptes[i]);
  put(Cell.vpid, vpid);
  put(Cell.pmlIndex, pmlIndexNow());
}

/** Takes the #VE information area, the EPTP index and the page-modification log from cells 25 to 28. */
export function embedSetVirtualization(): void {
  setVeArea(cell(Cell.veArea), <u32>cell(Cell.eptpIndex));
  resetPml(cell(Cell.pmlBase), <u32>cell(Cell.pmlIndex));
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
  put(Cell.value, bytes === 8 ? read64(cell(Cell.address)) : read32(cell(Cell.address)));
}
/** Writes the low 8 (or 4) bytes of cell 13 at host-physical cell 12. */
export function embedWrite(bytes: u32): void {
  if (bytes === 8) write64(cell(Cell.address), cell(Cell.value));
  else write32(cell(Cell.address), <u32>cell(Cell.value));
}

/** The guest's 8 bytes at guest-physical cell 12, into cell 13: where the machine's hypervisor has put them. */
export function embedReadGuest(): void {
  put(Cell.value, read64(hostAddressOf(cell(Cell.address))));
}
/** The guest stores the 8 bytes of cell 13 into one of its tables, at guest-physical cell 12. */
export function embedStoreEntry(): void {
  machine.storeTableEntry(cell(Cell.address), cell(Cell.value));
}
