import { eptrta, hardware, vpid } from "../mmu/tags";
import { technique } from "../technique/technique";
import { cpl, cr3, currentPcid, guest, registers } from "../vcpu/registers";
import { SECOND_NESTED } from "../walk/dimension";
import { host } from "../walk/second";
import { EPT_EXECUTE_USER, FRAME } from "../x86/entries";

/**
 * The paging state that an access meets, as 64-bit cells:
 *
 *   0 technique  1 guest levels  2 bytes of a guest entry  3 guest PSE-36  4 guest no-execute  5 PDPTEs are registers
 *   6 second stage: 0 none, 1 EPT, 2 NPT  7 its levels  8 its root  9 its A/D flags  10 its mode-based execute
 *   11 levels of the tables that the hardware walks  12 their root
 *   13 cr0  14 cr3  15 cr4  16 efer  17 pkru  18 pkrs  19 EFLAGS.AC  20 CPL  21 VPID  22 PCID  23 EPTRTA
 *   24 second-stage no-execute
 */
const cells = memory.data(32 * 8, 16);

export function stateAddress(): usize {
  return cells;
}

function put(i: u32, value: u64): void {
  store<u64>(cells + ((<usize>i) << 3), value);
}

export function captureState(): void {
  const format = guest.format;
  const second = guest.second === SECOND_NESTED;
  put(0, technique);
  put(1, format.levels);
  put(2, (<u64>1) << format.entryShift);
  put(3, format.pse36 ? 1 : 0);
  put(4, format.invert !== 0 ? 1 : 0);
  put(5, format.pdpteRegisters ? 1 : 0);
  put(6, second ? host.format.kind : 0);
  put(7, second ? host.format.levels : 0);
  put(8, second ? host.root : 0);
  put(9, second && host.format.accessed !== 0 ? 1 : 0);
  put(10, second && (host.format.rights & EPT_EXECUTE_USER) !== 0 ? 1 : 0);
  put(11, hardware.format.levels);
  put(12, hardware.root);
  put(13, registers.cr0);
  put(14, cr3);
  put(15, registers.cr4);
  put(16, registers.efer);
  put(17, registers.pkru);
  put(18, registers.pkrs);
  put(19, registers.ac ? 1 : 0);
  put(20, cpl);
  put(21, vpid);
  put(22, currentPcid());
  put(23, eptrta & FRAME);
  put(24, second && host.format.invert !== 0 ? 1 : 0);
}
