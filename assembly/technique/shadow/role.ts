import { Parameter, parameter } from "../../parameters";
import { guest, isPaging, registers } from "../../vcpu/registers";
import { CR0_WP, CR4_PKE, CR4_PKS, CR4_SMAP, CR4_SMEP, EFER_NXE } from "../../x86/control";
import { ACCESS_ALL } from "./spte";

/**
 * What a shadow page is for, beside the guest frame: pages of one frame with different roles stand side by side.
 * KVM: `union kvm_mmu_page_role`, `kvm_init_shadow_mmu`.
 *
 *   20-19             18          17          16      15  14-13     12             11-5              4       3-0
 *   PKS, PKE, & !WP   SMAP & !WP  SMEP & !WP  CR0.WP  NX  quadrant  4-byte entries access and key   direct  level
 *
 * The access is that of all entries above; a direct page's is the leaf's, with its protection key. Protection keys are in
 * the role as SMAP is, and for its reason: a page made the supervisor's while they are off has the user's key no more
 * (KVM gives a shadowed guest no keys).
 */
const LEVEL: u32 = 0xf;
const DIRECT: u32 = 1 << 4;
const ACCESS_SHIFT: u32 = 5;
const FOUR_BYTE: u32 = 1 << 12;
const QUADRANT_SHIFT: u32 = 13;
const NX: u32 = 1 << 15;
const WP: u32 = 1 << 16;
const SMEP_ANDNOT_WP: u32 = 1 << 17;
const SMAP_ANDNOT_WP: u32 = 1 << 18;
const PKE_ANDNOT_WP: u32 = 1 << 19;
const PKS_ANDNOT_WP: u32 = 1 << 20;

/** The bits that every page of the current mode has. */
let mode: u32 = 0;

/** Latches the mode of the guest's CPU. KVM: `kvm_calc_cpu_role`. */
export function latchRole(): void {
  if (!isPaging()) {
    mode = 0;
    return;
  }
  const wp = (registers.cr0 & CR0_WP) !== 0;
  mode =
    ((registers.efer & EFER_NXE) !== 0 && parameter(Parameter.shadowNxRole) !== 0 ? NX : 0) |
    (wp ? WP : 0) |
    (!wp && (registers.cr4 & CR4_SMEP) !== 0 ? SMEP_ANDNOT_WP : 0) |
    (!wp && (registers.cr4 & CR4_SMAP) !== 0 ? SMAP_ANDNOT_WP : 0) |
    (!wp && (registers.cr4 & CR4_PKE) !== 0 ? PKE_ANDNOT_WP : 0) |
    (!wp && (registers.cr4 & CR4_PKS) !== 0 ? PKS_ANDNOT_WP : 0) |
    (guest.format.entryShift === 2 ? FOUR_BYTE : 0);
}

export function roleOf(level: u32, direct: bool, access: u32): u32 {
  return mode | level | (direct ? DIRECT : 0) | (access << ACCESS_SHIFT);
}
/** The same for the `quadrant`th shadow page of a table with 4-byte entries, which takes several. */
export function withQuadrant(role: u32, quadrant: u32): u32 {
  return role | (quadrant << QUADRANT_SHIFT);
}
export function levelOf(role: u32): u32 {
  return role & LEVEL;
}
export function isDirect(role: u32): bool {
  return (role & DIRECT) !== 0;
}
export function accessOf(role: u32): u32 {
  return (role >> ACCESS_SHIFT) & 0x7f;
}
export function quadrantOf(role: u32): u32 {
  return (role >> QUADRANT_SHIFT) & 3;
}
export function hasFourByteEntries(role: u32): bool {
  return (role & FOUR_BYTE) !== 0;
}
export function rootRole(levels: u32): u32 {
  return roleOf(levels, !isPaging(), ACCESS_ALL);
}
