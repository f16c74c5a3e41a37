import { type ImplementationDefined, parseLine, type RawCase } from "./schema.js";

export interface VectorEntry {
  name: string;
  hpa: bigint;
  before: bigint;
  after: bigint;
  leaf: boolean;
}

export type VectorOutcome =
  | { ok: true; hpa: bigint }
  | { ok: false; fault: "PF"; errorCode: number; cr2: bigint }
  | { ok: false; fault: "GP" }
  | { ok: false; exit: "NPF"; exitinfo1: bigint; gpa: bigint };

export interface VectorCase {
  id: string;
  category: string;
  maxphyaddr: number;
  guestLevels: 4 | 5;
  cr0: bigint;
  cr3: bigint;
  cr4: bigint;
  efer: bigint;
  pkru: bigint;
  ac: boolean;
  cpl: number;
  kind: "read" | "write" | "fetch";
  gva: bigint;
  entries: VectorEntry[];
  /** The second stage, with one path of entries for each guest entry and one for the final page. */
  nested?: {
    levels: 4 | 5;
    ncr3: bigint;
    hostEfer: bigint;
    paths: { page: string; gpa: bigint; entries: VectorEntry[] }[];
  };
  /** What the manuals have: QEMU's answer with the case's `arch` corrections. */
  expected: VectorOutcome;
  implementationDefined: ReadonlySet<ImplementationDefined>;
  /** Whom QEMU follows where Intel and AMD differ. */
  follows: "intel" | "amd";
}

const KINDS = { r: "read", w: "write", x: "fetch" } as const;

/** A line of a vector file. Throws a SchemaError for one that is not a case. */
export function parseVector(line: string): VectorCase {
  const raw = parseLine(line);
  const vector: VectorCase = {
    id: raw.id,
    category: raw.cat,
    maxphyaddr: raw.maxphyaddr,
    guestLevels: levelsOf(raw.guest_levels ?? raw.levels),
    cr0: BigInt(raw.cr0),
    cr3: BigInt(raw.cr3),
    cr4: BigInt(raw.cr4),
    efer: BigInt(raw.efer),
    pkru: BigInt(raw.pkru),
    ac: raw.ac === 1,
    cpl: raw.cpl,
    kind: KINDS[raw.access],
    gva: BigInt(raw.va),
    entries: pairEntries(raw.entries, raw.after),
    expected: expectedOutcome(raw),
    implementationDefined: new Set(raw.impl_defined),
    follows: raw.vendor?.some((name) => name.endsWith("_as_intel")) ? "intel" : "amd",
  };
  if (raw.arch?.leaf_after) vector.entries.at(-1)!.after = BigInt(raw.arch.leaf_after);
  if (!raw.npt) return vector;

  const paths = raw.npt.map(({ page, gpa, entries }, index) => {
    return { page, gpa: BigInt(gpa), entries: pairEntries(entries, raw.npt_after![index]!) };
  });
  if (raw.arch?.npt_leaf_after) {
    const [page, value] = raw.arch.npt_leaf_after;
    paths.find((path) => path.page === page)!.entries.at(-1)!.after = BigInt(value);
  }
  vector.nested = {
    levels: levelsOf(raw.host_levels),
    ncr3: BigInt(raw.ncr3!),
    hostEfer: BigInt(raw.host_efer!),
    paths,
  };
  return vector;
}

function levelsOf(levels: number | undefined): 4 | 5 {
  if (levels !== 4 && levels !== 5) throw new Error(`a vector has ${levels} levels`);
  return levels;
}

function pairEntries(entries: string[][], after: string[]): VectorEntry[] {
  return entries.map((entry, index) => {
    const [hpa, before] = entry.slice(-2);
    return {
      name: entry[0]!,
      hpa: BigInt(hpa!),
      before: BigInt(before!),
      after: BigInt(after[index]!),
      leaf: index === entries.length - 1,
    };
  });
}

function expectedOutcome({ expected, arch }: RawCase): VectorOutcome {
  if ("ok" in expected) return { ok: true, hpa: BigInt(expected.pa) };
  if ("npf" in expected) {
    const exitinfo1 = BigInt(arch?.exitinfo1 ?? expected.exitinfo1);
    return { ok: false, exit: "NPF", exitinfo1, gpa: BigInt(expected.exitinfo2) };
  }
  if (expected.vector === 13) return { ok: false, fault: "GP" };
  const errorCode = arch?.error_code ?? expected.error_code;
  return { ok: false, fault: "PF", errorCode, cr2: BigInt(expected.cr2) };
}
