import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** The checkout. */
export const root = fileURLToPath(new URL("../..", import.meta.url));

/** Runs a tool that is installed here; throws what it said if it fails. */
function run(tool: string, ...args: string[]): void {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [join(root, "node_modules", tool), ...args],
    {
      cwd: root,
      encoding: "utf8",
    },
  );
  if (status !== 0) throw new Error(`${tool} ${args.join(" ")} failed:\n${stdout}${stderr}`);
}

/** A folder for a test, and how to be rid of it. */
export function folder(name: string): { path: string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), `nestwalk-${name}-`));
  return { path, remove: () => rmSync(path, { recursive: true }) };
}

/** Builds the page into a folder. */
export function buildPage(into: string): void {
  run(
    "vite/bin/vite.js",
    "build",
    "--config",
    "page/vite.config.ts",
    "--outDir",
    into,
    "--logLevel",
    "error",
  );
}

/** Builds the notebooks into a folder. */
export function buildNotebooks(into: string, ...names: string[]): void {
  const files = names.map((name) => `${name}.html`);
  const options = ["--root", "notebooks", "--template", "notebooks/lib/template.html", "--out", into];
  run("@observablehq/notebook-kit/dist/bin/notebooks.js", "build", ...options, ...files);
}
