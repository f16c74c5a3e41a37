import { bits, has } from "./bits.js";
import {
  A,
  D,
  entryAddress,
  entryBytes,
  type Format,
  frameAddress,
  isBarePdpte,
  isLeaf,
  levelShift,
  P,
  RW,
  reservedBits,
  rootAddress,
  rootLevel,
  US,
  XD,
} from "./entries.js";
import { guestFlagUpdateViolation } from "./ept.js";
import { translateGuestPhysical } from "./guest-physical.js";
import type { Exit, PageFault, Stage1Rights, Stage2Rights } from "./outcome.js";
import { type Access, CR4, type Registers } from "./registers.js";
import { accessErrorCode, ERROR_CODE } from "./rights.js";
import type { WalkState } from "./stage2.js";

interface UsedEntry {
  gpa: bigint;
  hpa: bigint;
  /** Of the page that holds the entry. */
  stage2Rights: Stage2Rights;
}

export interface GuestTranslation {
  ok: true;
  gpa: bigint;
  pageSize: number;
  rights: Stage1Rights;
  /** The entries that have an accessed flag, root first, the leaf last. */
  used: UsedEntry[];
}

/** SDM 3A 4.3-4.5 and 4.7: level by level the entry's own gpa is translated, then P, then reserved bits. */
export function walkGuestTables(
  walk: WalkState,
  format: Format,
  regs: Registers,
  gva: bigint,
  access: Access,
): GuestTranslation | PageFault | Exit {
  const used: UsedEntry[] = [];
  let user = true;
  let execute = true;
  let tablesWrite = true;
  let table = rootAddress(format, regs.cr3);
  let level = rootLevel(format);

  if (format.mode === "pae" && !readsPdptesOnDemand(walk, regs)) {
    const pdpte = pdpteRegister(regs, gva);
    if (!has(pdpte, P)) return pageFault(regs, access, gva, 0);
    table = frameAddress(format, level, false, pdpte);
    level--;
  }

  for (; ; level--) {
    const entryGpa = entryAddress(format, table, level, gva);
    const place = translateGuestPhysical(walk, entryGpa, { purpose: "table", guestLevel: level, gva });
    if (!place.ok) return place;
    walk.references.push({ guestLevel: level, hostLevel: 0, hpa: place.hpa, kind: "guest" });

    const entry = walk.memory.read(place.hpa, entryBytes(format));
    const leaf = isLeaf(format, level, entry);
    if (!has(entry, P)) return pageFault(regs, access, gva, 0);
    if (has(entry, reservedBits(format, level, leaf))) {
      return pageFault(regs, access, gva, ERROR_CODE.P | ERROR_CODE.RSVD);
    }

    const usedEntry = { gpa: entryGpa, hpa: place.hpa, stage2Rights: place.rights };
    if (!isBarePdpte(format, level)) {
      used.push(usedEntry);
      user &&= has(entry, US);
      execute &&= !has(entry, XD);
    }
    if (leaf) {
      const shift = levelShift(format, level);
      const frame = frameAddress(format, level, leaf, entry);
      const rights: Stage1Rights = {
        user,
        execute,
        write: tablesWrite && has(entry, RW),
        // SDM 3A 4.6: the dirty flag is what tells a shadow-stack page from a read-only one.
        shadowStack: has(regs.cr4, CR4.CET) && tablesWrite && !has(entry, RW) && has(entry, D),
        protectionKey: protectionKeyOf(format, entry),
      };
      return { ok: true, gpa: frame | (gva & bits(shift - 1, 0)), pageSize: 2 ** shift, rights, used };
    }

    if (!isBarePdpte(format, level)) {
      tablesWrite &&= has(entry, RW);
      if (walk.eager) {
        const stopped = setGuestFlags(walk, format, usedEntry, gva, A);
        if (stopped) return stopped;
      }
    }
    table = frameAddress(format, level, leaf, entry);
  }
}

/** Sets A, or A and D, in one guest entry, unless EPT without A/D flags of its own forbids the write. */
export function setGuestFlags(
  walk: WalkState,
  format: Format,
  entry: UsedEntry,
  gva: bigint,
  flags: bigint,
): Exit | undefined {
  const bytes = entryBytes(format);
  const { stage2, memory } = walk;
  // SDM 3C 29.3.3.2. Where EPT's A/D are on, and under NPT, reading the entry has already needed the write.
  if (stage2.kind === "ept" && !entry.stage2Rights.write) {
    const missing = (memory.read(entry.hpa, bytes) & flags) !== flags;
    if (missing) return guestFlagUpdateViolation(stage2, entry.gpa, gva, entry.stage2Rights);
  }
  memory.setFlags(entry.hpa, flags, bytes);
  return undefined;
}

export function pageFault(regs: Registers, access: Access, gva: bigint, cause: number): PageFault {
  return { ok: false, fault: "PF", errorCode: cause | accessErrorCode(regs, access), cr2: gva };
}

/** APM 2 15.25.10: under nested paging PDPTEs are not cached in registers by MOV CR3. */
function readsPdptesOnDemand(walk: WalkState, regs: Registers): boolean {
  return regs.vendor === "amd" && walk.stage2.kind === "npt";
}

function pdpteRegister(regs: Registers, gva: bigint): bigint {
  if (!regs.pdptes) throw new Error("PAE paging needs regs.pdptes: call loadPdptes, as MOV CR3 does");
  return regs.pdptes[Number((gva >> 30n) & 3n)]!;
}

/** SDM 3A Table 4-20: bits 62:59, which only 4- and 5-level paging give a meaning. */
function protectionKeyOf(format: Format, leaf: bigint): number {
  return format.mode === "4-level" || format.mode === "5-level" ? Number((leaf >> 59n) & 15n) : 0;
}
