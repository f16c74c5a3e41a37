import { bit, has } from "./bits.js";
import type { Stage1Rights } from "./outcome.js";
import { type Access, CR0, CR4, EFER, type Registers } from "./registers.js";

export const ERROR_CODE = { P: 1, W: 2, U: 4, RSVD: 8, ID: 16, PK: 32, SS: 64 } as const;

export function isUserMode(access: Access): boolean {
  return access.user && !access.implicit;
}

/** SDM 3A 4.6: the rights of a whole translation against one access. keyDenied asks only the keys. */
export function checkRights(
  regs: Registers,
  access: Access,
  page: Stage1Rights,
): { allowed: boolean; keyDenied: boolean } {
  const keyDenied = isKeyDenied(regs, access, page);
  return { allowed: !keyDenied && isModeAllowed(regs, access, page), keyDenied };
}

/** SDM 3A 4.6.1. */
function isModeAllowed(regs: Registers, access: Access, page: Stage1Rights): boolean {
  const user = isUserMode(access);
  if (access.shadowStack) return page.shadowStack && page.user === user;
  if (user && !page.user) return false;

  if (access.kind === "fetch") {
    return page.execute && (user || !page.user || !has(regs.cr4, CR4.SMEP));
  }
  if (!user && page.user && has(regs.cr4, CR4.SMAP)) {
    // EFLAGS.AC speaks for explicit accesses only.
    if (access.implicit || !regs.ac) return false;
  }
  if (access.kind === "read") return true;
  return page.write || (!user && !has(regs.cr0, CR0.WP));
}

/** SDM 3A 4.6.2: PKRU rules user-mode addresses whoever accesses them, IA32_PKRS the others; never fetches. */
function isKeyDenied(regs: Registers, access: Access, page: Stage1Rights): boolean {
  if (access.kind === "fetch" || !has(regs.efer, EFER.LMA)) return false;
  if (!has(regs.cr4, page.user ? CR4.PKE : CR4.PKS)) return false;
  const register = page.user ? regs.pkru : regs.pkrs;
  if (has(register, bit(2 * page.protectionKey))) return true;
  const writeDisable = has(register, bit(2 * page.protectionKey + 1));
  // With WP=0 a write-disable bit binds only user-mode writes, and PKRS, which no user-mode write may rely on, not at all.
  const bindsWrites = has(regs.cr0, CR0.WP) || (page.user && isUserMode(access));
  return writeDisable && access.kind === "write" && bindsWrites;
}

/** SDM 3A 4.7: the bits that describe the access; P, RSVD and PK describe the cause. */
export function accessErrorCode(regs: Registers, access: Access): number {
  let code = 0;
  if (access.kind === "write") code |= ERROR_CODE.W;
  if (isUserMode(access)) code |= ERROR_CODE.U;
  if (access.kind === "fetch" && reportsFetches(regs)) code |= ERROR_CODE.ID;
  if (access.shadowStack) code |= ERROR_CODE.SS;
  return code;
}

/** NXE counts only with CR4.PAE=1: 32-bit paging has no execute-disable. */
function reportsFetches(regs: Registers): boolean {
  return has(regs.cr4, CR4.SMEP) || (has(regs.cr4, CR4.PAE) && has(regs.efer, EFER.NXE));
}
