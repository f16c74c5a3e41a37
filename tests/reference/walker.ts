import { bits, has } from "./bits.js";
import { A, D, P, reservedBits, rootAddress, stage1Format } from "./entries.js";
import { translateGuestPhysical } from "./guest-physical.js";
import type { PhysicalMemory } from "./memory.js";
import type {
  Exit,
  Fault,
  GeneralProtection,
  Outcome,
  Reference,
  Stage1Rights,
  Translated,
} from "./outcome.js";
import { type Access, isCanonical, pagingMode, type Registers } from "./registers.js";
import { checkRights, ERROR_CODE } from "./rights.js";
import { pageFault, setGuestFlags, walkGuestTables } from "./stage1.js";
import type { Options, Stage2, WalkState } from "./stage2.js";

export { PhysicalMemory } from "./memory.js";
export type { Outcome, Reference } from "./outcome.js";
export type { Access, Registers } from "./registers.js";
export type { Ept, Npt, Options, Stage2 } from "./stage2.js";

const DEFAULTS: Options = { nonleafAccessed: "all-or-nothing" };

/** SDM 3C Table 28-7 and 29.3.3.2: with CR0.PG=0 every address is user-mode, writable and executable. */
const UNPAGED: Stage1Rights = {
  user: true,
  write: true,
  execute: true,
  shadowStack: false,
  protectionKey: 0,
};

/** One access from cold TLBs: what the processor does, with every table write it makes. */
export function translate(
  memory: PhysicalMemory,
  regs: Registers,
  stage2: Stage2,
  gva: bigint,
  access: Access,
  options: Options = DEFAULTS,
): Outcome {
  const walk = startWalk(memory, stage2, options);
  return { ...translateLinear(walk, regs, gva, access), references: walk.references };
}

/** SDM 3A 4.5-4.8: canonical, P and reserved bits level by level, rights, A/D, and then the final gpa. */
function translateLinear(
  walk: WalkState,
  regs: Registers,
  gva: bigint,
  access: Access,
): Translated | Fault | Exit {
  const mode = pagingMode(regs);
  const longMode = mode === "4-level" || mode === "5-level";
  if (longMode && !isCanonical(mode, gva)) return { ok: false, fault: "GP" };
  const linear = longMode ? gva : gva & bits(31, 0);
  if (mode === "none") return finalAccess(walk, linear, linear, 0, access, UNPAGED);

  const format = stage1Format(mode, regs);
  const guest = walkGuestTables(walk, format, regs, linear, access);
  if (!guest.ok) return guest;

  const { allowed, keyDenied } = checkRights(regs, access, guest.rights);
  if (!allowed) {
    return pageFault(regs, access, linear, ERROR_CODE.P | (keyDenied ? ERROR_CODE.PK : 0));
  }

  const leaf = guest.used.at(-1);
  for (const entry of guest.used) {
    const flags = entry === leaf && access.kind === "write" ? A | D : A;
    const stopped = setGuestFlags(walk, format, entry, linear, flags);
    if (stopped) return stopped;
  }
  return finalAccess(walk, linear, guest.gpa, guest.pageSize, access, guest.rights);
}

function finalAccess(
  walk: WalkState,
  gva: bigint,
  gpa: bigint,
  stage1PageSize: number,
  access: Access,
  rights: Stage1Rights,
): Translated | Exit {
  const { kind, shadowStack = false } = access;
  const host = translateGuestPhysical(walk, gpa, { purpose: "final", kind, shadowStack, gva, page: rights });
  if (!host.ok) return host;
  const pageSize = Math.min(stage1PageSize || Number.POSITIVE_INFINITY, host.pageSize);
  return {
    ok: true,
    hpa: host.hpa,
    gpa,
    stage1PageSize,
    pageSize: Number.isFinite(pageSize) ? pageSize : 4096,
    rights,
    stage2Rights: host.rights,
  };
}

export type Pdptes = [bigint, bigint, bigint, bigint];
export type PdpteLoad = ({ ok: true; pdptes: Pdptes } | GeneralProtection | Exit) & {
  references: Reference[];
};

/** What MOV CR3 does in PAE mode (SDM 3A 4.4.1); under EPT, SDM 3C 29.3.5: reads, which set no dirty flag. */
export function loadPdptes(
  memory: PhysicalMemory,
  regs: Registers,
  stage2: Stage2,
  options: Options = DEFAULTS,
): PdpteLoad {
  const walk = startWalk(memory, stage2, options);
  const { references } = walk;
  const format = stage1Format("pae", regs);
  // The four entries are 32-byte aligned, so one translation serves them all.
  const place = translateGuestPhysical(walk, rootAddress(format, regs.cr3), { purpose: "pdpte-load" });
  if (!place.ok) return { ...place, references };

  const pdptes: Pdptes = [0n, 0n, 0n, 0n];
  for (const index of pdptes.keys()) {
    const hpa = place.hpa + BigInt(8 * index);
    references.push({ guestLevel: 3, hostLevel: 0, hpa, kind: "guest" });
    const pdpte = memory.read64(hpa);
    if (has(pdpte, P) && has(pdpte, reservedBits(format, 3, false))) {
      return { ok: false, fault: "GP", references };
    }
    pdptes[index] = pdpte;
  }
  return { ok: true, pdptes, references };
}

function startWalk(memory: PhysicalMemory, stage2: Stage2, options: Options): WalkState {
  return { memory, stage2, eager: options.nonleafAccessed === "eager", references: [] };
}
