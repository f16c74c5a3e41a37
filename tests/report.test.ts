import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { plotlySource } from "../src/node.js";
import { commandOf, cyclesFigure, reportFigures, reportHtml } from "../src/plot/index.js";
import type { Result } from "../src/result.js";
import { axeSerious, describeInChromium, openLocal } from "./browser/chromium.js";
import { fixtureResult } from "./plot/results.js";

const dir = mkdtempSync(join(tmpdir(), "nestwalk-report-"));
afterAll(() => rmSync(dir, { recursive: true }));

let guest: Result;
let plotly: string;
beforeAll(async () => {
  guest = await fixtureResult("redis");
  plotly = await plotlySource();
});

describe("a report", () => {
  it("is the same bytes for the same result", () => {
    const digest = () =>
      createHash("sha256")
        .update(reportHtml({ result: guest, plotly }))
        .digest("hex");
    expect(digest()).toBe(digest());
  });

  it("says how to run it again", () => {
    const page = reportHtml({ result: guest, plotly: "" });
    expect(page.replaceAll(/<\/?span>/g, "")).toContain(
      "<code>npx nestwalk compare tests/fixtures/redis.nwt --technique native,shadow,ept,npt</code>",
    );
    const asked = {
      command: "compare",
      technique: ["ept"],
      set: ["a=1", "b=x y"],
      hostPage: "2m",
      warmup: 100,
      interval: "markers",
    };
    expect(commandOf(asked, { ...guest.trace, file: "it's.nwt" })).toBe(
      "npx nestwalk compare 'it'\\''s.nwt' --technique ept --set a=1 --set 'b=x y' --host-page 2m --warmup 100 --interval markers",
    );
    expect(commandOf({ command: "run" }, { ...guest.trace, file: "standard input" })).toBe(
      "npx nestwalk run -",
    );
    expect(commandOf({}, guest.trace)).toBeUndefined();
    expect(reportHtml({ result: { ...guest, config: {} }, plotly: "" })).toContain(
      "nestwalk run TRACE --config FILE",
    );
  });

  it("says what is in a trace's header in words", () => {
    const recorded = {
      ramMiB: 128,
      tables: false,
      registers: { cr0: "0x1", cr3: "0x2000" },
      notes: ["a", "b"],
    };
    const page = reportHtml({ result: { ...guest, trace: { ...guest.trace, recorded } }, plotly: "" });
    for (const [name, text] of [
      ["RAM, MiB", "128"],
      ["page tables recorded", "no"],
      ["registers", "cr0 0x1; cr3 0x2000"],
      ["notes", "a; b"],
    ])
      expect(page).toContain(`<dt>${name}</dt><dd>${text}</dd>`);
  });

  it("shows what a trace says of itself as text, whatever is in it", () => {
    const evil = '</script><script>alert("1")</script><img src=x onerror=alert(2)>';
    const result = {
      ...guest,
      trace: { ...guest.trace, file: evil, recorded: { ...guest.trace.recorded, program: evil } },
    };
    const page = reportHtml({ result, plotly: "", command: evil });
    expect(page).not.toContain("<img src=x");
    expect(page.match(/<script/g)).toHaveLength(4);
    expect(page.match(/<\/script/g)).toHaveLength(4);
  });

  it("has plotly as it can stand in a page", () => {
    expect(plotly).not.toMatch(/<\/script|<!--/i);
    expect(plotly).toContain("Permission is hereby granted, free of charge");
  });

  it("of a comparison with keys varied shows the figures against them", () => {
    const points = ["4k", "2m"].map((page) => ({ at: { "host.page": page }, result: guest }));
    const sweep = {
      nestwalk: "1",
      config: { command: "compare" },
      axes: [{ key: "host.page", values: ["4k", "2m"] }],
      points,
    };
    expect(reportFigures(sweep).map(({ id }) => id)).toEqual(["vary-host-page"]);
    const page = reportHtml({ result: sweep, plotly: "" });
    expect(page).toContain("Varied: host.page = 4k, 2m.");
    expect(page).toContain("Conservation laws of 2 results");
  });
});

describeInChromium("a report in the browser", (browser) => {
  let file: string;
  beforeAll(() => {
    file = join(dir, "report.html");
    writeFileSync(file, reportHtml({ result: guest, plotly }));
  });

  it("draws its figures from the numbers of the result, and asks nothing of anyone", async () => {
    const { page, external, errors, close } = await openLocal(browser(), { file });
    await page.waitForSelector("#plot-references-found .main-svg");
    const drawn = await page.evaluate(() =>
      [...document.querySelectorAll(".plot")].map((element) => ({
        id: element.id,
        data: (element as unknown as { data: { name: string; customdata: number[] }[] }).data,
        label: element.querySelector(".main-svg[role=img]")?.getAttribute("aria-label"),
        height: element.getBoundingClientRect().height,
      })),
    );
    expect(drawn.map(({ id }) => id)).toEqual(reportFigures(guest).map(({ id }) => `plot-${id}`));
    for (const { label, height } of drawn) {
      expect(label).toMatch(/\w/);
      expect(height).toBeGreaterThan(100);
    }
    const walks = drawn[0]!.data.find(({ name }) => name === "page walks")!;
    expect(walks.customdata).toEqual(guest.machines.map(({ cycles }) => cycles.walk));
    expect([external, errors]).toEqual([[], []]);
    await close();
  });

  it("gives the result that it was made of", async () => {
    const { page, close } = await openLocal(browser(), { file });
    const download = page.waitForEvent("download");
    await page.getByRole("button", { name: "Save the result as JSON" }).focus();
    await page.keyboard.press("Enter");
    expect(readFileSync(await (await download).path(), "utf8")).toBe(`${JSON.stringify(guest, null, 2)}\n`);
    await close();
  });

  it("shows the numbers of a figure as a table, by keyboard", async () => {
    const { page, close } = await openLocal(browser(), { file });
    const figure = page.locator("figure", { has: page.locator("#plot-cycles") });
    await figure.locator("summary").focus();
    await page.keyboard.press("Enter");
    const cells = await figure.locator("tbody tr").first().locator("td").allTextContents();
    const [row] = cyclesFigure(guest).table.rows;
    expect(cells[0]).toBe((row![1] as number).toLocaleString("en"));
    await close();
  });

  it("of a comparison with keys varied fits as well, in light and dark", async () => {
    const points = [64, 4096].map((entries) => ({ at: { "tlb.l2.0.entries": entries }, result: guest }));
    const axes = [{ key: "tlb.l2.0.entries", values: [64, 4096] }];
    const varied = join(dir, "varied.html");
    writeFileSync(varied, reportHtml({ result: { nestwalk: "1", config: {}, axes, points }, plotly }));
    for (const dark of [false, true]) {
      const { page, external, errors, close } = await openLocal(browser(), {
        file: varied,
        width: 360,
        dark,
      });
      await page.waitForSelector("#plot-vary-tlb-l2-0-entries .main-svg");
      expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(360);
      expect(await axeSerious(page)).toEqual([]);
      expect([external, errors]).toEqual([[], []]);
      await close();
    }
  });

  for (const [width, dark] of [
    [1440, false],
    [1440, true],
    [360, false],
    [360, true],
  ] as const)
    it(`fits ${width} pixels in ${dark ? "dark" : "light"} colours and has no serious violation of accessibility`, async () => {
      const { page, close } = await openLocal(browser(), { file, width, dark });
      await page.waitForSelector("#plot-references-found .main-svg");
      await page.evaluate(() => {
        for (const details of document.querySelectorAll("details")) details.open = true;
      });
      expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(width);
      const paper = await page.evaluate(
        () => document.querySelector<SVGElement>("#plot-cycles .main-svg")!.style.background,
      );
      expect(paper).toBe(dark ? "rgb(21, 23, 27)" : "rgb(255, 255, 255)");
      expect(await axeSerious(page)).toEqual([]);
      await close();
    });
});
