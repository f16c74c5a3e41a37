import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { checkCase, type SystemUnderTest } from "../src/conform/vectors/check.js";
import { loadVectors, readLines } from "../src/conform/vectors/load.js";
import { chooseSample } from "./reference/vectors-sample.js";
import { walkerUnderTest } from "./reference/walker-under-test.js";

const sample = fileURLToPath(new URL("./reference/vectors-sample.jsonl.gz", import.meta.url));
// A folder with the sets the sample was taken from: run whole when named.
const folder = process.env.NESTWALK_VECTORS;
const sets = folder
  ? readdirSync(folder)
      .filter((name) => name.endsWith(".jsonl.gz"))
      .sort()
      .map((name) => join(folder, name))
  : [];
if (folder && process.env.NESTWALK_WRITE_SAMPLE) {
  const text = chooseSample(sets.flatMap(readLines)).join("\n");
  writeFileSync(sample, gzipSync(`${text}\n`, { level: 9 }));
}

function failures(path: string, run: SystemUnderTest): { passed: number; failed: string[] } {
  const failed: string[] = [];
  const vectors = loadVectors(path);
  for (const vector of vectors) {
    const mismatches = checkCase(vector, run);
    if (mismatches.length > 0) failed.push(`${vector.id} (${vector.category}): ${mismatches.join("; ")}`);
  }
  return { passed: vectors.length - failed.length, failed };
}

describe.each(["eager", "all-or-nothing"] as const)("reference walker, non-leaf A %s", (nonleafAccessed) => {
  const run = walkerUnderTest(nonleafAccessed);

  it("agrees with the sampled vectors", () => {
    expect(failures(sample, run)).toEqual({ passed: 597, failed: [] });
  });

  it.skipIf(sets.length === 0)("agrees with every vector of NESTWALK_VECTORS", () => {
    const total = { passed: 0, failed: 0 };
    for (const path of sets) {
      const { passed, failed } = failures(path, run);
      console.log(`${nonleafAccessed}: ${path}: ${passed} passed, ${failed.length} failed`);
      expect.soft(failed).toEqual([]);
      total.passed += passed;
      total.failed += failed.length;
    }
    console.log(`${nonleafAccessed}: ${total.passed} passed, ${total.failed} failed`);
  });
});

it.skipIf(sets.length === 0)("keeps the sample that chooseSample takes from NESTWALK_VECTORS", () => {
  expect(readLines(sample)).toEqual(chooseSample(sets.flatMap(readLines)));
});

describe("checkCase", () => {
  const vectors = loadVectors(sample);
  const translated = vectors.filter(({ expected }) => expected.ok);
  const faulted = vectors.filter(({ expected }) => "fault" in expected && expected.fault === "PF");
  const honest = walkerUnderTest("eager");

  it("rejects a wrong address and a wrong error code", () => {
    const run: SystemUnderTest = {
      ...honest,
      access() {
        const outcome = honest.access();
        if (outcome.ok) return { ...outcome, hpa: outcome.hpa ^ 8n };
        if ("errorCode" in outcome) return { ...outcome, errorCode: outcome.errorCode ^ 1 };
        return outcome;
      },
    };
    for (const vector of [...translated, ...faulted]) expect(checkCase(vector, run)).toHaveLength(1);
  });

  it("rejects tables that were not updated", () => {
    const updated = translated.filter(({ entries }) => entries.some(({ before, after }) => before !== after));
    expect(updated.length).toBeGreaterThan(50);
    for (const vector of updated) {
      const before = new Map(vector.entries.map((entry) => [entry.hpa, entry.before]));
      const run = { ...honest, readBack: (hpa: bigint) => before.get(hpa) ?? honest.readBack(hpa) };
      expect(checkCase(vector, run)).not.toEqual([]);
    }
  });

  it("rejects a leaf touched by a faulting access, and an eager A from a system that claims it but sets none", () => {
    for (const vector of faulted) {
      const leaf = vector.entries.at(-1)!;
      const touched = {
        ...honest,
        readBack: (hpa: bigint) => honest.readBack(hpa) ^ (hpa === leaf.hpa ? 0x20n : 0n),
      };
      expect(checkCase(vector, touched)).toHaveLength(1);
    }
    const lazy = { ...walkerUnderTest("all-or-nothing"), nonleafAccessed: "eager" as const };
    const marked = faulted.filter((vector) => vector.implementationDefined.has("nonleaf_a_on_fault"));
    expect(marked.length).toBeGreaterThan(50);
    for (const vector of marked) expect(checkCase(vector, lazy)).not.toEqual([]);
  });
});
