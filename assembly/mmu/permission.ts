import { FETCH, KIND, READ, SHADOW_STACK, WRITE } from "../x86/access";
import { allows, modeOf } from "../x86/rights";

/**
 * What an access may do with a TLB entry, as one 64-bit mask per kind and mode of access: bit n answers for
 * entries whose low six bits (W U X D W2 R2) are n. Rebuilt when CR0.WP, SMEP, SMAP or paging changes, so none of
 * these is baked into an entry.
 */
const masks = memory.data(16 * 8, 16);

/** The same by the five bits of an access (x86/access.ts) as EFLAGS.AC is; 0 where masks do not decide. */
const ACCESSES: u32 = 32;
const accessMasks = memory.data(32 * 8, 16);
let latchedAc = false;

/** `kind` * 4 + `mode` of an access (access.ts). */
export function accessClass(kind: u32, mode: u32): u32 {
  return (kind << 2) | mode;
}

export function maskOf(klass: u32): u64 {
  return load<u64>(masks + ((<usize>klass) << 3));
}

export function permits(klass: u32, data: u64): bool {
  return ((maskOf(klass) >> (data & 63)) & 1) !== 0;
}

/** Mask of an access, of which no more than the low five bits are looked at. */
export function accessMask(access: u32): u64 {
  return load<u64>(accessMasks + ((<usize>access & (ACCESSES - 1)) << 3));
}

/** EFLAGS.AC changed. */
export function latchAc(ac: bool): void {
  latchedAc = ac;
  for (let access: u32 = 0; access < ACCESSES; ++access) {
    const kind = access & KIND;
    const decided = kind <= FETCH && (access & SHADOW_STACK) === 0;
    const mask = decided ? maskOf(accessClass(kind, modeOf(access, ac))) : 0;
    store<u64>(accessMasks + ((<usize>access) << 3), mask);
  }
}

export function buildPermissions(cr0: u64, cr4: u64, paging: bool): void {
  for (let kind: u32 = READ; kind <= FETCH; ++kind) {
    for (let mode: u32 = 0; mode < 4; ++mode) {
      let mask: u64 = 0;
      for (let bits: u32 = 0; bits < 64; ++bits) {
        const second =
          kind === WRITE ? (bits & 0x18) === 0x18 : kind === READ ? (bits & 0x20) !== 0 : (bits & 4) !== 0;
        if (second && (!paging || allows(bits & 7, kind, mode, cr0, cr4))) mask |= (<u64>1) << bits;
      }
      store<u64>(masks + ((<usize>accessClass(kind, mode)) << 3), mask);
    }
  }
  latchAc(latchedAc);
}
