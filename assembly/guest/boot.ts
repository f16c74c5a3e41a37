import { Counter, count } from "../counters";
import { hostAddressOf } from "../hypervisor/backing";
import { holdExits } from "../hypervisor/exits";
import { write64 } from "../memory/physical";
import { Parameter, parameter } from "../parameters";
import { loadCr0, loadCr3, loadCr4, loadEfer } from "../technique/technique";
import { CR4_LA57, CR4_PCIDE } from "../x86/control";
import { ACCESSED, DIRTY, FRAME, GLOBAL, LARGE, NO_EXECUTE, PRESENT, WRITABLE } from "../x86/entries";
import { allocate, createZone, fragment, releaseRange } from "./buddy";
import { directAddress, readEntry } from "./direct-map";
import { announce, entryIn, levels, TABLE } from "./page-tables";

/** The state in which a 64-bit Linux runs its programs: the kernel's half of the tables, the free memory, the registers. */

/** Below are the BIOS and its areas, which the kernel leaves alone. */
const FIRST_FRAME: u64 = 256;
/** The kernel's image: 16 MiB of code, then data. Linux: CONFIG_PHYSICAL_START. */
const IMAGE: u64 = 16 << 20;
const IMAGE_CODE: u64 = 16 << 20;
const IMAGE_END: u64 = 64 << 20;
/** Linux: __START_KERNEL_map. */
const IMAGE_BASE: u64 = 0xffff_ffff_8000_0000;
/** An instruction of the kernel. */
export const KERNEL_CODE: u64 = IMAGE_BASE + IMAGE + 0x20_0000;

/** Linux's PAGE_KERNEL, PAGE_KERNEL_ROX. */
const DATA: u64 = PRESENT | WRITABLE | ACCESSED | DIRTY | GLOBAL | NO_EXECUTE;
const CODE: u64 = PRESENT | ACCESSED | DIRTY | GLOBAL;

/** PE, MP, ET, NE, WP, AM, PG. */
const CR0: u64 = 0x8005_0033;
/** DE, PSE, PAE, MCE, PGE, OSFXSR, OSXMMEXCPT, UMIP, FSGSBASE, OSXSAVE, SMEP, SMAP. */
const CR4: u64 = 0x35_0ef8 & ~CR4_PCIDE;
/** SCE, LME, LMA, NXE. */
const EFER: u64 = 0xd01;

/** The least RAM that holds the image and leaves something. */
const LEAST_FRAMES: u32 = 128 << 8;
/** Where the kernel's RAM begins when the trace's own addresses are guest-physical and may be anywhere below. */
const ABOVE_TRACE: u64 = 1 << 28;

/** Frame of a boot-time table. */
function bootTable(): u64 {
  const frame = allocate(0);
  announce(frame);
  return frame;
}

/** Maps one large page of the kernel. Nothing runs yet: the tables are written as they are loaded. */
function mapKernel(root: u64, va: u64, gpa: u64, level: u32, rights: u64): void {
  let table = root << 12;
  for (let l = levels; l > level; --l) {
    const at = entryIn(table, va, l);
    let entry = readEntry(at);
    if (entry === 0) {
      entry = (bootTable() << 12) | TABLE;
      write64(hostAddressOf(at), entry);
    }
    table = entry & FRAME;
  }
  write64(hostAddressOf(entryIn(table, va, level)), gpa | rights | LARGE);
}

/** Makes RAM and the kernel's tables; returns the frame of the root. */
export function boot(physical: bool): u64 {
  const base: u64 = physical ? ABOVE_TRACE : 0;
  const frames = max(parameter(Parameter.guestPages), LEAST_FRAMES);
  createZone(base, frames);
  releaseRange(base + FIRST_FRAME, base + (IMAGE >> 12));
  releaseRange(base + (IMAGE_END >> 12), base + frames);
  const root = bootTable();
  const level: u32 =
    parameter(Parameter.kernelDirectMapShift) === 30 && parameter(Parameter.guestPage1g) !== 0 ? 3 : 2;
  const step: u64 = level === 3 ? 1 << 30 : 1 << 21;
  for (let gpa: u64 = 0; gpa < (<u64>frames) << 12; gpa += step)
    mapKernel(root, directAddress((base << 12) + gpa), (base << 12) + gpa, level, DATA);
  for (let gpa = IMAGE; gpa < IMAGE_END; gpa += 1 << 21)
    mapKernel(root, IMAGE_BASE + gpa, (base << 12) + gpa, 2, gpa < IMAGE + IMAGE_CODE ? CODE : DATA);
  fragment(base + FIRST_FRAME, base + frames, parameter(Parameter.kernelFragmentation));
  return root;
}

/** The frame of zeros in the kernel's data. Linux: `empty_zero_page`. */
export function zeroPage(physical: bool): u64 {
  return (physical ? ABOVE_TRACE : 0) + ((IMAGE + IMAGE_CODE) >> 12);
}

export function loadRegisters(root: u64): void {
  holdExits(true);
  loadCr0(CR0);
  loadCr4(CR4 | (parameter(Parameter.kernelPcid) !== 0 ? CR4_PCIDE : 0) | (levels === 5 ? CR4_LA57 : 0));
  loadEfer(EFER);
  loadCr3(root << 12);
  holdExits(false);
  count(Counter.controlLoads);
}
