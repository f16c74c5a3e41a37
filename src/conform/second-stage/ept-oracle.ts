/** What EPT makes of one defect, as functions of its flags. SDM 3C 29.3.2, 29.3.3; apart from the core's walker. */
export interface Capabilities {
  executeOnly: boolean;
  mbec: boolean;
  advanced: boolean;
}

export type Kind = "read" | "write" | "fetch";

/** Rights: R 1, W 2, X 4, XU 8. */
export function isPresent(rights: number, mbec: boolean): boolean {
  return (rights & (mbec ? 15 : 7)) !== 0;
}
export function isMisconfigured(rights: number, { executeOnly, mbec }: Capabilities): boolean {
  if (!isPresent(rights, mbec) || rights & 1) return false;
  return (rights & 2) !== 0 || !executeOnly;
}

/** Bits of the page's guest translation that qualifications may show. */
export interface GuestPage {
  user: boolean;
  write: boolean;
  noExecute: boolean;
}

export function allows(rights: number, kind: Kind, page: GuestPage, mbec: boolean): boolean {
  if (kind === "read") return (rights & 1) !== 0;
  if (kind === "write") return (rights & 2) !== 0;
  return (rights & (mbec && page.user ? 8 : 4)) !== 0;
}

const KIND_BIT = { read: 1, write: 2, fetch: 4 } as const;

/** Exit qualification of a refused access to the final address; `rights` 0 where an entry is not present. */
export function finalQualification(kind: Kind, rights: number, page: GuestPage, cap: Capabilities): number {
  let q = KIND_BIT[kind] | ((rights & 7) << 3) | 0x180;
  if (cap.mbec && rights & 8) q |= 0x40;
  if (cap.advanced) q |= (page.user ? 0x200 : 0) | (page.write ? 0x400 : 0) | (page.noExecute ? 0x800 : 0);
  return q;
}

/** The same for a page of guest tables: reading the entry, or setting a flag in it. */
export function tableQualification(readAndWrite: boolean, rights: number, mbec: boolean): number {
  return (readAndWrite ? 3 : 1) | ((rights & 7) << 3) | (mbec && rights & 8 ? 0x40 : 0) | 0x80;
}

/** Whether a bit of a present entry misconfigures it. SDM 3C tables 29-1 to 29-7. */
export function isReserved(bit: number, level: number, leaf: boolean, width: number): boolean {
  if (bit >= width && bit <= 51) return true;
  if (level >= 4) return bit >= 3 && bit <= 7;
  if (!leaf) return bit >= 3 && bit <= 6;
  if (level === 3) return bit >= 12 && bit <= 29;
  return level === 2 && bit >= 12 && bit <= 20;
}

/** Bits that a translation does not depend on; `accessedDirty` gives 8 and 9 a meaning, but no say. */
export function isIgnored(bit: number, level: number, leaf: boolean, mbec: boolean): boolean {
  if (bit === 10) return !mbec;
  if (bit === 6) return leaf;
  if (bit === 7) return level === 1;
  return bit === 8 || bit === 9 || bit === 11 || bit >= 52;
}
