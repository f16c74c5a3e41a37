import { PagingStructureCache } from "../mmu/psc";
import { Format } from "../x86/format";

/** What translates the addresses of a dimension's own tables. */
export const SECOND_NONE: u32 = 0;
/** The hardware's second stage: nested TLB and nested walk. */
export const SECOND_NESTED: u32 = 1;
/** The hypervisor's software, which knows the host frame of each guest frame. */
export const SECOND_BACKING: u32 = 2;

/**
 * One dimension of translation: a format, a root, the caches that serve it, and the result of its last walk.
 * The machine has three: the guest's tables, the second stage, and under shadow paging the hypervisor's tables.
 */
export class Dimension {
  format: Format = new Format();
  /** Address of the root table, in the address space that `second` translates. */
  root: u64 = 0;
  second: u32 = SECOND_NONE;
  /** PAE: the four level-3 entries, when they are registers. */
  pdptes: StaticArray<u64> = new StaticArray<u64>(4);

  /** Paging-structure cache of this dimension, or null for software and for machines without. */
  psc: PagingStructureCache | null = null;
  /** Context that tags its entries in the caches. */
  context: u32 = 0;

  /** Whether the walk under way is for a write, which a clean cached leaf cannot serve. */
  write: bool = false;

  // The last walk.
  /** Entries read, by level, and where: the address in this dimension and in host-physical memory. */
  entries: StaticArray<u64> = new StaticArray<u64>(6);
  addresses: StaticArray<u64> = new StaticArray<u64>(6);
  hostAddresses: StaticArray<u64> = new StaticArray<u64>(6);
  /** Rights of all levels above, by level: those of the table that the entry of that level lies in. */
  rightsAbove: StaticArray<u64> = new StaticArray<u64>(6);
  /** Second-stage rights of the table page, by level, bits as in the second stage's format. */
  tableRights: StaticArray<u64> = new StaticArray<u64>(6);
  /** Whether the first table came from the paging-structure cache. */
  cached: bool = false;
  /** First level read: lower than the format's top after a paging-structure cache hit. */
  top: u32 = 0;
  /** Level of the leaf, or of the entry that stopped the walk. */
  level: u32 = 0;
  /** Rights of all levels, bits as in the format's entries, each one set when allowed. */
  rights: u64 = 0;
  /** Translated address. */
  result: u64 = 0;
  /** The leaf entry as read, before its flags were updated. */
  leaf: u64 = 0;
  /** Whether the leaf is dirty after the walk (or the format has no dirty flag). */
  leafDirty: bool = false;
}
