import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, it } from "vitest";
import { explainTrace, openTrace, resolveConfig } from "../src/index.js";
import { openFile } from "../src/node.js";
import { resultFigures } from "../src/plot/index.js";
import type { Result } from "../src/result.js";
import { axeSerious, describeInChromium, type Opened, openLocal } from "./browser/chromium.js";
import { nestwalk } from "./cli/capture.js";
import { buildPage, folder, root } from "./page/build.js";

const built = folder("page");
const files = folder("page-files");
afterAll(() => {
  built.remove();
  files.remove();
});

const LACKEY = join(root, "tests/fixtures/loop.lackey.gz");
const NATIVE = join(root, "tests/fixtures/pcid.nwt");

/** Drops a file on the page, as a file manager does. */
async function drop(page: Page, path: string): Promise<void> {
  const bytes = readFileSync(path).toString("base64");
  const transfer = await page.evaluateHandle(
    ([name, text]) => {
      const content = Uint8Array.from(atob(text!), (c) => c.charCodeAt(0));
      const data = new DataTransfer();
      data.items.add(new File([content], name!));
      return data;
    },
    [basename(path), bytes] as const,
  );
  for (const event of ["dragenter", "dragover", "drop"])
    await page.dispatchEvent("#drop", event, { dataTransfer: transfer });
}

async function replay(page: Page): Promise<void> {
  await page.click("#run:not([disabled])");
  await page.waitForSelector("#report:not([hidden])");
  await page.waitForFunction(() => {
    const places = [...document.querySelectorAll<HTMLElement>(".plot")];
    return places.length > 0 && places.every((place) => place.dataset.drawn);
  });
}

const sha256 = (bytes: Buffer): string => createHash("sha256").update(bytes).digest("hex");

/** SHA-256 of each file that the page offers, by the end of its name; the JSON itself beside them. */
async function downloads(page: Page): Promise<{ hashes: Record<string, string>; result: Result }> {
  const hashes: Record<string, string> = {};
  let result: Result | undefined;
  for (const button of await page.locator(".downloads button:has-text('Download')").all()) {
    const [file] = await Promise.all([page.waitForEvent("download"), button.click()]);
    const [, ending] = /\.((?:intervals\.)?\w+)$/.exec(file.suggestedFilename())!;
    const bytes = readFileSync((await file.path())!);
    hashes[ending!] = sha256(bytes);
    if (ending === "json") result = JSON.parse(bytes.toString());
  }
  return { hashes, result: result! };
}

/** SHA-256 of the files that the command line which stands on the page writes, run where the trace lies. */
async function fromCommandLine(page: Page, path: string): Promise<Record<string, string>> {
  const command = (await page.textContent(".command code"))!;
  writeFileSync(join(files.path, basename(path)), readFileSync(path));
  const cli = `"${process.execPath}" "${join(root, "dist/cli/main.js")}"`;
  const outputs = ["json", "csv", "parquet", "html"].map((kind) => `--${kind} out.${kind}`);
  const line = `${command.replace("npx nestwalk", cli)} --quiet ${outputs.join(" ")}`;
  execFileSync("sh", ["-c", line], { cwd: files.path, stdio: ["ignore", "ignore", "inherit"] });
  const written = readdirSync(files.path).filter((name) => name.startsWith("out."));
  return Object.fromEntries(
    written.map((name) => [name.slice(4), sha256(readFileSync(join(files.path, name)))]),
  );
}

/** The data that each figure was drawn from. */
function drawn(page: Page): Promise<Record<string, unknown>> {
  return page.evaluate(() =>
    Object.fromEntries(
      [...document.querySelectorAll<HTMLElement>(".plot")].map((place) => [
        place.dataset.drawn!,
        (place as HTMLElement & { data: unknown }).data,
      ]),
    ),
  );
}

describeInChromium("the page", (browser) => {
  beforeAll(() => buildPage(built.path));
  const open = (options: { width?: number; height?: number; dark?: boolean } = {}): Promise<Opened> =>
    openLocal(browser(), { root: built.path, ...options });

  it("replays a lackey file that is dropped on it, with the bytes of the command line", async () => {
    const { page, external, errors, close } = await open();
    await drop(page, LACKEY);
    await page.waitForSelector("#run:not([disabled])");
    expect(await page.textContent("#facts")).toContain("a stand-in for the Linux kernel plays them");
    await page.selectOption('[name="guestPages"]', "2m");
    await page.check('[name="hostPage"][value="2m"]', { force: true });
    await replay(page);
    const { hashes, result } = await downloads(page);
    const names = ["csv", "html", "intervals.csv", "intervals.parquet", "json", "parquet"];
    expect(Object.keys(hashes).sort()).toEqual(names);
    expect(hashes).toEqual(await fromCommandLine(page, LACKEY));
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
    const { hashes, result } = await downloads(page);
    expect(hashes).toEqual(await fromCommandLine(page, NATIVE));
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

  it("is cancelled at once, and can begin again", async () => {
    const { page, errors, close } = await open();
    await page.check('[name="guest"][value="pipe-pti"]');
    await page.click("#run:not([disabled])");
    await page.waitForFunction(() =>
      [...document.querySelectorAll("progress")].some(({ value }) => value > 0),
    );
    expect(await axeSerious(page)).toEqual([]);
    expect(page.workers().length).toBeGreaterThan(0);
    await page.click("#cancel");
    expect(await page.isHidden("#cancel")).toBe(true);
    await expect.poll(() => page.workers().length, { timeout: 20_000 }).toBe(0);
    expect(await page.isHidden("#report")).toBe(true);
    await page.setInputFiles("#file", NATIVE);
    await replay(page);
    expect(await page.textContent("#result-title")).toContain("pcid.nwt");
    expect(errors).toEqual([]);
    await close();
  });

  it.each([
    ["text that is no trace", "letter.txt", "Dear reader,\n"],
    ["a cut trace", "cut.nwt", readFileSync(NATIVE).subarray(0, 100_000)],
  ])("says of %s what the command line says", async (_, name, content) => {
    const path = join(files.path, name);
    writeFileSync(path, content);
    const { page, close } = await open();
    await drop(page, path);
    await page.waitForSelector("#run:not([disabled]), #alert p");
    if (await page.isEnabled("#run")) await page.click("#run");
    const sentence = await page.textContent("#alert p");
    const { stderr } = await nestwalk(["compare", path, "--quiet"]);
    expect(stderr.replaceAll(path, name)).toBe(`nestwalk: ${sentence}\n`);
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
