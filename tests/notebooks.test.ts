import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { compare, explainTrace, resolveConfig } from "../src/index.js";
import { openFile } from "../src/node/files.js";
import { openTrace } from "../src/trace/index.js";
import { axeSerious, describeInChromium, type Opened, openLocal } from "./browser/chromium.js";
import { buildNotebooks, folder, root } from "./page/build.js";

const built = folder("notebooks");
afterAll(() => built.remove());

const names = readdirSync(join(root, "notebooks"))
  .filter((name) => name.endsWith(".html"))
  .map((name) => name.replace(/\.html$/, ""));

/** Waits until so many figures are drawn and no replay is under way. */
async function drawn({ page }: Opened, figures: number): Promise<void> {
  await page.waitForFunction(
    (count) => document.querySelectorAll(".js-plotly-plot .main-svg").length >= count,
    figures,
    { timeout: 60_000 },
  );
}

describeInChromium("the notebooks", (browser) => {
  beforeAll(() => buildNotebooks(built.path, ...names));
  const open = (name: string) => openLocal(browser(), { root: built.path, path: `${name}.html` });
  const faultless = async ({ page, external, errors, close }: Opened) => {
    expect(await axeSerious(page)).toEqual([]);
    expect(await page.locator(".observablehq--error").count()).toBe(0);
    expect(external).toEqual([]);
    expect(errors).toEqual([]);
    await close();
  };

  it("begin with a list of all of them", async () => {
    const opened = await open("index");
    const links = await opened.page
      .locator("a[href$='.html']")
      .evaluateAll((all) => all.map((link) => link.getAttribute("href")!.replace(/^\.\/|\.html$/g, "")));
    expect(links.sort()).toEqual(names.filter((name) => name !== "index").sort());
    await faultless(opened);
  });

  it("compare shadow with nested paging, and again when a control moves", async () => {
    const opened = await open("shadow-or-nested");
    const { page } = opened;
    await drawn(opened, 5);
    const verdict = () => page.locator("p", { hasText: "Cycles per access" }).textContent();
    const before = await verdict();
    expect(before).toMatch(/^EPT wins here/);
    await page.getByLabel("2 MiB").check();
    await expect.poll(verdict, { timeout: 30_000 }).not.toBe(before);
    await drawn(opened, 5);
    await faultless(opened);
  });

  it("take a walk of a recorded guest apart", async () => {
    const opened = await open("anatomy");
    const { page } = opened;
    await drawn(opened, 2);
    const trace = await openTrace(await openFile(join(root, "traces/pcid.nwt")));
    const config = resolveConfig({ set: ["technique=nested", "format=ept"] });
    const walks = await explainTrace(trace, config, { at: 1, next: "walk", count: 12 });
    const most = Math.max(...walks.map(({ totals }) => totals.references));
    expect(await page.textContent(".stepper .outcome")).toContain(`${most} references`);
    await page.click("[aria-label='Last step']");
    const longest = walks.find(({ totals }) => totals.references === most)!;
    expect(await page.locator(".walk-grid .lit").count()).toBe(longest.walks.at(-1)!.references);
    await page.getByLabel("none").check();
    await page.waitForFunction((before) => {
      const text = document.querySelector(".stepper .outcome")?.textContent ?? "";
      return Number(/(\d+) references/.exec(text)?.[1]) > before;
    }, most);
    await faultless(opened);
  });

  it("replay a file with the bytes that Node gives", async () => {
    const opened = await open("bring-your-own");
    const { page } = opened;
    await drawn(opened, 5);
    const path = join(root, "tests/fixtures/loop.lackey.gz");
    await page.setInputFiles("input[type=file]", path);
    await page.waitForSelector("h2:has-text('loop.lackey.gz')");
    const [file] = await Promise.all([page.waitForEvent("download"), page.click("text=Download loop")]);
    const source = await openFile(path);
    const trace = await openTrace({
      ...source,
      name: "loop.lackey.gz",
      [Symbol.asyncIterator]: () => source[Symbol.asyncIterator](),
    });
    const configs = ["native", "shadow", "nested"].map((technique) =>
      resolveConfig({
        cpu: "skylake-sp",
        set: [`technique=${technique}`, "kernel.pages=map", "host.page=4k"],
      }),
    );
    const asked = { technique: ["native", "shadow", "ept"] };
    const result = await compare(trace, configs, { intervals: 20_000, asked });
    expect(readFileSync((await file.path())!, "utf8")).toBe(`${JSON.stringify(result, null, 2)}\n`);
    await faultless(opened);
  });
});
