import { fileURLToPath } from "node:url";
import { compile, missingCompiler, runProgram } from "./run.js";

/** Compiles the C program in examples/c and runs it; each value that it finds is compared with what it must be. */

const missing = missingCompiler();
if (missing !== undefined) {
  console.error(`${missing}: install clang and lld`);
  process.exit(1);
}
const sources = process.argv[2] ?? fileURLToPath(new URL("../../../examples/c", import.meta.url));
const checks = runProgram(compile(sources));
for (const { what, found, expected } of checks)
  console.log(
    `${found === expected ? "ok " : "NOT"} ${what}: 0x${found.toString(16)}${found === expected ? "" : `, not 0x${expected.toString(16)}`}`,
  );
if (checks.some(({ found, expected }) => found !== expected)) process.exitCode = 1;
