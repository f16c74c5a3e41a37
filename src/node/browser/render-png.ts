import { join } from "node:path";
import type { Page } from "playwright-core";
import type { Figure } from "../../plot/figure.js";
import { pageColors, type Theme, template } from "../../plot/theme.js";
import { writeFileAtomic } from "../files.js";
import { makeFolder } from "../folders.js";
import { type FindOptions, launchChromium } from "./chromium.js";
import { plotlySource } from "./plotly.js";

/** What of a figure is drawn. */
export type PngFigure = Pick<Figure, "id" | "data" | "layout">;

export interface PngOptions extends Pick<FindOptions, "chromium"> {
  /** Width in CSS pixels of figures whose layout names none (default 760). */
  width?: number;
  /** Pixels of the file for one CSS pixel (default 2). */
  scale?: number;
  /** Default: as the figures are. */
  theme?: Theme;
  signal?: AbortSignal;
}

/**
 * Draws figures in a real browser, one for all of them, and writes each to `dir`/`id`.png, whole or not at all; makes the
 * folder. Returns the paths. Throws BrowserError where there is no browser, and the abort's reason when aborted.
 */
export async function renderPng(
  figures: readonly PngFigure[],
  dir: string,
  options: PngOptions = {},
): Promise<string[]> {
  const { scale = 2, signal } = options;
  signal?.throwIfAborted();
  const browser = await launchChromium(options);
  const close = () => void browser.close();
  signal?.addEventListener("abort", close, { once: true });
  try {
    const context = await browser.newContext({
      deviceScaleFactor: scale,
      viewport: { width: 1600, height: 1200 },
    });
    await context.route("**/*", (route) => route.abort());
    const page = await context.newPage();
    await page.setContent('<!doctype html><body style="margin:0"><div id="figure"></div></body>');
    await page.addScriptTag({ content: await plotlySource() });
    const paths: string[] = [];
    await makeFolder(dir);
    for (const figure of figures) {
      const path = join(dir, `${figure.id}.png`);
      await writeFileAtomic(path, [await drawn(page, figure, options)]);
      paths.push(path);
    }
    return paths;
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  } finally {
    signal?.removeEventListener("abort", close);
    await browser.close();
  }
}

async function drawn(
  page: Page,
  { data, layout }: PngFigure,
  { width = 760, theme }: PngOptions,
): Promise<Buffer> {
  const sized = {
    ...layout,
    ...(theme === undefined ? {} : { template: template(theme) }),
    width: (layout.width as number | undefined) ?? width,
  };
  const paper = pageColors[theme ?? "light"].paper;
  await page.evaluate(
    async ([data, layout, paper]) => {
      const element = document.getElementById("figure")!;
      element.style.cssText = `width:${layout.width}px;height:${layout.height ?? 450}px;background:${paper}`;
      const { Plotly } = globalThis as unknown as { Plotly: Record<string, (...args: unknown[]) => unknown> };
      Plotly.purge!(element);
      await Plotly.newPlot!(element, data, layout, { staticPlot: true });
    },
    [data, sized as { width: number; height?: number }, paper] as const,
  );
  return page.locator("#figure").screenshot();
}
