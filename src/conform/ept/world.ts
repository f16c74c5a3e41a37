import type { Ept } from "../bare/types.js";
import {
  allows,
  type Capabilities,
  finalQualification,
  type GuestPage,
  isMisconfigured,
  isPresent,
} from "../second-stage/ept-oracle.js";
import { type Shape, World } from "../second-stage/world.js";

/** What the tables of EPT's checks share. */

export const EPT: Ept = {
  kind: "ept",
  root: 0n,
  levels: 4,
  maxphyaddr: 46,
  accessedDirty: false,
  executeOnly: true,
  mbec: false,
};
export const RIGHTS = 0x407n;

export function hex(n: bigint | number): string {
  return `0x${n.toString(16)}`;
}

export function rightsBits(rights: number): bigint {
  return BigInt(rights & 7) | (rights & 8 ? 0x400n : 0n);
}

/** Levels that an entry of the data path can lie at, with the level of its leaf. */
export function placements(levels: number): { level: number; leaf: number }[] {
  const out = [];
  for (const leaf of [1, 2, 3]) for (let level = leaf; level <= levels; ++level) out.push({ level, leaf });
  return out;
}

export const SUPERVISOR: GuestPage = { user: false, write: true, noExecute: false };
export const PLAIN: Capabilities = { executeOnly: true, mbec: false, advanced: false };

/** A world whose guest page is a supervisor's. */
export function world(ept: Partial<Ept>, shape: Shape = {}, more = {}): World {
  const w = new World({ ...EPT, ...ept }, shape, more);
  w.edit(w.guestEntry(1), (e) => e & ~4n);
  return w;
}

/** What the check of the final address comes to under the rights `r` of its EPT entries. */
export function finalOutcome(
  w: World,
  r: number,
  kind: "read" | "write" | "fetch",
  page: GuestPage,
  cap: Capabilities,
): string {
  const gpa = w.gpaOf(0);
  if (isMisconfigured(r, cap)) return `misconfiguration of ${hex(gpa)}`;
  const effective = isPresent(r, cap.mbec) ? r : 0;
  if (allows(effective, kind, page, cap.mbec)) return `ok ${hex(w.hpaOf(0))}`;
  const q = finalQualification(kind, effective, page, cap);
  return `violation ${hex(q)} of ${hex(gpa)} for ${hex(w.gva)}`;
}
