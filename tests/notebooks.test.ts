import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Locator } from "playwright-core";
import { afterAll, beforeAll, expect, it } from "vitest";
import { explainTrace, type Result, resolveConfig, type VaryResult } from "../src/index.js";
import { openFile } from "../src/node/files.js";
import {
  crossoverFigure,
  cyclesFigure,
  exitsFigure,
  type Figure,
  varyFigures,
  walkLengthsFigure,
} from "../src/plot/index.js";
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

/** What the command line gives for a command that a notebook shows. */
function fromCommandLine(command: string): { outcome: Result & VaryResult; bytes: string } {
  const words = command.replace(/^npx nestwalk /, "").split(" ");
  const main = join(root, "dist/cli/main.js");
  const bytes = execFileSync(process.execPath, [main, ...words, "--quiet", "--json", "-"], {
    cwd: root,
    encoding: "utf8",
    maxBuffer: 1 << 30,
  });
  return { outcome: JSON.parse(bytes), bytes };
}

describeInChromium("the notebooks", (browser) => {
  beforeAll(() => buildNotebooks(built.path, ...names));
  const open = (name: string, more: { dark?: boolean; width?: number } = {}) =>
    openLocal(browser(), { root: built.path, path: `${name}.html`, ...more });
  const faultless = async ({ page, external, errors, close }: Opened) => {
    expect(await axeSerious(page)).toEqual([]);
    await page.emulateMedia({ colorScheme: "dark" });
    /* Figures and transitions follow the colours after a while. */
    await expect.poll(() => axeSerious(page), { timeout: 20_000, interval: 500 }).toEqual([]);
    await page.setViewportSize({ width: 360, height: 800 });
    await expect.poll(() => page.evaluate(() => document.documentElement.scrollWidth)).toBe(360);
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

  it("compare shadow with nested paging, with the numbers of the command line wherever a control moves", async () => {
    const opened = await open("shadow-or-nested");
    const { page } = opened;
    const command = (nth: number) => page.locator("pre.command").nth(nth);
    /** What the nth figure was drawn from, as it was told in `customdata`, or its lines. */
    const drawnFrom = (nth: number) =>
      page.evaluate((at) => {
        const figure = document.querySelectorAll(".js-plotly-plot")[at] as unknown as { data: Trace[] };
        interface Trace {
          name: string;
          y: unknown;
          customdata?: unknown;
        }
        return figure.data.map(({ name, y, customdata }) => [name, customdata ?? y]);
      }, nth);
    const of = ({ data }: Figure) => data.map(({ name, y, customdata }) => [name, customdata ?? y]);
    const agrees = async (part: string) => {
      await expect.poll(() => command(0).textContent(), { timeout: 60_000 }).toContain(part);
      const shown = (await command(0).textContent())!;
      const { outcome } = fromCommandLine(shown);
      await expect.poll(() => drawnFrom(0)).toEqual(of(cyclesFigure(outcome)));
      expect(await drawnFrom(1)).toEqual(of(exitsFigure(outcome)));
      expect(await drawnFrom(2)).toEqual(of(walkLengthsFigure(outcome)));
    };
    await agrees("pcid.nwt --technique native,shadow,ept --set host.page=4k --set tlb.l2.0.entries=1536");
    await command(2).waitFor({ timeout: 120_000 });
    const updates = fromCommandLine((await command(2).textContent())!);
    expect(await drawnFrom(4)).toEqual(
      of(crossoverFigure(updates.outcome.points.map(({ result }) => result))),
    );
    await page.getByLabel("host pages", { exact: true }).check();
    await expect
      .poll(() => command(1).textContent(), { timeout: 120_000 })
      .toContain("--vary host.page=4k,2m,1g");
    const pages = fromCommandLine((await command(1).textContent())!);
    expect(await drawnFrom(3)).toEqual(of(varyFigures(pages.outcome)[0]!));

    await page.getByLabel("2 MiB").check();
    await agrees("--set host.page=2m");
    await page.getByLabel("L2 TLB, entries").selectOption("384");
    await agrees("--set tlb.l2.0.entries=384");
    await page.locator("input[type=number]").fill("3000");
    await agrees("--set exits.hardwareCycles=3000");
    const guest = page.getByLabel("Recorded guest");
    await guest.selectOption({ index: await indexOf(guest, "hugepages") });
    await agrees("traces/hugepages.nwt");
    await expect
      .poll(() => page.locator("p", { hasText: "Cycles per access" }).textContent())
      .toMatch(/wins here/);
    await faultless(opened);
  }, 300_000);

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
    expect(longest.walks.length).toBeGreaterThan(1);
    await page.getByLabel("1", { exact: true }).check();
    const glance = page.locator(".js-plotly-plot").first();
    await expect
      .poll(() => glance.textContent())
      .toContain(`walked in ${longest.walks[0]!.references} reference`);
    await page.getByLabel("none").check();
    await page.waitForFunction((before) => {
      const text = document.querySelector(".stepper .outcome")?.textContent ?? "";
      return Number(/(\d+) references/.exec(text)?.[1]) > before;
    }, most);
    await faultless(opened);
  });

  it("replay a file with the bytes that the command line gives", async () => {
    const opened = await open("bring-your-own");
    const { page } = opened;
    await drawn(opened, 5);
    await page.setInputFiles("input[type=file]", join(root, "tests/fixtures/loop.lackey.gz"));
    await page.waitForSelector("h2:has-text('loop.lackey.gz')");
    const [file] = await Promise.all([page.waitForEvent("download"), page.click("text=Download loop")]);
    const shown = (await page.textContent("pre.command"))!;
    const { bytes } = fromCommandLine(shown.replace("loop.lackey.gz", "tests/fixtures/loop.lackey.gz"));
    expect(readFileSync((await file.path())!, "utf8")).toBe(bytes.replace("tests/fixtures/loop", "loop"));
    await faultless(opened);
  });

  it("say what is wrong with a file, and show nothing else", async () => {
    const opened = await open("bring-your-own");
    const { page } = opened;
    await drawn(opened, 5);
    const whole = readFileSync(join(root, "traces/pcid.nwt"));
    const give = (name: string, buffer: Buffer) =>
      page.setInputFiles("input[type=file]", { name, mimeType: "", buffer });
    const sentence = () => page.textContent("[role=alert]");
    await give("cut.nwt", whole.subarray(0, 500_000));
    await expect.poll(sentence).toMatch(/^cut\.nwt is truncated: it ends at byte 500000/);
    expect(await page.locator(".js-plotly-plot").count()).toBe(0);
    await page.getByLabel("take a cut file as far as it is whole").check();
    await page.waitForSelector("h2:has-text('cut.nwt')");
    await drawn(opened, 5);
    expect(await page.locator("[role=alert]").count()).toBe(0);
    await give("notes.txt", Buffer.from("this is no trace\n"));
    await expect.poll(sentence).toMatch(/^notes\.txt is text, not a trace/);
    await give("read.txt", Buffer.from("R 0x1000 1\nW 0x2000 2\n".repeat(50)));
    await page.getByLabel("Columns of a text").fill("kind,hex,pid");
    await page.waitForSelector("h2:has-text('read.txt: 100 accesses')");
    await faultless(opened);
  });
});

/** The place of the choice that begins so. */
async function indexOf(select: Locator, beginning: string): Promise<number> {
  const texts = await select.locator("option").allTextContents();
  return texts.findIndex((text) => text.startsWith(beginning));
}
