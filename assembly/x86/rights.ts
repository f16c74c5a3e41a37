import {
  FETCH,
  IMPLICIT,
  KIND,
  MODE_IMPLICIT,
  MODE_SHADOW_STACK,
  MODE_SHADOW_STACK_USER,
  MODE_SUPERVISOR,
  MODE_SUPERVISOR_AC,
  MODE_USER,
  READ,
  SHADOW_STACK,
  USER,
  WRITE,
} from "./access";
import { CR0_WP, CR4_PKE, CR4_PKS, CR4_SMAP, CR4_SMEP } from "./control";
import { Refusal } from "./refusal";

/** Rights of a page as an access meets them: the AND over all levels of the walk. */
export const RIGHT_WRITE: u32 = 1;
export const RIGHT_USER: u32 = 2;
export const RIGHT_EXECUTE: u32 = 4;

/**
 * What in the rights of a page refuses an access, if anything does. SDM 3A 4.6.1; APM 2 5.6.
 * `mode` is one of access.ts's MODE_*; protection keys and shadow stacks are apart.
 */
export function refusalOf(rights: u32, kind: u32, mode: u32, cr0: u64, cr4: u64): Refusal {
  const userPage = (rights & RIGHT_USER) !== 0;
  if (mode === MODE_USER) {
    if (!userPage) return Refusal.user;
    if (kind === WRITE && (rights & RIGHT_WRITE) === 0) return Refusal.write;
    if (kind === FETCH && (rights & RIGHT_EXECUTE) === 0) return Refusal.execute;
    return Refusal.none;
  }
  if (kind === FETCH) {
    if ((rights & RIGHT_EXECUTE) === 0) return Refusal.execute;
    return userPage && (cr4 & CR4_SMEP) !== 0 ? Refusal.smep : Refusal.none;
  }
  if (userPage && (cr4 & CR4_SMAP) !== 0 && mode !== MODE_SUPERVISOR_AC) return Refusal.smap;
  return kind === READ || (rights & RIGHT_WRITE) !== 0 || (cr0 & CR0_WP) === 0 ? Refusal.none : Refusal.write;
}

/** Whether the rights of a page allow an access. */
export function allows(rights: u32, kind: u32, mode: u32, cr0: u64, cr4: u64): bool {
  return refusalOf(rights, kind, mode, cr0, cr4) === Refusal.none;
}

/**
 * Whether protection keys refuse a data access. Keys of user pages come from PKRU (CR4.PKE), of supervisor pages
 * from IA32_PKRS (CR4.PKS); both apply in 4- and 5-level paging only. SDM 3A 4.6.2.
 */
export function keyRefuses(
  userPage: bool,
  key: u32,
  access: u32,
  cr0: u64,
  cr4: u64,
  pkru: u32,
  pkrs: u32,
): bool {
  if ((access & KIND) === FETCH) return false;
  if ((cr4 & (userPage ? CR4_PKE : CR4_PKS)) === 0) return false;
  const bits = ((userPage ? pkru : pkrs) >> (key << 1)) & 3;
  if ((bits & 1) !== 0) return true;
  if ((access & KIND) !== WRITE || (bits & 2) === 0) return false;
  return (cr0 & CR0_WP) !== 0 || (userPage && (access & USER) !== 0);
}

/** The access that a kind and a mode describe. */
export function accessOf(kind: u32, mode: u32): u32 {
  if (mode === MODE_USER) return kind | USER;
  if (mode === MODE_IMPLICIT) return kind | IMPLICIT;
  if (mode === MODE_SHADOW_STACK) return kind | SHADOW_STACK;
  return mode === MODE_SHADOW_STACK_USER ? kind | SHADOW_STACK | USER : kind;
}

/** The MODE_* of an access. */
export function modeOf(access: u32, ac: bool): u32 {
  if ((access & SHADOW_STACK) !== 0) return access & USER ? MODE_SHADOW_STACK_USER : MODE_SHADOW_STACK;
  if ((access & IMPLICIT) !== 0) return MODE_IMPLICIT;
  if ((access & USER) !== 0) return MODE_USER;
  return ac ? MODE_SUPERVISOR_AC : MODE_SUPERVISOR;
}

/**
 * Whether a shadow-stack access is allowed: the page must be a shadow-stack page (R/W set in every upper entry,
 * clear in the leaf, D set) of exactly the access's privilege. SDM 3A 4.6.1.
 */
export function shadowStackAllows(rights: u32, shadowStackPage: bool, access: u32): bool {
  return (
    shadowStackPage &&
    ((rights & RIGHT_USER) !== 0) === ((access & (USER | SHADOW_STACK)) === (USER | SHADOW_STACK))
  );
}
