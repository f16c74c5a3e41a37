/**
 * Compiles the core (AssemblyScript to WebAssembly), driver and examples (TypeScript), and writes src/generated:
 * the core's bytes, and the names and numbers that the core declares, those of the ABI for C and Rust too. Minifies plotly once.
 *
 *   node scripts/build.mjs            everything a user needs: SIMD and linear core, driver, examples
 *   node scripts/build.mjs --debug    the debug core as well (asserts on, source map)
 *   node scripts/build.mjs --core     the cores and src/generated only
 */
import { spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { main as asc } from "assemblyscript/asc";
import { abiHeader, abiRust, abiTypescript } from "./abi.mjs";
import { declarations } from "./declarations.mjs";
import { buildPlotly } from "./plotly.mjs";
import { relocate, staticBytes } from "./relocate.mjs";

process.chdir(fileURLToPath(new URL("..", import.meta.url)));
const flags = process.argv.slice(2);
mkdirSync("build", { recursive: true });
mkdirSync("src/generated", { recursive: true });

/** The compiler's text of the core that is made relocatable. */
let text = "";
for (const target of flags.includes("--debug") ? ["release", "linear", "debug"] : ["release", "linear"]) {
  const writeFile = (_file, contents) => {
    text = contents;
  };
  const { error, stderr } = await asc(["--target", target], target === "linear" ? { writeFile } : {});
  const said = stderr.toString().replace(/^Last converge was suboptimal.*\n/gm, "");
  if (said) process.stderr.write(said);
  if (error) {
    process.stderr.write(`${error.message}\n`);
    process.exit(1);
  }
}

const linear = relocate(text, "assembly");
writeFileSync("build/core-linear.wasm", linear);

const base64 = (file) => readFileSync(file).toString("base64");
writeFileSync(
  "src/generated/core-bytes.ts",
  `export const simd = "${base64("build/core.wasm")}";\nexport const linear = "${base64("build/core-linear.wasm")}";\n`,
);
const { version } = JSON.parse(readFileSync("package.json", "utf8"));
writeFileSync("src/generated/version.ts", `export const version = "${version}";\n`);
writeFileSync("src/generated/declarations.ts", declarations("assembly"));
const needs = {
  staticBytes: staticBytes(linear),
  feedRecords: 256,
  feedRecordBytes: 32,
  lookasideEntries: 512,
  lookasideEntryBytes: 64,
  batchRecordBytes: 32,
};
writeFileSync("src/generated/abi.ts", abiTypescript("assembly", needs));

if (!flags.includes("--core")) {
  await buildPlotly();
  /* Compiled aside and then swapped in: a build that fails leaves the last good driver in place. */
  const fresh = `build/dist-${process.pid}`;
  const { status } = spawnSync("node_modules/.bin/tsc", ["-p", ".", "--outDir", fresh], { stdio: "inherit" });
  if (status !== 0) {
    rmSync(fresh, { recursive: true, force: true });
    process.exit(1);
  }
  chmodSync(`${fresh}/cli/main.js`, 0o755);
  rmSync("dist", { recursive: true, force: true });
  renameSync(fresh, "dist");
  await writeHeaders();
  if (spawnSync("node_modules/.bin/tsc", ["-p", "examples"], { stdio: "inherit" }).status !== 0)
    process.exit(1);
}

/** The constants of the ABI for C and Rust, with the parameter blocks of the presets. */
async function writeHeaders() {
  const { lower, presetNames, resolveConfig } = await import("../dist/config/index.js");
  const presets = presetNames.map((name) => ({
    name,
    block: lower(resolveConfig({ cpu: name, set: ["technique=native"] })),
  }));
  const all = { ...needs, parameters: presets[0].block.length };
  writeFileSync("build/nestwalk.h", abiHeader("assembly", all, version, presets));
  writeFileSync("build/nestwalk.rs", abiRust("assembly", all, version, presets));
}
