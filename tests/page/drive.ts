import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import type { Page } from "playwright-core";
import { root } from "./build.js";

/** Drops files on the page, as a file manager does. */
export async function drop(page: Page, ...files: { name: string; bytes: Uint8Array }[]): Promise<void> {
  const sent = files.map(({ name, bytes }) => [name, Buffer.from(bytes).toString("base64")] as const);
  const transfer = await page.evaluateHandle((dropped) => {
    const data = new DataTransfer();
    for (const [name, text] of dropped)
      data.items.add(new File([Uint8Array.from(atob(text), (c) => c.charCodeAt(0))], name));
    return data;
  }, sent);
  for (const event of ["dragenter", "dragover", "drop"])
    await page.dispatchEvent("#drop", event, { dataTransfer: transfer });
}

/** Drops a file that lies on the disk. */
export async function dropFile(page: Page, path: string): Promise<void> {
  await drop(page, { name: basename(path), bytes: readFileSync(path) });
}

/** Replays what the form asks for, until every figure is drawn. */
export async function replay(page: Page): Promise<void> {
  await page.click("#run:not([disabled])");
  await page.waitForSelector("#report:not([hidden])");
  await allDrawn(page);
}

export async function allDrawn(page: Page): Promise<void> {
  await page.waitForFunction(() => {
    const places = [...document.querySelectorAll<HTMLElement>(".plot")];
    return places.length > 0 && places.every((place) => place.dataset.drawn);
  });
}

const sha256 = (bytes: Buffer): string => createHash("sha256").update(bytes).digest("hex");

/** SHA-256 of each file that the page offers, by the end of its name; the JSON itself beside them. */
export async function downloads<T>(page: Page): Promise<{ hashes: Record<string, string>; result: T }> {
  const hashes: Record<string, string> = {};
  let result: T | undefined;
  for (const button of await page.locator(".downloads button:has-text('Download')").all()) {
    const [file] = await Promise.all([page.waitForEvent("download"), button.click()]);
    const [, ending] = /\.((?:intervals\.)?\w+)$/.exec(file.suggestedFilename())!;
    const bytes = readFileSync((await file.path())!);
    hashes[ending!] = sha256(bytes);
    if (ending === "json") result = JSON.parse(bytes.toString());
  }
  return { hashes, result: result! };
}

/** SHA-256 of the files that the command line which stands on the page writes, run in a folder where `files` lie. */
export async function fromCommandLine(
  page: Page,
  folder: string,
  ...files: string[]
): Promise<Record<string, string>> {
  const command = (await page.textContent(".command code"))!;
  for (const path of files) writeFileSync(join(folder, basename(path)), readFileSync(path));
  const cli = `"${process.execPath}" "${join(root, "dist/cli/main.js")}"`;
  const outputs = ["json", "csv", "parquet", "html"].map((kind) => `--${kind} out.${kind}`);
  const line = `${command.replace("npx nestwalk", cli)} --quiet ${outputs.join(" ")}`;
  execFileSync("sh", ["-c", line], { cwd: folder, stdio: ["ignore", "ignore", "inherit"] });
  const written = readdirSync(folder).filter((name) => name.startsWith("out."));
  return Object.fromEntries(written.map((name) => [name.slice(4), sha256(readFileSync(join(folder, name)))]));
}

/** The data that each figure was drawn from. */
export function drawn(page: Page): Promise<Record<string, unknown>> {
  return page.evaluate(() =>
    Object.fromEntries(
      [...document.querySelectorAll<HTMLElement>(".plot")].map((place) => [
        place.dataset.drawn!,
        (place as HTMLElement & { data: unknown }).data,
      ]),
    ),
  );
}
