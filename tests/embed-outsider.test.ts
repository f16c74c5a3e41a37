import { spawnSync } from "node:child_process";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { dirname, extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, it } from "vitest";
import { describeInChromium } from "./browser/chromium.js";

/* The README's section for emulators, followed to the letter in an empty directory with the package as npm packs it. */

const root = fileURLToPath(new URL("..", import.meta.url));
const readme = readFileSync(join(root, "README.md"), "utf8");
const section = readme.slice(readme.indexOf("**Put it into an emulator.**"));
const block = (after: string, language: string) => {
  const rest = section.slice(section.indexOf(after));
  return new RegExp(`\`\`\`${language}\n([^]*?)\`\`\``).exec(rest)![1]!;
};
const PROGRAM = block("as `guest.mjs`", "js");
const SAYS = block("`node guest.mjs` prints", "").trim().split("\n");

let folder: string;
const run = (command: string, args: readonly string[]) => {
  const { status, stdout, stderr } = spawnSync(command, args, { cwd: folder, encoding: "utf8" });
  if (status !== 0) throw new Error(`${command} ${args.join(" ")}: ${stderr || stdout}`);
  return stdout;
};

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "nestwalk-outsider-"));
  run("npm", ["pack", "--ignore-scripts", "--silent", root, "--pack-destination", folder]);
  const modules = join(folder, "node_modules");
  mkdirSync(join(modules, "nestwalk"), { recursive: true });
  const tarball = readdirSync(folder).find((name) => name.endsWith(".tgz"))!;
  run("tar", ["xzf", tarball, "-C", "node_modules/nestwalk", "--strip-components=1"]);
  /* What npm install would bring, without a network. */
  const { dependencies } = JSON.parse(readFileSync(join(modules, "nestwalk/package.json"), "utf8"));
  for (const name of Object.keys(dependencies)) {
    mkdirSync(dirname(join(modules, name)), { recursive: true });
    symlinkSync(join(root, "node_modules", name), join(modules, name));
  }
  writeFileSync(join(folder, "package.json"), '{ "name": "outsider", "version": "1.0.0" }\n');
  writeFileSync(join(folder, "guest.mjs"), PROGRAM);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

it("runs in Node and says what the README says", () => {
  expect(run("node", ["guest.mjs"]).trim().split("\n")).toEqual(SAYS);
});

it("has what the other entries name", () => {
  const script = `import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
const require = createRequire(import.meta.url);
for (const name of ["core.wasm", "core-linear.wasm"]) new WebAssembly.Module(readFileSync(require.resolve("nestwalk/" + name)));
for (const name of ["nestwalk.h", "nestwalk.rs"]) if (!readFileSync(require.resolve("nestwalk/" + name), "utf8").includes("STATUS_OK")) throw name;
readFileSync("node_modules/nestwalk/docs/embedding.md");
console.log(Object.keys(await import("nestwalk/embed")).sort().join(" "));`;
  writeFileSync(join(folder, "entries.mjs"), script);
  expect(run("node", ["entries.mjs"])).toMatch(/\bAccess\b.*\bMmu\b.*\bcreateMmu\b/);
});

const TYPES: Record<string, string> = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".mjs": "text/javascript",
};

function serve(site: string): Promise<Server> {
  const server = createServer((request, response) => {
    const path = request.url === "/" ? "/index.html" : request.url!;
    try {
      const body = readFileSync(join(site, path));
      response
        .writeHead(200, { "content-type": TYPES[extname(path)] ?? "application/octet-stream" })
        .end(body);
    } catch {
      response.writeHead(404).end();
    }
  });
  return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(server)));
}

const tool = (name: string) => join(root, "node_modules/.bin", name);

const bundlers = [
  [
    "vite",
    () => {
      writeFileSync(
        join(folder, "index.html"),
        '<!doctype html><script type="module" src="guest.mjs"></script>\n',
      );
      run(tool("vite"), ["build", "--logLevel", "error"]);
      return join(folder, "dist");
    },
  ],
  [
    "esbuild",
    () => {
      const site = join(folder, "site");
      run(tool("esbuild"), [
        "guest.mjs",
        "--bundle",
        "--format=esm",
        `--outfile=${site}/bundle.js`,
        "--log-level=error",
      ]);
      writeFileSync(
        join(site, "index.html"),
        '<!doctype html><script type="module" src="bundle.js"></script>\n',
      );
      return site;
    },
  ],
] as const;

describeInChromium("a page", (browser) => {
  it.each(bundlers)("bundled by %s says the same in Chromium", async (_, bundle) => {
    const server = await serve(bundle());
    const page = await browser().newPage();
    try {
      const said: string[] = [];
      page.on("console", (message) => said.push(message.text()));
      page.on("pageerror", (error) => said.push(String(error)));
      await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
      await expect
        .poll(() => said.filter((line) => !line.includes("404")).length, { timeout: 20_000 })
        .toBe(SAYS.length);
      expect(said.filter((line) => !line.includes("404"))).toEqual(SAYS);
    } finally {
      await page.close();
      server.close();
    }
  });
});
