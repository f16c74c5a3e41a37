import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { A, D } from "./entries.js";

/** A line of a vector file, as tests/reference/README.md describes it. Wide numbers are hex strings. */
interface RawCase {
  id: string;
  cat: string;
  maxphyaddr: number;
  levels?: number;
  guest_levels?: number;
  host_levels?: number;
  cr0: string;
  cr3: string;
  cr4: string;
  efer: string;
  pkru: string;
  ac: number;
  cpl: number;
  access: "r" | "w" | "x";
  va: string;
  /** [name, physical address, value], or [name, gpa, hpa, value] in a nested case. */
  entries: string[][];
  after: string[];
  host_efer?: string;
  ncr3?: string;
  npt?: { page: string; gpa: string; entries: [name: string, hpa: string, value: string][] }[];
  npt_after?: string[][];
  expected: {
    ok?: true;
    pa?: string;
    vector?: number;
    error_code?: number;
    cr2?: string;
    npf?: true;
    exitinfo1?: string;
    exitinfo2?: string;
  };
  arch?: {
    error_code?: number;
    exitinfo1?: string;
    leaf_after?: string;
    npt_leaf_after?: [page: string, value: string];
  };
  impl_defined?: ImplementationDefined[];
  vendor?: string[];
  qemu_quirk?: string[];
}

export type ImplementationDefined =
  | "nonleaf_a_on_fault"
  | "npt_nonleaf_a_on_fault"
  | "leaf_ad_before_final_npf"
  | "npf_id_bit_without_host_nxe";

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

/** What a vector is run against: the reference walker here, the wasm core elsewhere. */
export interface SystemUnderTest {
  /** When it sets A in non-leaf entries; "eager" is what QEMU does, so then those bits are compared too. */
  readonly nonleafAccessed: "all-or-nothing" | "eager";
  /** Loads the tables (each entry's `before` at its `hpa`) and the registers; no translation is cached. */
  setup(vector: VectorCase): void;
  access(): VectorOutcome | { ok: false; exit: string };
  /** The 8 bytes at hpa. */
  readBack(hpa: bigint): bigint;
}

export function readLines(path: string): string[] {
  return gunzipSync(readFileSync(path)).toString("utf8").trimEnd().split("\n");
}

export function loadVectors(path: string): VectorCase[] {
  return readLines(path).map(parseVector);
}

const KINDS = { r: "read", w: "write", x: "fetch" } as const;

export function parseVector(line: string): VectorCase {
  const raw: RawCase = JSON.parse(line);
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
  if (expected.ok) return { ok: true, hpa: BigInt(expected.pa!) };
  if (expected.npf) {
    const exitinfo1 = BigInt(arch?.exitinfo1 ?? expected.exitinfo1!);
    return { ok: false, exit: "NPF", exitinfo1, gpa: BigInt(expected.exitinfo2!) };
  }
  if (expected.vector === 13) return { ok: false, fault: "GP" };
  const errorCode = arch?.error_code ?? expected.error_code!;
  return { ok: false, fault: "PF", errorCode, cr2: BigInt(expected.cr2!) };
}

const EXITINFO1_ID = 1n << 4n;

/** Runs one vector; returns what differs from the manuals, one sentence each, so [] is a pass. */
export function checkCase(vector: VectorCase, run: SystemUnderTest): string[] {
  run.setup(vector);
  const outcome = run.access();
  const wanted = show(outcomeFields(vector.expected, vector));
  const found = show(outcomeFields(outcome, vector));
  const mismatches = wanted === found ? [] : [`outcome ${found}, expected ${wanted}`];

  for (const entry of vector.entries) {
    const open = isOpenGuestEntry(vector, entry) && run.nonleafAccessed !== "eager";
    compareEntry(run, entry, `guest ${entry.name}`, open, mismatches);
  }
  for (const path of vector.nested?.paths ?? []) {
    for (const entry of path.entries) {
      const open = isOpenNestedEntry(vector, path.gpa, entry) && run.nonleafAccessed !== "eager";
      compareEntry(run, entry, `nested ${path.page}/${entry.name}`, open, mismatches);
    }
  }
  return mismatches;
}

/** The fields that count, without what a system may add and the one bit a vector may leave open. */
function outcomeFields(outcome: Record<string, unknown>, vector: VectorCase): Record<string, unknown> {
  const { ok, fault, exit } = outcome;
  if (ok) return { ok, hpa: outcome.hpa };
  if (fault === "PF") return { fault, errorCode: outcome.errorCode, cr2: outcome.cr2 };
  if (exit !== "NPF") return { fault, exit };
  let exitinfo1 = outcome.exitinfo1 as bigint;
  if (vector.implementationDefined.has("npf_id_bit_without_host_nxe")) exitinfo1 &= ~EXITINFO1_ID;
  return { exit, exitinfo1, gpa: outcome.gpa };
}

function isOpenGuestEntry(vector: VectorCase, entry: VectorEntry): boolean {
  const tags = vector.implementationDefined;
  return tags.has(entry.leaf ? "leaf_ad_before_final_npf" : "nonleaf_a_on_fault");
}

/** Only the nested walk that faulted stopped half-way; the ones before it are complete. */
function isOpenNestedEntry(vector: VectorCase, gpa: bigint, entry: VectorEntry): boolean {
  const { expected, implementationDefined } = vector;
  if (entry.leaf || !implementationDefined.has("npt_nonleaf_a_on_fault")) return false;
  return "exit" in expected && expected.gpa === gpa;
}

/** An open entry may hold what it held before, or what an eager walker leaves; nothing else. */
function compareEntry(
  run: SystemUnderTest,
  entry: VectorEntry,
  name: string,
  open: boolean,
  mismatches: string[],
): void {
  const found = run.readBack(entry.hpa);
  if (found === entry.after || (open && found === entry.before)) return;
  if (((found ^ entry.before) & ~(A | D)) !== 0n) mismatches.push(`${name} changed outside A and D`);
  mismatches.push(`${name} is ${hex(found)} after the access, expected ${hex(entry.after)}`);
}

function show(fields: Record<string, unknown>): string {
  const parts = Object.entries(fields).filter(([, value]) => value !== undefined);
  return parts.map(([key, value]) => `${key}=${typeof value === "bigint" ? hex(value) : value}`).join(" ");
}

function hex(value: bigint): string {
  return `0x${value.toString(16)}`;
}
