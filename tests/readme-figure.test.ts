import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, it } from "vitest";
import { describeInChromium, openLocal } from "./browser/chromium.js";
import { fixtureResult } from "./plot/results.js";

const dir = mkdtempSync(join(tmpdir(), "nestwalk-page-"));
afterAll(() => rmSync(dir, { recursive: true }));
const home = fileURLToPath(new URL("..", import.meta.url));

describeInChromium("the page in README.md", (browser) => {
  it("draws a figure from a result, with nothing but the package", async () => {
    const readme = readFileSync(join(home, "README.md"), "utf8");
    const [, page] = /```html\n([\s\S]*?)```/.exec(readme)!;
    const result = await fixtureResult("redis");
    writeFileSync(join(dir, "index.html"), `<!doctype html><title>page</title>${page}`);
    writeFileSync(join(dir, "result.json"), JSON.stringify(result));
    mkdirSync(join(dir, "node_modules"));
    symlinkSync(home, join(dir, "node_modules", "nestwalk"));
    const opened = await openLocal(browser(), { root: dir });
    await opened.page.waitForSelector("#cycles .main-svg");
    const drawn = await opened.page.evaluate(
      () =>
        (document.getElementById("cycles") as unknown as { data: { name: string; customdata: number[] }[] })
          .data,
    );
    expect(drawn.find(({ name }) => name === "page walks")!.customdata).toEqual(
      result.machines.map(({ cycles }) => cycles.walk),
    );
    expect([opened.external, opened.errors]).toEqual([[], []]);
    await opened.close();
  });
});
