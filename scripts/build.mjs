/**
 * Compiles the core (AssemblyScript to WebAssembly) and the driver (TypeScript), and writes src/generated:
 * the core's bytes, and the names that the core declares (counters, parameters, exit reasons). Minifies plotly once.
 *
 *   node scripts/build.mjs            everything a user needs: SIMD and scalar core, driver
 *   node scripts/build.mjs --debug    the debug core as well (asserts on, source map)
 *   node scripts/build.mjs --core     the cores and src/generated only
 */
import { spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { main as asc } from "assemblyscript/asc";
import { declarations } from "./declarations.mjs";
import { buildPlotly } from "./plotly.mjs";

process.chdir(fileURLToPath(new URL("..", import.meta.url)));
const flags = process.argv.slice(2);
mkdirSync("build", { recursive: true });
mkdirSync("src/generated", { recursive: true });

for (const target of flags.includes("--debug") ? ["release", "scalar", "debug"] : ["release", "scalar"]) {
  const { error, stderr } = await asc(["--target", target]);
  const said = stderr.toString().replace(/^Last converge was suboptimal.*\n/gm, "");
  if (said) process.stderr.write(said);
  if (error) {
    process.stderr.write(`${error.message}\n`);
    process.exit(1);
  }
}

const base64 = (file) => readFileSync(file).toString("base64");
writeFileSync(
  "src/generated/core-bytes.ts",
  `export const simd = "${base64("build/core.wasm")}";\nexport const scalar = "${base64("build/core-scalar.wasm")}";\n`,
);
const { version } = JSON.parse(readFileSync("package.json", "utf8"));
writeFileSync("src/generated/version.ts", `export const version = "${version}";\n`);
writeFileSync("src/generated/declarations.ts", declarations("assembly"));

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
}
