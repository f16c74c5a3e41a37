import { bit, bits, has } from "./bits.js";
import {
  A,
  D,
  entryAddress,
  type Format,
  frameAddress,
  isBarePdpte,
  isLeaf,
  levelShift,
  P,
  RW,
  reservedBits,
  rootAddress,
  US,
  XD,
} from "./entries.js";
import type { Exit, NestedPageFault, Stage2Rights } from "./outcome.js";
import { CR4, EFER } from "./registers.js";
import { ERROR_CODE } from "./rights.js";
import {
  guestLevelOf,
  type Npt,
  type Stage2Request,
  type Stage2Translation,
  type WalkState,
} from "./stage2.js";

/** APM 2 15.25.6: what the nested walk was for. */
export const NPF_FINAL = bit(32);
export const NPF_GUEST_TABLE = bit(33);

const MODES = { 3: "pae", 4: "4-level", 5: "5-level" } as const;

/** APM 2 15.25: the nested tables are ordinary ones of the host's mode, walked by user-mode accesses. */
export function translateNpt(
  walk: WalkState,
  npt: Npt,
  gpa: bigint,
  request: Stage2Request,
): Stage2Translation | Exit {
  const format = hostFormat(npt);
  const width = npt.levels === 3 ? 32 : 12 + 9 * npt.levels;
  if (gpa >> BigInt(width) !== 0n) return nestedPageFault(npt, gpa, request, 0);

  const guestLevel = guestLevelOf(request);
  const used: bigint[] = [];
  let user = true;
  let write = true;
  let execute = true;
  let table = rootAddress(format, npt.root);
  let level: number = npt.levels;

  for (; ; level--) {
    const entryHpa = entryAddress(format, table, level, gpa);
    walk.references.push({ guestLevel, hostLevel: level, hpa: entryHpa, kind: "host" });
    const entry = walk.memory.read64(entryHpa);
    const leaf = isLeaf(format, level, entry);
    if (!has(entry, P)) return nestedPageFault(npt, gpa, request, 0);
    if (has(entry, reservedBits(format, level, leaf))) {
      return nestedPageFault(npt, gpa, request, ERROR_CODE.P | ERROR_CODE.RSVD);
    }

    if (!isBarePdpte(format, level)) {
      used.push(entryHpa);
      user &&= has(entry, US);
      write &&= has(entry, RW);
      execute &&= !has(entry, XD);
      if (walk.eager && !leaf) walk.memory.setFlags(entryHpa, A, 8);
    }
    table = frameAddress(format, level, leaf, entry);
    if (leaf) break;
  }

  const kind = nestedKind(request);
  // CR0.WP, SMEP, SMAP and the keys of the host take no part.
  const allowed = user && (kind === "write" ? write : kind === "read" || execute);
  if (!allowed) return nestedPageFault(npt, gpa, request, ERROR_CODE.P);

  for (const entryHpa of used) walk.memory.setFlags(entryHpa, A, 8);
  if (kind === "write") walk.memory.setFlags(used.at(-1)!, D, 8);

  const shift = levelShift(format, level);
  const rights: Stage2Rights = { read: true, write, execute, userExecute: execute };
  return { ok: true, hpa: table | (gpa & bits(shift - 1, 0)), pageSize: 2 ** shift, rights };
}

function hostFormat(npt: Npt): Format {
  return {
    mode: MODES[npt.levels],
    maxphyaddr: npt.maxphyaddr,
    vendor: "amd",
    // The host's NXE rules; the guest's has no say.
    nxe: has(npt.hostEfer, EFER.NXE),
    pse: true,
    pse36: true,
    gbPages: npt.gbPages ?? true,
  };
}

/** APM 2 15.25.6: guest table walks are always nested data writes, even for a read or a fetch. */
function nestedKind(request: Stage2Request): "read" | "write" | "fetch" {
  return request.purpose === "final" ? request.kind : "write";
}

function nestedPageFault(npt: Npt, gpa: bigint, request: Stage2Request, cause: number): NestedPageFault {
  const kind = nestedKind(request);
  const reportsFetches = has(npt.hostEfer, EFER.NXE) || has(npt.hostCr4, CR4.SMEP);
  let code = cause | ERROR_CODE.U;
  if (kind === "write") code |= ERROR_CODE.W;
  if (kind === "fetch" && reportsFetches) code |= ERROR_CODE.ID;
  const purpose = request.purpose === "final" ? NPF_FINAL : NPF_GUEST_TABLE;
  return { ok: false, exit: "NPF", exitinfo1: BigInt(code) | purpose, gpa };
}
