import { bit, bits, has } from "./bits.js";
import type { EptMisconfiguration, EptViolation, Exit, Stage2Rights } from "./outcome.js";
import {
  ALL_RIGHTS,
  type Ept,
  guestLevelOf,
  type Stage2Request,
  type Stage2Translation,
  type WalkState,
} from "./stage2.js";

export const EPT = {
  R: bit(0),
  W: bit(1),
  X: bit(2),
  PS: bit(7),
  A: bit(8),
  D: bit(9),
  XU: bit(10),
} as const;

/** Exit qualification for EPT violations: SDM 3C Table 28-7. */
export const QUALIFICATION = {
  READ: 1 << 0,
  WRITE: 1 << 1,
  FETCH: 1 << 2,
  READABLE: 1 << 3,
  WRITABLE: 1 << 4,
  EXECUTABLE: 1 << 5,
  USER_EXECUTABLE: 1 << 6,
  GLA_VALID: 1 << 7,
  FINAL: 1 << 8,
  GUEST_USER: 1 << 9,
  GUEST_WRITABLE: 1 << 10,
  GUEST_XD: 1 << 11,
  SHADOW_STACK: 1 << 13,
} as const;

const NO_RIGHTS: Stage2Rights = { read: false, write: false, execute: false, userExecute: false };

export function translateEpt(
  walk: WalkState,
  ept: Ept,
  gpa: bigint,
  request: Stage2Request,
): Stage2Translation | Exit {
  // SDM 3C 29.3.2: 4-level EPT translates 48 bits, 5-level 57.
  if (gpa >> BigInt(12 + 9 * ept.levels) !== 0n) return violation(ept, gpa, request, NO_RIGHTS);

  const guestLevel = guestLevelOf(request);
  const used: bigint[] = [];
  let rights = ALL_RIGHTS;
  let table = ept.root & bits(ept.maxphyaddr - 1, 12);
  let level: number = ept.levels;

  for (; ; level--) {
    const shift = levelShift(level);
    const entryHpa = table + ((gpa >> BigInt(shift)) & 0x1ffn) * 8n;
    walk.references.push({ guestLevel, hostLevel: level, hpa: entryHpa, kind: "host" });
    const entry = walk.memory.read64(entryHpa);

    // SDM 3C 29.3.3.3: a misconfiguration below goes before missing rights above, so rights wait.
    if (!isPresent(ept, entry)) return violation(ept, gpa, request, NO_RIGHTS);
    if (isMisconfigured(ept, level, entry)) return misconfiguration(gpa);

    used.push(entryHpa);
    rights = intersect(ept, rights, entry);
    if (isLeaf(level, entry)) {
      table = entry & bits(ept.maxphyaddr - 1, shift);
      break;
    }
    if (walk.eager && ept.accessedDirty) walk.memory.setFlags(entryHpa, EPT.A, 8);
    table = entry & bits(ept.maxphyaddr - 1, 12);
  }

  if (!isAllowed(ept, request, rights)) return violation(ept, gpa, request, rights);
  if (ept.accessedDirty) {
    for (const entryHpa of used) walk.memory.setFlags(entryHpa, EPT.A, 8);
    if (isWrite(ept, request)) walk.memory.setFlags(used.at(-1)!, EPT.D, 8);
  }
  const offset = gpa & bits(levelShift(level) - 1, 0);
  return { ok: true, hpa: table | offset, pageSize: 2 ** levelShift(level), rights };
}

/** A guest accessed or dirty flag that needs setting is an access of its own when EPT's A/D are off. */
export function guestFlagUpdateViolation(
  ept: Ept,
  gpa: bigint,
  gva: bigint,
  rights: Stage2Rights,
): EptViolation {
  const qualification =
    QUALIFICATION.READ | QUALIFICATION.WRITE | rightsBits(ept, rights) | QUALIFICATION.GLA_VALID;
  return { ok: false, exit: "EPT_VIOLATION", qualification, gpa, gla: gva };
}

function levelShift(level: number): number {
  return 12 + 9 * (level - 1);
}

/** SDM 3C 29.3.2: any of R, W, X, and under mode-based execute control XU. */
function isPresent(ept: Ept, entry: bigint): boolean {
  return has(entry, EPT.R | EPT.W | EPT.X | (ept.mbec ? EPT.XU : 0n));
}

function isLeaf(level: number, entry: bigint): boolean {
  return level === 1 || (level <= 3 && has(entry, EPT.PS));
}

/** SDM 3C 29.3.3.1 and Tables 29-1 to 29-7. */
function isMisconfigured(ept: Ept, level: number, entry: bigint): boolean {
  if (!has(entry, EPT.R)) {
    if (has(entry, EPT.W)) return true;
    // Present and not readable nor writable: it is executable only.
    if (!ept.executeOnly) return true;
  }
  if (has(entry, reservedBits(ept, level, entry))) return true;
  if (!isLeaf(level, entry)) return false;
  const memoryType = (entry >> 3n) & 7n;
  return memoryType === 2n || memoryType === 3n || memoryType === 7n;
}

function reservedBits(ept: Ept, level: number, entry: bigint): bigint {
  const high = bits(51, ept.maxphyaddr);
  if (level >= 4) return high | bits(7, 3);
  if (!isLeaf(level, entry)) return high | bits(6, 3);
  if (level === 3) return high | (ept.gbPages === false ? EPT.PS : bits(29, 12));
  return level === 2 ? high | bits(20, 12) : high;
}

function intersect(ept: Ept, rights: Stage2Rights, entry: bigint): Stage2Rights {
  return {
    read: rights.read && has(entry, EPT.R),
    write: rights.write && has(entry, EPT.W),
    execute: rights.execute && has(entry, EPT.X),
    userExecute: rights.userExecute && has(entry, ept.mbec ? EPT.XU : EPT.X),
  };
}

/** SDM 3C 29.3.5: with EPT's A/D on, a guest paging-structure access counts as a write; PDPTE loads do not. */
function isWrite(ept: Ept, request: Stage2Request): boolean {
  if (request.purpose === "final") return request.kind === "write";
  return request.purpose === "table" && ept.accessedDirty;
}

/** SDM 3C 29.3.3.2. */
function isAllowed(ept: Ept, request: Stage2Request, rights: Stage2Rights): boolean {
  if (isWrite(ept, request)) return rights.write;
  if (request.purpose !== "final" || request.kind === "read") return rights.read;
  // It is the guest page's mode that chooses, not the access's: a user-mode address needs XU.
  return request.page.user ? rights.userExecute : rights.execute;
}

function rightsBits(ept: Ept, rights: Stage2Rights): number {
  return (
    (rights.read ? QUALIFICATION.READABLE : 0) |
    (rights.write ? QUALIFICATION.WRITABLE : 0) |
    (rights.execute ? QUALIFICATION.EXECUTABLE : 0) |
    (ept.mbec && rights.userExecute ? QUALIFICATION.USER_EXECUTABLE : 0)
  );
}

function accessBits(ept: Ept, request: Stage2Request): number {
  if (request.purpose !== "final") {
    return isWrite(ept, request) ? QUALIFICATION.READ | QUALIFICATION.WRITE : QUALIFICATION.READ;
  }
  const kinds = { read: QUALIFICATION.READ, write: QUALIFICATION.WRITE, fetch: QUALIFICATION.FETCH };
  return kinds[request.kind];
}

function violation(ept: Ept, gpa: bigint, request: Stage2Request, rights: Stage2Rights): EptViolation {
  let qualification = accessBits(ept, request) | rightsBits(ept, rights);
  if (request.purpose === "pdpte-load") return { ok: false, exit: "EPT_VIOLATION", qualification, gpa };

  qualification |= QUALIFICATION.GLA_VALID;
  if (request.purpose === "final") {
    qualification |= QUALIFICATION.FINAL;
    if (request.shadowStack) qualification |= QUALIFICATION.SHADOW_STACK;
    if (ept.advancedInformation) {
      if (request.page.user) qualification |= QUALIFICATION.GUEST_USER;
      if (request.page.write) qualification |= QUALIFICATION.GUEST_WRITABLE;
      if (!request.page.execute) qualification |= QUALIFICATION.GUEST_XD;
    }
  }
  return { ok: false, exit: "EPT_VIOLATION", qualification, gpa, gla: request.gva };
}

function misconfiguration(gpa: bigint): EptMisconfiguration {
  return { ok: false, exit: "EPT_MISCONFIG", gpa };
}
