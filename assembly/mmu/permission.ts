import { FETCH, KIND, READ, SHADOW_STACK, WRITE } from "../x86/access";
import { allows, modeOf } from "../x86/rights";

/**
 * What an access may do with a TLB entry, as one 64-bit mask per kind and mode of access: bit n answers for
 * entries whose low six bits (W U X D W2 R2) are n. Rebuilt when CR0.WP, SMEP, SMAP or paging changes, so none of
 * these is baked into an entry.
 */
const masks = memory.data(16 * 8, 16);

/** The other way round: by the low six bits of an entry, which accesses it allows. */
const allowed = memory.data(64 * 8, 16);
const ACCESSES: u32 = 32;

/** `kind` * 4 + `mode` of an access (access.ts). */
export function accessClass(kind: u32, mode: u32): u32 {
  return (kind << 2) | mode;
}

export function permits(klass: u32, data: u64): bool {
  return ((load<u64>(masks + ((<usize>klass) << 3)) >> (data & 63)) & 1) !== 0;
}

/**
 * Bit n: an access with the bits n (x86/access.ts) may use the entry; from bit 32 on, with EFLAGS.AC. Shadow-stack accesses
 * and the keys are decided apart.
 */
export function accessMasksOf(data: u64): u64 {
  return load<u64>(allowed + ((<usize>data & 63) << 3));
}

function buildAllowed(): void {
  for (let bits: u32 = 0; bits < 64; ++bits) {
    let all: u64 = 0;
    for (let n: u32 = 0; n < 2 * ACCESSES; ++n) {
      const access = n & (ACCESSES - 1);
      const kind = access & KIND;
      if (kind > FETCH || (access & SHADOW_STACK) !== 0) continue;
      if (permits(accessClass(kind, modeOf(access, n >= ACCESSES)), bits)) all |= (<u64>1) << n;
    }
    store<u64>(allowed + ((<usize>bits) << 3), all);
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
  buildAllowed();
}
