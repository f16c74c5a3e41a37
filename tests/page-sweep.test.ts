import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { accessText } from "../page/src/walks/text.js";
import { explainTrace, openSynth, type VaryResult } from "../src/index.js";
import { reportFigures, resultFigures } from "../src/plot/index.js";
import type { Result } from "../src/result.js";
import { axeSerious, describeInChromium, type Opened, openLocal } from "./browser/chromium.js";
import { buildPage, folder, root } from "./page/build.js";
import { allDrawn, downloads, drawn, drop, dropFile, fromCommandLine, replay } from "./page/drive.js";

const built = folder("page-sweep");
const files = folder("page-sweep-files");
afterAll(() => {
  built.remove();
  files.remove();
});

const NATIVE = join(root, "tests/fixtures/pcid.nwt");
const plainData = (value: unknown) => JSON.parse(JSON.stringify(value));

describeInChromium("what the page varies and is told", (browser) => {
  beforeAll(() => buildPage(built.path));
  const open = (options: { width?: number; height?: number; dark?: boolean } = {}): Promise<Opened> =>
    openLocal(browser(), { root: built.path, ...options });

  it("is two keys of a recorded guest, with the bytes of the command line", async () => {
    const { page, external, errors, close } = await open();
    await page.setInputFiles("#file", NATIVE);
    await page.uncheck("[name=technique][value=shadow]");
    await page.click("#varying summary");
    await page.selectOption("[name=common]", { label: "entries of the second-level TLB" });
    expect(await page.inputValue("[name=vary]")).toBe("tlb.l2.0.entries=384,768,1536,3072");
    await page.fill("[name=vary]", "tlb.l2.0.entries=384,1536\nhost.page=4k,2m");
    expect(await page.isDisabled("[name=hostPage][value='2m']")).toBe(true);
    expect(await page.textContent("#vary-hint")).toBe("Every combination is replayed: 4.");
    await page.click("#more summary");
    await page.fill("[name=warmup]", "10000");
    await page.fill("[name=interval]", "200000");
    await replay(page);
    const { hashes, result } = await downloads<VaryResult>(page);
    const names = ["csv", "html", "intervals.csv", "intervals.parquet", "json", "parquet"];
    expect(Object.keys(hashes).sort()).toEqual(names);
    expect(hashes).toEqual(await fromCommandLine(page, files.path, NATIVE));
    expect(result.points.map(({ at }) => Object.values(at))).toEqual([
      [384, "4k"],
      [384, "2m"],
      [1536, "4k"],
      [1536, "2m"],
    ]);
    const wanted = reportFigures(result).map(({ id, data }) => [id, data]);
    expect(await drawn(page)).toEqual(plainData(Object.fromEntries(wanted)));
    const rows = page.locator("table.comparison tbody tr");
    expect(await rows.count()).toBe(8);
    expect(await rows.nth(2).locator("th, td").first().textContent()).toBe("384");
    expect(await axeSerious(page)).toEqual([]);

    await page.selectOption("[name=setting]", "3");
    await allDrawn(page);
    const one = resultFigures(result.points[3]!.result).map(({ id, data }) => [id, data]);
    expect(await drawn(page)).toMatchObject(plainData(Object.fromEntries(one)));
    expect(await page.locator(".walks").count()).toBe(1);
    expect(external).toEqual([]);
    expect(errors).toEqual([]);
    await close();
  });

  it("is a computed guest's rate of table updates, with the crossover of shadow and nested paging", async () => {
    const { page, external, errors, close } = await open({ width: 360, dark: true });
    await page.click("#computing summary");
    await page.fill("[name=generatorOptions]", "instructions=100000,pages=512");
    await page.press("[name=generatorOptions]", "Enter");
    await page.waitForSelector("#run:not([disabled])");
    await page.click("#varying summary");
    await page.fill("[name=vary]", "trace.rate=0,20000");
    await page.click("#more summary");
    await page.fill("[name=interval]", "");
    await replay(page);
    const { hashes, result } = await downloads<VaryResult>(page);
    const ours = folder("page-computed");
    expect(hashes).toEqual(await fromCommandLine(page, ours.path));
    ours.remove();
    const [crossover, ...curves] = reportFigures(result);
    expect(crossover!.id).toBe("crossover");
    expect(Object.keys(await drawn(page))).toEqual([crossover!.id, ...curves.map(({ id }) => id)]);
    await page.selectOption("[name=setting]", "1");
    await page.selectOption("[name=walk-technique]", "shadow");
    await page.selectOption("[name=walk-next]", "exit");
    await page.fill("[name=walk-from]", "50000");
    await page.press("[name=walk-from]", "Enter");
    await page.waitForSelector(".stepper");
    const updates = await openSynth("synth:table-updates,instructions=100000,pages=512,rate=20000");
    const { config } = result.points[1]!.result.machines[1]!;
    const [wanted] = await explainTrace(updates, config, { at: 50_000, next: "exit" });
    expect(await page.textContent(".stepper .count")).toContain(` of ${wanted!.steps.length}`);
    expect(await page.locator(".pager option").first().textContent()).toBe(accessText(wanted!));
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(360);
    expect(await axeSerious(page)).toEqual([]);
    expect(external).toEqual([]);
    expect(errors).toEqual([]);
    await close();
  });

  it("is a map of page sizes, and one of the places of pages, for a trace without page tables", async () => {
    const trace = join(files.path, "plain.txt");
    const v2p = join(files.path, "v2p.textproto");
    const sizes = join(files.path, "sizes.map");
    writeFileSync(trace, "400000 R\n401000 W\n600000 R\n".repeat(40));
    writeFileSync(v2p, "address_mapping { virtual_address: 0x400000 physical_address: 0x9000 }\n");
    writeFileSync(sizes, "600000 800000 2m\n");
    const { page, errors, close } = await open();
    await page.click("#reading summary");
    await page.setInputFiles("[name=v2p]", v2p);
    await page.setInputFiles("[name=pageSizes]", sizes);
    await dropFile(page, trace);
    expect(await axeSerious(page)).toEqual([]);
    await replay(page);
    const ours = folder("page-maps");
    const { hashes, result } = await downloads<Result>(page);
    expect(result.trace.recorded.placement!.runs).toEqual([["0x400000", "0x9000", 1]]);
    expect(result.trace.recorded.pageSizes).toEqual({
      default: "4k",
      ranges: [{ from: "0x600000", to: "0x800000", size: "2m" }],
    });
    expect(hashes).toEqual(await fromCommandLine(page, ours.path, trace, v2p, sizes));
    ours.remove();
    await page.click("[data-clears=v2p]");
    await page.waitForSelector("#run:not([disabled])");
    await replay(page);
    expect((await downloads<Result>(page)).result.trace.recorded.placement).toBeUndefined();
    await page.setInputFiles("[name=v2p]", sizes);
    expect(await page.textContent("#alert p")).toContain("sizes.map is no v2p.textproto");
    expect(errors).toEqual([]);
    await close();
  });

  const refused: [Record<string, string>, string][] = [
    [
      { set: "technique=native" },
      "“Techniques” and “technique=native” both choose what the machine does; leave one out",
    ],
    [{ set: "format=npt" }, "“Techniques” and “format=npt” both choose what the machine does; leave one out"],
    [{ set: "cpu=zen5" }, "“CPU” and “cpu=zen5” both choose the CPU; leave one out"],
    [{ set: "clock.windo=1" }, '“clock.windo=1”: "clock.windo" is not a key; did you mean "clock.window"?'],
    [{ set: "nothing" }, "“nothing” is not key.path=value, as in “clock.window=128”"],
    [
      { set: "clock.window=8", vary: "clock.window=1,8" },
      "“clock.window=8” and “clock.window” both give clock.window; leave one out",
    ],
    [
      { vary: "technique=native,shadow" },
      "“technique” would compare techniques; “Techniques” does, side by side",
    ],
    [
      { vary: "trace.rate=1,2" },
      "“trace.rate” varies how a trace is computed, and pcid.nwt is a file; take a computed one, such as synth:table-updates",
    ],
    [
      { vary: "tlb.l2.0.entries=1000" },
      "“tlb.l2.0.entries=1000”: tlb.l2.0.ways is 12, which does not divide",
    ],
    [{ warmup: "some" }, 'The warm-up is "some"; it must be a number of accesses from 0, such as 100000.'],
    [{ interval: "0" }, 'The interval is "0"; it must be a number of accesses from 1, such as 100000.'],
    [{ warmup: "99999999" }, "the warm-up of 99999999 accesses leaves nothing to measure"],
  ];

  it("is refused in sentences that fit the form", async () => {
    const { page, errors, close } = await open();
    await drop(page, { name: "pcid.nwt", bytes: readFileSync(NATIVE) });
    for (const id of ["varying", "more"]) await page.click(`#${id} summary`);
    const empty = { set: "", vary: "", warmup: "", interval: "" };
    for (const [fields, sentence] of refused) {
      for (const [name, text] of Object.entries({ ...empty, ...fields }))
        await page.fill(`[name=${name}]`, text);
      await page.click("#run:not([disabled])");
      await page.waitForFunction(
        (wanted) => document.querySelector("#alert")!.textContent!.includes(wanted),
        sentence,
      );
      expect(await page.textContent("#alert")).not.toContain(" --");
      expect(await page.isEnabled("#run")).toBe(true);
    }
    expect(errors).toEqual([]);
    await close();
  });
});
