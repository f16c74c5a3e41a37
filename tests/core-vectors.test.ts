import { readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { checkCase } from "../src/conform/vectors/check.js";
import { coreUnderTest } from "../src/conform/vectors/core.js";
import { loadVectors } from "../src/conform/vectors/load.js";

const sample = fileURLToPath(new URL("./reference/vectors-sample.jsonl.gz", import.meta.url));
const folder = process.env.NESTWALK_VECTORS;
const files = folder
  ? readdirSync(folder)
      .filter((name) => name.endsWith(".jsonl.gz"))
      .map((name) => join(folder, name))
  : [sample];

describe.each(["eager", "all-or-nothing"] as const)("core walker, non-leaf A %s", (policy) => {
  it.each(files)("agrees with QEMU's walks in %s", (file) => {
    const run = coreUnderTest(policy);
    const failed: string[] = [];
    for (const vector of loadVectors(file)) {
      const differences = checkCase(vector, run);
      if (differences.length > 0) failed.push(`${vector.id} ${vector.category}: ${differences.join("; ")}`);
    }
    expect(failed.length, failed.slice(0, 5).join("\n")).toBe(0);
  });
});
