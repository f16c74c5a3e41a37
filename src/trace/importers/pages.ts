import { TraceError } from "../error.js";

/** Page sizes of a guest: one for all, or by range of addresses. */
export type PageSize = "4k" | "2m" | "1g";

export interface PageRange {
  /** First address and the address after the last, "0x..."; multiples of the page size. */
  from: string;
  to: string;
  size: PageSize;
}

export type PageSizes = PageSize | { default: PageSize; ranges: PageRange[] };

/** Where a recording had its pages: runs of consecutive pages that lie consecutively. */
export interface Placement {
  pageSize: PageSize;
  /** gva and gpa of the first page of a run, "0x...", and the number of pages. */
  runs: [gva: string, gpa: string, pages: number][];
}

const BYTES: Record<PageSize, bigint> = { "4k": 4096n, "2m": 1n << 21n, "1g": 1n << 30n };
/** More would not fit the header of a .nwt file. */
const RUNS_MAX = 20_000;

export function pageBytes(size: PageSize): bigint {
  return BYTES[size];
}

function sizeOf(text: string): PageSize | undefined {
  const known: Record<string, PageSize> = {
    ...{ "4k": "4k", "2m": "2m", "1g": "1g", "4kb": "4k", "2mb": "2m", "1gb": "1g" },
    ...{ "4096": "4k", "2097152": "2m", "1073741824": "1g" },
  };
  return known[text.toLowerCase()];
}

/**
 * A page-size map: a size alone ("2m"), or lines "FROM TO SIZE" with hexadecimal addresses and, for what lies in none
 * of them, "default SIZE". Lines that begin with # are comments. Throws TraceError with the line.
 */
export function parsePageSizes(name: string, text: string): PageSizes {
  const alone = sizeOf(text.trim());
  if (alone) return alone;
  let standard: PageSize = "4k";
  let stated = false;
  const ranges: { from: bigint; to: bigint; size: PageSize }[] = [];
  for (const [i, line] of text.split(/\r?\n/).entries()) {
    const words = line.trim().split(/[\s-]+/);
    if (words[0] === "" || words[0]!.startsWith("#")) continue;
    const fail = (what: string) =>
      new TraceError(
        `${name} is no page-size map: line ${i + 1} ${what}; write "FROM TO 4k|2m|1g" with hexadecimal addresses, or "default 4k|2m|1g"`,
        { kind: "corrupt" },
      );
    const size = sizeOf(words.at(-1)!);
    if (!size) throw fail(`ends in "${words.at(-1)!.slice(0, 40)}", which is no page size`);
    if (words[0] === "default" && words.length === 2) {
      standard = size;
      stated = true;
      continue;
    }
    const [from, to] = words.slice(0, 2).map(hexadecimal);
    if (words.length !== 3 || from === undefined || to === undefined) throw fail("has no two addresses");
    if (from >= to) throw fail("ends before it begins");
    if (from % BYTES[size] !== 0n || to % BYTES[size] !== 0n)
      throw fail(`does not begin and end at multiples of ${size}`);
    ranges.push({ from, to, size });
  }
  ranges.sort((a, b) => (a.from < b.from ? -1 : 1));
  for (let i = 1; i < ranges.length; i++) {
    if (ranges[i]!.from < ranges[i - 1]!.to)
      throw new TraceError(
        `${name} is no page-size map: the ranges at 0x${ranges[i - 1]!.from.toString(16)} and 0x${ranges[i]!.from.toString(16)} overlap; give each address once`,
        { kind: "corrupt" },
      );
  }
  if (ranges.length > RUNS_MAX) throw tooMany(name, ranges.length, "ranges");
  if (ranges.length === 0 && !stated)
    throw new TraceError(
      `${name} is no page-size map: it holds no line; write "FROM TO 4k|2m|1g" with hexadecimal addresses, or "default 4k|2m|1g"`,
      { kind: "corrupt" },
    );
  if (ranges.length === 0) return standard;
  return {
    default: standard,
    ranges: ranges.map(({ from, to, size }) => ({ from: hex(from), to: hex(to), size })),
  };
}

/**
 * DynamoRIO's v2p.textproto (clients/drcachesim/reader/v2p_reader.cpp): `page_size: N` and blocks
 * `address_mapping { virtual_address: N physical_address: N }`, perhaps in groups, where a missing address is 0.
 */
export function parseV2p(name: string, text: string): Placement {
  const clean = text.replace(/#[^\n]*/g, "");
  const fail = (what: string) =>
    new TraceError(
      `${name} is no v2p.textproto: ${what}; it has "page_size: N" and blocks "address_mapping { virtual_address: N physical_address: N }"`,
      { kind: "corrupt" },
    );
  if (/\baddress_mapping\s*:?\s*\{[^}]*$/.test(clean)) throw fail("its last block does not end");
  const sizes = [...clean.matchAll(/\bpage_size\s*:\s*(0x[0-9a-f]{1,16}|\d{1,20})/gi)].map(([, n]) =>
    Number(n),
  );
  const [size = 4096] = sizes;
  if (sizes.some((other) => other !== size)) throw fail("its groups have different page sizes");
  const pageSize = sizeOf(String(size));
  if (!pageSize) throw fail(`its page size ${size} is not 4096, 2 MiB or 1 GiB`);
  const bytes = BYTES[pageSize];
  const pages: [bigint, bigint][] = [];
  const seen = new Set<bigint>();
  for (const [, block] of clean.matchAll(/\baddress_mapping\s*:?\s*\{([^}]*)\}/g)) {
    const value = (key: string) => {
      const found = new RegExp(`\\b${key}\\s*:\\s*([^\\s,;]*)`).exec(block!)?.[1];
      if (found === undefined) return 0n;
      if (!/^(0x[0-9a-f]{1,16}|\d{1,20})$/i.test(found))
        throw fail(`"${found.slice(0, 40)}" is no ${key.replace("_", " ")}`);
      return BigInt(found);
    };
    const [gva, gpa] = [value("virtual_address"), value("physical_address")];
    if (gva >> 64n || gpa >> 52n) throw fail("an address does not fit 64 bits, or 52 if physical");
    if (gva % bytes !== 0n || gpa % bytes !== 0n)
      throw fail(`the mapping of 0x${gva.toString(16)} is not at multiples of the page size`);
    if (seen.has(gva)) throw fail(`0x${gva.toString(16)} is mapped twice`);
    seen.add(gva);
    pages.push([gva, gpa]);
  }
  if (pages.length === 0) throw fail("it holds no mapping");
  pages.sort(([a], [b]) => (a < b ? -1 : 1));
  const runs: Placement["runs"] = [];
  let next: [bigint, bigint] = [-1n, -1n];
  for (const [gva, gpa] of pages) {
    if (gva === next[0] && gpa === next[1]) runs.at(-1)![2]++;
    else runs.push([hex(gva), hex(gpa), 1]);
    next = [gva + bytes, gpa + bytes];
  }
  if (runs.length > RUNS_MAX) throw tooMany(name, runs.length, "runs of pages");
  return { pageSize, runs };
}

/** The page sizes that a placement implies. */
export function pageSizesOf({ pageSize, runs }: Placement): PageSizes {
  if (pageSize === "4k") return "4k";
  const bytes = BYTES[pageSize];
  const ranges: PageRange[] = [];
  for (const [gva, , pages] of runs) {
    const to = hex(BigInt(gva) + bytes * BigInt(pages));
    const last = ranges.at(-1);
    if (last?.to === gva) last.to = to;
    else ranges.push({ from: gva, to, size: pageSize });
  }
  return { default: "4k", ranges };
}

function tooMany(name: string, count: number, what: string): TraceError {
  return new TraceError(
    `${name} holds ${count} ${what}, more than the ${RUNS_MAX} that a trace can carry; use larger pages or fewer`,
    { kind: "unsupported" },
  );
}

function hexadecimal(text: string): bigint | undefined {
  return /^(0x)?[0-9a-f]{1,16}$/i.test(text) ? BigInt(/^0x/i.test(text) ? text : `0x${text}`) : undefined;
}

function hex(value: bigint): string {
  return `0x${value.toString(16)}`;
}
