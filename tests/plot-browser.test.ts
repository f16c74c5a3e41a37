import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { compare } from "../src/compare.js";
import { techniqueName } from "../src/config/index.js";
import { explainTrace } from "../src/explain/index.js";
import { launchChromium } from "../src/node/browser/chromium.js";
import { openFile, plotlySource, renderPng } from "../src/node.js";
import {
  crossoverFigure,
  cyclesFigure,
  exitsFigure,
  explainedWalkFigure,
  type Figure,
  intervalMetrics,
  intervalsFigure,
  referencesFoundFigure,
  resultFigures,
  varyFigures,
  walkGridFigure,
  walkLengthsFigure,
  withoutTitle,
} from "../src/plot/index.js";
import type { MachineResult, Result } from "../src/result.js";
import { openTrace } from "../src/trace/index.js";
import { describeInChromium, openLocal } from "./browser/chromium.js";
import { ALL, configOf, fixtureResult } from "./plot/results.js";

const dir = mkdtempSync(join(tmpdir(), "nestwalk-png-"));
afterAll(() => rmSync(dir, { recursive: true }));

let guest: Result;
let figures: Figure[];
beforeAll(async () => {
  guest = await fixtureResult("redis");
  const one = { ...guest, machines: guest.machines.slice(1, 2) };
  const five = await fixtureResult("la57-fork", ["ept"], "host.levels=5");
  const points = [64, 4096].map((entries) => ({ at: { "tlb.l2.0.entries": entries }, result: guest }));
  const all = (width: number | undefined) => {
    const options = width === undefined ? {} : { width, theme: "dark" as const };
    return [
      ...resultFigures(guest, options),
      ...resultFigures(one, options),
      ...resultFigures(five, options),
      cyclesFigure(guest, { ...options, parts: "all" }),
      ...varyFigures({ axes: [{ key: "tlb.l2.0.entries", values: [64, 4096] }], points }, options),
      crossoverFigure([guest], options),
    ];
  };
  figures = [...all(undefined), ...all(340), ...all(undefined).map(withoutTitle), ...(await edgeCases())];
});

/** Figures of every technique alone, of nothing, of a single point, of a hundred intervals, and of explained walks. */
async function edgeCases(): Promise<Figure[]> {
  const open = async (name: string) => openTrace(await openFile(join("tests/fixtures", `${name}.nwt`)));
  const alone = ALL.map((name) => ({
    ...guest,
    machines: guest.machines.filter((machine) => techniqueName(machine) === name),
  }));
  const nothing: Result = { ...guest, machines: guest.machines.map(idle) };
  const trace = await open("pcid");
  const configs = ALL.map((name) => configOf(name));
  const whole = await compare(trace, configs, { intervals: 1e9 });
  const sampled = await compare(await open("pcid"), configs, {
    intervals: Math.ceil(whole.trace.accesses / 100),
  });
  expect(sampled.machines[0]!.intervals!.end.length).toBeGreaterThan(90);
  expect(whole.machines[0]!.intervals!.end).toHaveLength(1);
  const marked: Result = {
    ...whole,
    machines: whole.machines.map((machine) => ({
      ...machine,
      intervals: { ...machine.intervals!, every: "markers" as const, markers: [7] },
    })),
  };
  const explanations = await Promise.all(
    configs.map(async (config) =>
      explainTrace(await open("redis"), config, { at: 1, next: "walk", count: 3 }),
    ),
  );
  const point = { at: { "host.page": "4k" }, result: guest };
  return [undefined, 340].flatMap((width) => {
    const options = width === undefined ? {} : { width, theme: "dark" as const };
    return [
      ...[...alone, nothing].flatMap((result) => resultFigures(result, options)),
      exitsFigure(nothing, options),
      walkLengthsFigure(nothing, options),
      walkGridFigure(nothing.machines[2]!, options),
      referencesFoundFigure(nothing, options),
      crossoverFigure([nothing], options),
      ...varyFigures({ axes: [{ key: "host.page", values: ["4k"] }], points: [point] }, options),
      ...[sampled, whole, marked].map((result) =>
        intervalsFigure(result, { ...options, metrics: intervalMetrics }),
      ),
      ...explanations
        .flat()
        .flatMap((access) =>
          access.walks.map((_, walk) => explainedWalkFigure(access, { ...options, walk })),
        ),
    ];
  });
}

/** A machine that did nothing. */
function idle(machine: MachineResult): MachineResult {
  const none = <T extends object>(counts: T) =>
    Object.fromEntries(Object.keys(counts).map((key) => [key, 0])) as T;
  return {
    ...machine,
    counters: none(machine.counters),
    cycles: none(machine.cycles),
    exits: [],
    references: [],
    walkLengths: [0],
  };
}

describeInChromium("figures in the browser", (browser) => {
  it("are what plotly understands, every key of them, and are drawn", async () => {
    const { page, external, close } = await openLocal(browser(), {
      html: "<!doctype html><div id=figure></div>",
    });
    await page.addScriptTag({ content: await plotlySource() });
    const found = await page.evaluate(async (figures) => {
      const { Plotly } = globalThis as unknown as {
        Plotly: {
          validate(data: unknown, layout: unknown): { msg: string }[] | undefined;
          newPlot(element: Element, figure: unknown): Promise<unknown>;
        };
      };
      const said: string[] = [];
      for (const figure of figures) {
        for (const { msg } of Plotly.validate(figure.data, figure.layout) ?? [])
          said.push(`${figure.id}: ${msg}`);
        const element = document.createElement("div");
        document.body.replaceChildren(element);
        await Plotly.newPlot(element, figure);
        if (!element.querySelector(".main-svg")) said.push(`${figure.id}: not drawn`);
      }
      return said;
    }, figures);
    expect(found).toEqual([]);
    expect(external).toEqual([]);
    await close();
  });

  it("become PNG files of the size asked for", async () => {
    const paths = await renderPng(resultFigures(guest), join(dir, "new", "folder"), { width: 400, scale: 1 });
    expect(paths).toEqual(resultFigures(guest).map(({ id }) => join(dir, "new", "folder", `${id}.png`)));
    for (const path of paths) {
      const bytes = readFileSync(path);
      expect(bytes.subarray(1, 4).toString()).toBe("PNG");
      expect(bytes.readUInt32BE(16)).toBe(400);
    }
    expect(readdirSync(join(dir, "new", "folder"))).toHaveLength(paths.length);
  });
});

it("a browser that does not start is named", async () => {
  await expect(launchChromium({ chromium: "/nonexistent/chromium" })).rejects.toThrow(
    "/nonexistent/chromium does not start as a browser; name a Chromium by the environment variable CHROMIUM",
  );
  const drawn = renderPng([], join(dir, "none"), { chromium: "/nonexistent/chromium" });
  await expect(drawn).rejects.toThrow("does not start as a browser");
  expect(existsSync(join(dir, "none"))).toBe(false);
});
