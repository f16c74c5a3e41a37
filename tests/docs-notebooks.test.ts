import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";
import { afterAll, beforeAll, expect, it } from "vitest";
import { compare, resolveConfig } from "../src/index.js";
import { openFile } from "../src/node.js";
import { type Figure, walkGridFigure } from "../src/plot/index.js";
import { openTrace } from "../src/trace/index.js";
import { describeInChromium, openLocal } from "./browser/chromium.js";
import { folder, root } from "./page/build.js";

const site = folder("plain");
afterAll(() => site.remove());

const TRACE = join(root, "tests/fixtures/pcid.nwt");
const text = readFileSync(join(root, "docs/notebooks.md"), "utf8");

/** The code of a language under a heading of the page. */
function codeOf(heading: string, language: string): string {
  const [section] = text.slice(text.indexOf(`## ${heading}\n`)).split(/\n## (?!#)/);
  return new RegExp(`\`\`\`${language}\\n([\\s\\S]*?)\`\`\``).exec(section!)![1]!;
}

describeInChromium("what docs/notebooks.md says", (browser) => {
  beforeAll(async () => {
    for (const line of codeOf("One file for any page", "").trim().split("\n")) {
      if (!line.startsWith("npx esbuild")) continue;
      const [entry, out] = /node_modules\/nestwalk\/(\S+).*--outfile=(\S+)/.exec(line)!.slice(1);
      await build({
        entryPoints: [join(root, entry!)],
        bundle: true,
        format: "esm",
        outfile: join(site.path, out!),
        logLevel: "silent",
      });
    }
    copyFileSync(join(root, "build/plotly.min.js"), join(site.path, "plotly.min.js"));
    writeFileSync(join(site.path, "index.html"), codeOf("A plain HTML file", "html"));
    writeFileSync(join(site.path, "sqlite.nwt"), readFileSync(TRACE));
  });

  const inNode = async (technique: string) =>
    (
      await compare(await openTrace(await openFile(TRACE)), [
        resolveConfig({ set: [`technique=${technique}`] }),
      ])
    ).machines[0]!.cycles.total;

  it("holds of a plain page", async () => {
    const { page, external, errors, close } = await openLocal(browser(), { root: site.path });
    await page.setInputFiles("#file", TRACE);
    await page.waitForSelector("#figure .main-svg");
    const drawn = await page.evaluate(() =>
      (document.querySelector("#figure") as unknown as { data: { customdata: number[] }[] }).data.reduce(
        (sum, { customdata }) => sum + customdata[1]!,
        0,
      ),
    );
    expect(drawn).toBeGreaterThan(0);
    expect(drawn).toBeLessThan(await inNode("shadow"));
    expect(external).toEqual([]);
    expect(errors).toEqual([]);
    await close();
  });

  it("holds of a cell of Observable", async () => {
    const { page, external, errors, close } = await openLocal(browser(), { root: site.path });
    const cell = codeOf("Observable", "js").replace("https://example.org/", "/");
    const figure = (await page.evaluate(`(async () => { ${cell}; return figure; })()`)) as Figure;
    const trace = await openTrace(await openFile(TRACE));
    const { machines } = await compare(trace, [resolveConfig({ set: ["technique=nested"] })]);
    expect(figure.table).toEqual(walkGridFigure(machines[0]!).table);
    expect(external).toEqual([]);
    expect(errors).toEqual([]);
    await close();
  });

  it("holds of a kernel that runs in a worker", async () => {
    const { page, errors, close } = await openLocal(browser(), { root: site.path });
    const cell = codeOf("JupyterLite", "js").replace("https://example.org/lite/files/", "/");
    const [, last] = /\n(.*);\n$/.exec(cell)!;
    const script = `onmessage = async () => { ${cell.replace(`${last};\n`, `postMessage(${last});\n`)} };`;
    writeFileSync(join(site.path, "kernel.js"), script);
    const cycles = await page.evaluate(
      () =>
        new Promise((resolve, reject) => {
          const worker = new Worker("/kernel.js");
          worker.onmessage = ({ data }) => resolve(data);
          worker.onerror = ({ message }) => reject(new Error(message));
          worker.postMessage(undefined);
        }),
    );
    expect(cycles).toBe(await inNode("shadow"));
    expect(errors).toEqual([]);
    await close();
  });
});
