import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { explainTrace, openTrace, resolveConfig } from "../src/index.js";
import { openFile } from "../src/node.js";
import { resultFigures } from "../src/plot/index.js";
import type { Result } from "../src/result.js";
import { axeSerious, describeInChromium, type Opened, openLocal } from "./browser/chromium.js";
import { nestwalk } from "./cli/capture.js";
import { buildPage, folder, root } from "./page/build.js";
import { downloads, drawn, dropFile, fromCommandLine, replay } from "./page/drive.js";

const built = folder("page");
const files = folder("page-files");
afterAll(() => {
  built.remove();
  files.remove();
});

const LACKEY = join(root, "tests/fixtures/loop.lackey.gz");
const NATIVE = join(root, "tests/fixtures/pcid.nwt");

describeInChromium("the page", (browser) => {
  beforeAll(() => buildPage(built.path));
  const open = (options: { width?: number; height?: number; dark?: boolean } = {}): Promise<Opened> =>
    openLocal(browser(), { root: built.path, ...options });

  it("replays a lackey file that is dropped on it, with the bytes of the command line", async () => {
    const { page, external, errors, close } = await open();
    await dropFile(page, LACKEY);
    await page.waitForSelector("#run:not([disabled])");
    expect(await page.textContent("#facts")).toContain("a stand-in for the Linux kernel plays them");
    await page.selectOption('[name="guestPages"]', "2m");
    await page.check('[name="hostPage"][value="2m"]', { force: true });
    await replay(page);
    const { hashes, result } = await downloads<Result>(page);
    const names = ["csv", "html", "intervals.csv", "intervals.parquet", "json", "parquet"];
    expect(Object.keys(hashes).sort()).toEqual(names);
    expect(hashes).toEqual(await fromCommandLine(page, files.path, LACKEY));
    expect(result.trace.played!.policy.pages).toBe("2m");
    expect(external).toEqual([]);
    expect(errors).toEqual([]);
    await close();
  });

  it("draws the figures of a native trace with the numbers of the command line", async () => {
    const { page, external, errors, close } = await open({ dark: true });
    await page.setInputFiles("#file", NATIVE);
    expect(await page.isEnabled('[name="guestPages"]')).toBe(false);
    await page.check('[name="technique"][value="npt"]');
    await replay(page);
    const { hashes, result } = await downloads<Result>(page);
    expect(hashes).toEqual(await fromCommandLine(page, files.path, NATIVE));
    const figures = resultFigures(result);
    expect(figures.length).toBeGreaterThan(5);
    const wanted = Object.fromEntries(figures.map(({ id, data }) => [id, data]));
    expect(await drawn(page)).toEqual(JSON.parse(JSON.stringify(wanted)));
    const row = page.locator(".comparison tr", { hasText: "page walks" }).first();
    expect(await row.locator("td").allTextContents()).toEqual(
      result.machines.map(({ counters }) => counters.walks!.toLocaleString("en-US")),
    );
    expect(await axeSerious(page)).toEqual([]);
    expect(external).toEqual([]);
    expect(errors).toEqual([]);
    await close();
  });

  it("goes through a walk of the trace step by step, by the keyboard", async () => {
    const { page, errors, close } = await open();
    await page.setInputFiles("#file", NATIVE);
    await replay(page);
    await page.fill("[name=walk-from]", "100000");
    await page.selectOption("[name=walk-next]", "exit");
    await page.press("[name=walk-from]", "Enter");
    await page.waitForSelector(".stepper");
    const trace = await openTrace(await openFile(NATIVE));
    const config = resolveConfig({ set: ["technique=nested", "format=ept"] });
    const [wanted] = await explainTrace(trace, config, { at: 100_000, next: "exit" });
    expect(wanted!.totals.exits).toBeGreaterThan(0);
    await page.focus("[aria-label='Next step']");
    await page.keyboard.press("Home");
    for (const [step, { kind, walk }] of wanted!.steps.entries()) {
      expect(await page.textContent(".stepper .count")).toBe(`${step + 1} of ${wanted!.steps.length}`);
      const lit = await page.locator(".walk-grid .lit").count();
      const read = wanted!.steps.filter((one) => one.kind === "reference" && one.step <= step);
      if (walk !== null) expect(lit).toBe(read.filter((one) => one.walk === walk).length);
      expect(await page.locator(".walk-grid [aria-current]").count()).toBe(kind === "reference" ? 1 : 0);
      await page.keyboard.press("ArrowRight");
    }
    await page.keyboard.press("ArrowLeft");
    expect(await page.textContent(".stepper .count")).toBe(
      `${wanted!.steps.length - 1} of ${wanted!.steps.length}`,
    );
    expect(await axeSerious(page)).toEqual([]);
    await page.fill("[name=walk-from]", "0");
    await page.press("[name=walk-from]", "Enter");
    expect(await page.textContent(".walks > [role=status]")).toContain("There is no access 0");
    expect(errors).toEqual([]);
    await close();
  });

  it("says of a cut trace what the command line says, and calls the option as it does", async () => {
    const path = join(files.path, "cut.nwt");
    writeFileSync(path, readFileSync(NATIVE).subarray(0, 100_000));
    const { page, close } = await open();
    await dropFile(page, path);
    await page.click("#run:not([disabled])");
    const sentence = await page.textContent("#alert p");
    const { stderr } = await nestwalk(["compare", path, "--quiet"]);
    const label = await page.textContent("label:has([name=truncated])");
    expect(stderr.replaceAll(path, "cut.nwt").replace("--allow-truncated", `“${label!.trim()}”`)).toBe(
      `nestwalk: ${sentence}\n`,
    );
    await close();
  });

  it.each([[360, false] as const, [1440, true] as const])(
    "begins empty at a width of %i without anything to complain about",
    async (width, dark) => {
      const { page, external, errors, close } = await open({ width, dark });
      expect(await axeSerious(page)).toEqual([]);
      expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(width);
      expect(await page.isDisabled("#run")).toBe(true);
      expect(external).toEqual([]);
      expect(errors).toEqual([]);
      await close();
    },
  );
});
