import { readFile, stat } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join, normalize } from "node:path";
import axe from "axe-core";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe } from "vitest";
import { BrowserError, launchChromium } from "../../src/node/browser/chromium.js";

let browser: Browser | undefined;
let missing: string | undefined;
try {
  browser = await launchChromium();
  await browser.close();
} catch (error) {
  if (!(error instanceof BrowserError) || process.env.CI) throw error;
  missing = error.message;
  process.stderr.write(
    `\n*** NOT TESTED: ${missing}\n*** Tests in the browser are skipped; with CI set they would fail.\n\n`,
  );
}

/** Tests in real Chromium, one for the file. Where there is none they are skipped, and said to be; with CI set they fail. */
export function describeInChromium(name: string, tests: (browser: () => Browser) => void): void {
  describe.skipIf(missing !== undefined)(
    missing === undefined ? name : `${name} (skipped: ${missing})`,
    () => {
      let running: Browser | undefined;
      beforeAll(async () => {
        running = await launchChromium();
      });
      afterAll(() => running?.close());
      tests(() => running!);
    },
  );
}

export interface OpenOptions {
  /** A folder to serve; its index.html is opened, or `path`. */
  root?: string;
  path?: string;
  /** Instead, the text of one page. */
  html?: string;
  width?: number;
  height?: number;
  dark?: boolean;
  /** Instead of a server: a file to be opened as such. */
  file?: string;
}

export interface Opened {
  page: Page;
  /** Requests to anywhere else, all refused. */
  external: string[];
  /** Errors that the page threw or logged. */
  errors: string[];
  close(): Promise<void>;
}

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".mjs": "text/javascript",
  ".css": "text/css",
  ".json": "application/json",
  ".wasm": "application/wasm",
  ".svg": "image/svg+xml",
  ".png": "image/png",
  ".woff2": "font/woff2",
};

/** Opens a page from a server of its own on 127.0.0.1; whatever it asks of anyone else is refused and listed. */
export async function openLocal(browser: Browser, options: OpenOptions): Promise<Opened> {
  const server = options.file === undefined ? await serve(options) : undefined;
  const origin = server && `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  const url = origin === undefined ? `file://${options.file}` : origin + (options.path ?? "");
  const context = await browser.newContext({
    viewport: { width: options.width ?? 1280, height: options.height ?? 900 },
    colorScheme: options.dark ? "dark" : "light",
    acceptDownloads: true,
  });
  const external: string[] = [];
  const errors: string[] = [];
  await context.route("**/*", (route) => {
    const asked = route.request().url();
    if (asked === url || (origin !== undefined && asked.startsWith(origin)) || /^(data|blob):/.test(asked))
      return route.continue();
    external.push(asked);
    return route.abort();
  });
  const page = await context.newPage();
  page.on("pageerror", (error) => errors.push(String(error)));
  page.on("console", (message) => {
    if (message.type() === "error") errors.push(message.text());
  });
  await page.goto(url);
  return {
    page,
    external,
    errors,
    async close() {
      await context.close();
      await new Promise<void>((done) => (server === undefined ? done() : server.close(() => done())));
    },
  };
}

async function serve({ root, html }: OpenOptions): Promise<Server> {
  const server = createServer(async (request, response) => {
    const path = decodeURIComponent(new URL(request.url ?? "/", "http://localhost").pathname);
    try {
      if (html !== undefined && path === "/") {
        response.writeHead(200, { "content-type": TYPES[".html"]! }).end(html);
        return;
      }
      if (root === undefined || path.includes("..")) throw new Error(path);
      let file = join(root, normalize(path));
      if ((await stat(file)).isDirectory()) file = join(file, "index.html");
      response
        .writeHead(200, { "content-type": TYPES[extname(file)] ?? "application/octet-stream" })
        .end(await readFile(file));
    } catch {
      response.writeHead(path === "/favicon.ico" ? 204 : 404).end();
    }
  });
  server.keepAliveTimeout = 1;
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  return server;
}

/** Serious and critical violations that axe-core finds, one "rule: element" each. */
export async function axeSerious(page: Page): Promise<string[]> {
  await page.evaluate(axe.source);
  const violations = await page.evaluate(async () => {
    const { axe } = globalThis as unknown as {
      axe: {
        run(): Promise<{
          violations: {
            id: string;
            impact: string;
            nodes: { target: unknown[]; failureSummary: string }[];
          }[];
        }>;
      };
    };
    return (await axe.run()).violations;
  });
  return violations
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .flatMap(({ id, nodes }) => nodes.map(({ target }) => `${id}: ${target.join(" ")}`));
}
