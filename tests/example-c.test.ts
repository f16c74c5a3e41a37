import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { compile, missingCompiler, runProgram } from "../examples/c/run.js";

const missing = missingCompiler();
if (missing !== undefined) console.warn(`the host in C is not tested: ${missing}`);

test.skipIf(missing !== undefined)("a C program finds what it must through the core's exports", () => {
  const checks = runProgram(compile(fileURLToPath(new URL("../examples/c", import.meta.url))));
  expect(checks).toHaveLength(26);
  expect(checks.filter(({ found, expected }) => found !== expected)).toEqual([]);
});
