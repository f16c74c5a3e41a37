import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

/** Builds the cores (release, scalar, debug) and the driver from what is checked out. */
export default function setup(): void {
  const root = fileURLToPath(new URL("..", import.meta.url));
  const { status, stderr, stdout } = spawnSync(process.execPath, ["scripts/build.mjs", "--debug"], {
    cwd: root,
    encoding: "utf8",
  });
  if (status !== 0) throw new Error(`the build failed:\n${stdout}${stderr}`);
}
