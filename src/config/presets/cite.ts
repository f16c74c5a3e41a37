import type {
  CacheLevel,
  CpuConfig,
  EntryCache,
  Inclusion,
  PageSize,
  Policy,
  TlbArray,
  WalkCache,
} from "../types.js";

/** A value and where it comes from. A source that begins with "estimate" is nobody's published number. */
export interface Cite<T> {
  readonly value: T;
  readonly source: string;
}

type Leaf = string | number | boolean | readonly string[];

/** A part of a configuration with a source beside every value. */
export type Cited<T> = T extends Leaf
  ? Cite<T>
  : T extends readonly (infer E)[]
    ? readonly Cited<E>[]
    : { readonly [K in keyof T]: Cited<T[K]> };

/** A CPU: what a configuration starts from. */
export interface Preset {
  readonly name: string;
  readonly title: string;
  /** What differs from the CPU, and choices that are not numbers. */
  readonly notes: readonly string[];
  readonly values: Cited<CpuConfig> & { readonly host: { readonly addressBits: Cite<number> } };
}

export function cite<T>(value: T, source: string): Cite<T> {
  return { value, source };
}

/** One line of a preset: key path, value, source. */
export interface CitedRow {
  path: string;
  value: Leaf;
  source: string;
}

function isCite(node: unknown): node is Cite<Leaf> {
  return typeof node === "object" && node !== null && "source" in node && "value" in node;
}

/** Every value of a preset with its source, in the order of the preset. */
export function citedRows(preset: Preset): CitedRow[] {
  const rows: CitedRow[] = [];
  const visit = (node: unknown, path: string): void => {
    if (isCite(node)) rows.push({ path, value: node.value, source: node.source });
    else
      for (const [key, child] of Object.entries(node as object)) visit(child, path ? `${path}.${key}` : key);
  };
  visit(preset.values, "");
  return rows;
}

/** The values of a preset without their sources. */
export function valuesOf(preset: Preset): CpuConfig & { host: { addressBits: number } } {
  const strip = (node: unknown): unknown => {
    if (isCite(node)) return Array.isArray(node.value) ? [...node.value] : node.value;
    if (Array.isArray(node)) return node.map(strip);
    return Object.fromEntries(Object.entries(node as object).map(([key, child]) => [key, strip(child)]));
  };
  return strip(preset.values) as CpuConfig & { host: { addressBits: number } };
}

const POLICY = "estimate: replacement is not published; LRU";
const INDEX = "estimate: set index is not published; low address bits";
const NO_MARK = "unused: only NRU marks fills";

export interface ArrayOptions {
  policy?: Cite<Policy>;
  fillMark?: Cite<number>;
  index?: Cite<"plain" | "hashed">;
  coalesce?: Cite<boolean>;
}

/** A TLB array; `entries` carries the source of `pages` too. */
export function tlbArray(
  pages: PageSize[],
  entries: Cite<number>,
  ways: Cite<number>,
  options: ArrayOptions = {},
): Cited<TlbArray> {
  return {
    pages: cite(pages, entries.source),
    entries,
    ways,
    policy: options.policy ?? cite("lru", POLICY),
    index: options.index ?? cite("plain", INDEX),
    fillMark: options.fillMark ?? cite(0, NO_MARK),
    coalesce: options.coalesce ?? cite(false, "estimate: no source says that it does"),
  };
}

/** A paging-structure cache with an array of its own. */
export function ownCache(
  entries: Cite<number>,
  ways: Cite<number>,
  options: ArrayOptions = {},
): Cited<WalkCache> {
  return {
    place: cite("own", entries.source),
    entries,
    ways,
    policy: options.policy ?? cite("lru", POLICY),
    index: options.index ?? cite("plain", INDEX),
    fillMark: options.fillMark ?? cite(0, NO_MARK),
  };
}

/** A paging-structure cache that is nowhere, or inside another structure. */
export function placedCache(place: "none" | "l2" | "pde" | "pdpte", source: string): Cited<WalkCache> {
  const without = "unused: no array of its own";
  return {
    place: cite(place, source),
    entries: cite(0, without),
    ways: cite(0, without),
    policy: cite("lru", without),
    index: cite("plain", without),
    fillMark: cite(0, without),
  };
}

/** A CPU without a page-walk cache by host-physical address. */
export function noEntryCache(): Cited<EntryCache> {
  const without = "unused: there is no such cache";
  return {
    holds: cite("none", "estimate: no source says that this CPU has one"),
    entries: cite(0, without),
    ways: cite(0, without),
    policy: cite("lru", without),
    index: cite("plain", without),
    fillMark: cite(0, without),
    cycles: cite(0, without),
  };
}

export interface CacheOptions {
  policy?: Cite<Policy>;
  hashMask?: Cite<number>;
  inclusion?: Cite<Inclusion>;
}

export function cacheLevel(
  bytes: Cite<number>,
  ways: Cite<number>,
  cycles: Cite<number>,
  options: CacheOptions = {},
): Cited<CacheLevel> {
  return {
    bytes,
    ways,
    cycles,
    policy: options.policy ?? cite("lru", POLICY),
    fillMark: cite(0, NO_MARK),
    hashMask: options.hashMask ?? cite(0, INDEX),
    inclusion: options.inclusion ?? cite("none", "estimate: neither inclusive nor exclusive"),
  };
}

/** A first-level instruction cache of 32 KiB, 8-way, whose hits cost a fetch nothing. */
export function instructionCache(source: string): Cited<CacheLevel> {
  return cacheLevel(
    cite(32 << 10, source),
    cite(8, "estimate: 8-way"),
    cite(0, "estimate: the front end hides a hit"),
  );
}
