import { access, constants } from "node:fs/promises";
import { delimiter, join } from "node:path";
import type { Browser } from "playwright-core";
import { packedChromium } from "./packed-chromium.js";

/** Why there is no browser, in a sentence. */
export class BrowserError extends Error {
  override readonly name = "BrowserError";
}

/** A browser to start. */
export interface Chromium {
  path: string;
  env: Record<string, string>;
}

export interface FindOptions {
  /** The browser's path; default that of the environment's CHROMIUM, then what is found. */
  chromium?: string | undefined;
  env?: Readonly<Record<string, string | undefined>>;
}

const NAMES = [
  "chromium",
  "chromium-browser",
  "google-chrome",
  "google-chrome-stable",
  "chrome",
  "microsoft-edge",
];
const PLACES = [
  "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
  "/Applications/Chromium.app/Contents/MacOS/Chromium",
  "C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe",
  "C:\\Program Files (x86)\\Microsoft\\Edge\\Application\\msedge.exe",
];

/** Browsers of this machine: what is named, else the package @sparticuz/chromium, else what is installed. */
export async function* chromiums({
  chromium,
  env = process.env,
}: FindOptions = {}): AsyncGenerator<Chromium> {
  const named = chromium ?? env.CHROMIUM;
  if (named !== undefined && named !== "") {
    yield { path: named, env: {} };
    return;
  }
  const packed = await packedChromium();
  if (packed !== undefined) {
    yield packed;
    yield { path: packed.path, env: { ...packed.env, LD_LIBRARY_PATH: packed.libraries } };
  }
  const folders = (env.PATH ?? "").split(delimiter).filter((folder) => folder !== "");
  for (const path of [...NAMES.flatMap((name) => folders.map((folder) => join(folder, name))), ...PLACES])
    if (await runnable(path)) yield { path, env: {} };
}

async function runnable(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}

/** Starts the first browser that starts. Throws BrowserError, and says what to do, where none does. */
export async function launchChromium(options: FindOptions = {}): Promise<Browser> {
  const { chromium } = await import("playwright-core").catch(() => {
    throw new BrowserError(
      "drawing needs the package playwright-core, which is not installed; npm install playwright-core",
    );
  });
  let tried: string | undefined;
  for await (const { path, env } of chromiums(options)) {
    try {
      const environment = { ...process.env, ...env } as Record<string, string>;
      /* Signals are the program's own business. */
      const signals = { handleSIGINT: false, handleSIGTERM: false, handleSIGHUP: false };
      return await chromium.launch({ executablePath: path, env: environment, ...signals });
    } catch {
      tried ??= path;
    }
  }
  throw new BrowserError(
    tried === undefined
      ? "no Chromium was found to draw with; install chromium or the package @sparticuz/chromium, or name one by the environment variable CHROMIUM"
      : `${tried} does not start as a browser; name a Chromium by the environment variable CHROMIUM`,
  );
}
