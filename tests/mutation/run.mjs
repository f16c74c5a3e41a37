/**
 * Plants each fault of mutations.mjs in a copy of the core, builds it and runs the walk and TLB tests on it, in slices:
 * a fault that no test sees has survived, and the suite has a hole.
 *
 *   npm run mutate [-- PATTERN]     only faults whose name holds PATTERN
 */
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { main as asc } from "assemblyscript/asc";
import { declarations } from "../../scripts/declarations.mjs";
import { mutations } from "./mutations.mjs";

const root = fileURLToPath(new URL("../..", import.meta.url));
const { options } = JSON.parse(readFileSync(join(root, "asconfig.json"), "utf8"));
const pattern = process.argv[2] ?? "";
const copy = mkdtempSync(join(tmpdir(), "nestwalk-mutation-"));
for (const part of ["src", "tests", "assembly", "package.json", "tsconfig.json"])
  cpSync(join(root, part), join(copy, part), { recursive: true });
symlinkSync(join(root, "node_modules"), join(copy, "node_modules"));
mkdirSync(join(copy, "src/generated"), { recursive: true });
writeFileSync(join(copy, "src/generated/declarations.ts"), declarations(join(root, "assembly")));

/** What is planted is changed in the copy's assembly/ for one build. Returns what is wrong with the mutation, if anything. */
function plant({ file, from, to, also = [] }) {
  for (const edit of [{ file, from, to }, ...also]) {
    const path = join(copy, "assembly", edit.file);
    const source = readFileSync(path, "utf8");
    if (source.split(edit.from).length !== 2)
      return `does not apply: ${edit.file} does not hold its text exactly once`;
    writeFileSync(
      path,
      source.replace(edit.from, () => edit.to),
    );
  }
  return undefined;
}

function restore({ file, also = [] }) {
  for (const name of [file, ...also.map((edit) => edit.file)])
    cpSync(join(root, "assembly", name), join(copy, "assembly", name));
}

/** Compiles the copy's core, quickly; returns what the compiler says against it. */
async function build() {
  const out = join(copy, "core.wasm");
  const { error, stderr } = await asc(
    [
      join(copy, "assembly/index.ts"),
      "--outFile",
      out,
      "--runtime",
      "minimal",
      "-O1",
      "--noAssert",
      "--enable",
      "simd",
      "--initialMemory",
      String(2 * options.initialMemory),
      "--maximumMemory",
      String(options.maximumMemory),
    ],
    {},
  );
  if (error) return stderr.toString() || error.message;
  const text = readFileSync(out).toString("base64");
  writeFileSync(
    join(copy, "src/generated/core-bytes.ts"),
    `export const simd = "${text}";\nexport const scalar = simd;\n`,
  );
  return undefined;
}

/** The first test that fails, or undefined. */
function test() {
  const { status, stdout } = spawnSync(
    process.execPath,
    [
      join(root, "node_modules/vitest/vitest.mjs"),
      "run",
      "--config",
      "tests/mutation/vitest.config.ts",
      "--reporter",
      "json",
    ],
    {
      cwd: copy,
      encoding: "utf8",
      maxBuffer: 1 << 28,
      env: {
        ...process.env,
        NESTWALK_RUNS: "400",
        NESTWALK_HISTORIES: "150",
        NESTWALK_ACCESS_STRIDE: "9973",
      },
    },
  );
  if (status === 0) return undefined;
  const json = stdout.slice(stdout.indexOf("{"));
  try {
    for (const file of JSON.parse(json).testResults) {
      const failed = file.assertionResults.find((result) => result.status === "failed");
      if (failed) return `${file.name.replace(/.*\/tests\//, "")}: ${failed.title}`;
    }
  } catch {
    return "the test run broke off";
  }
  return "the test run broke off";
}

let passed = 0;
let failed = 0;
function verdict(caught, line) {
  process.stdout.write(`${line}\n`);
  if (caught) ++passed;
  else ++failed;
}

try {
  const broken = (await build()) ?? test();
  if (broken !== undefined) {
    process.stdout.write(`without any fault planted: ${broken}\n`);
    verdict(false, "the suite must pass on the core as it is");
  } else {
    for (const mutation of mutations.filter(({ name }) => name.includes(pattern))) {
      const wrong = plant(mutation) ?? (await build());
      const by = wrong === undefined ? test() : undefined;
      restore(mutation);
      if (wrong !== undefined) verdict(false, `NOT PLANTED  ${mutation.name}: ${wrong}`);
      else if (by === undefined) verdict(false, `SURVIVED     ${mutation.name}`);
      else verdict(true, `caught       ${mutation.name} (${by})`);
    }
  }
} finally {
  rmSync(copy, { recursive: true, force: true });
}
process.stdout.write(`${passed} passed, ${failed} failed\n`);
process.exitCode = failed === 0 ? 0 : 1;
