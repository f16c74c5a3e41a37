import type { VectorCase, VectorEntry, VectorOutcome } from "./case.js";

const A = 1n << 5n;
const D = 1n << 6n;

/** What a vector is run against: the core, the tests' reference walker, or another model. */
export interface SystemUnderTest {
  /** When it sets A in non-leaf entries; "eager" is what QEMU does, so then those bits are compared too. */
  readonly nonleafAccessed: "all-or-nothing" | "eager";
  /** Loads the tables (each entry's `before` at its `hpa`) and the registers; no translation is cached. */
  setup(vector: VectorCase): void;
  access(): VectorOutcome | { ok: false; exit: string } | { ok: false; fault: string };
  /** The 8 bytes at hpa. */
  readBack(hpa: bigint): bigint;
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
