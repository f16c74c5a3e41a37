import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { openFile } from "../src/node/files.js";
import { RecordEncoder } from "../src/trace/encode.js";
import type { NwtSource } from "../src/trace/nwt-reader.js";
import { openTrace } from "../src/trace/open.js";
import { RecordScanner } from "../src/trace/records.js";

const folder = (name: string) => fileURLToPath(new URL(`../${name}/`, import.meta.url));
const tracesIn = (name: string) => readdirSync(folder(name)).filter((file) => file.endsWith(".nwt"));
const open = async (path: string) => (await openTrace(await openFile(path))) as NwtSource;
const gallery = tracesIn("traces");
const fixtures = tracesIn("tests/fixtures");
const english = (x: number) => x.toLocaleString("en-US");

test("every page of the gallery has its trace", () => {
  const pages = readdirSync(folder("traces")).filter((file) => file.endsWith(".md"));
  const others = ["FORMAT.md", "README.md"];
  expect(pages.filter((page) => !others.includes(page)).sort()).toEqual(
    gallery.map((file) => file.replace(".nwt", ".md")).sort(),
  );
});

test("the gallery is small enough to be shipped", () => {
  const bytes = gallery.reduce((sum, file) => sum + statSync(folder("traces") + file).size, 0);
  expect(bytes).toBeLessThan(30e6);
  for (const file of fixtures)
    expect(statSync(folder("tests/fixtures") + file).size, file).toBeLessThan(210e3);
});

describe.each(gallery)("%s", (file) => {
  const path = folder("traces") + file;

  test("says of itself what was recorded", async () => {
    const { recorded } = (await open(path)).header;
    for (const key of [
      "guest",
      "program",
      "kernel",
      "recorder",
      "command",
      "cpu",
      "pageSizePolicy",
      "ramMiB",
      "missing",
      "notes",
    ]) {
      expect(recorded[key], key).toBeTruthy();
    }
    expect(recorded.command).toMatch(/^(nestwalk trace record|recorder\/bochs\.sh) /);
  });

  test("ends with an END of its totals", async () => {
    const source = await open(path);
    const { events, fetches, reads, writes } = source.header.totals!;
    const last = await source.chunk((await source.index()).at(-1)!);
    const end = Object.assign(new RecordEncoder(), { fetches, reads, writes }).end().take();
    expect(Uint8Array.from(last.raw.subarray(-end.length))).toEqual(end);
    expect(last.firstEvent + last.events).toBe(events);
  });

  test("has the counts and the content that its page states", async () => {
    const source = await open(path);
    const { events, fetches, reads, writes, streamBytes } = source.header.totals!;
    const page = path.replace(/nwt$/, "md");
    expect(existsSync(page)).toBe(true);
    const text = readFileSync(page, "utf8");
    const accesses = english(fetches + reads + writes);
    expect(text).toContain(
      `| accesses | ${accesses}: ${english(fetches)} fetches, ${english(reads)} reads, ${english(writes)} writes; `,
    );
    expect(text).toContain(`| events | ${english(events)} records in ${english(streamBytes)} bytes |`);
    expect(text).toContain(`SHA-256 \`${await source.streamSha256()}\``);
    expect(text).toMatch(new RegExp(`^# ${file}\n`));
    const row = readFileSync(`${folder("traces")}README.md`, "utf8")
      .split("\n")
      .find((line) => line.startsWith(`| [${file}]`));
    expect(row).toContain(` | ${accesses} | `);
    expect(row).toContain(` | ${(statSync(path).size / 1e6).toFixed(2)} |`);
  });
});

test.each(fixtures)("the fixture %s is a whole recording of a real guest", async (file) => {
  const source = await open(folder("tests/fixtures") + file);
  const scanner = new RecordScanner({ name: file });
  for await (const raw of source.records()) scanner.scan(raw);
  expect(scanner.ended).toBe(true);
  const { events, fetches, reads, writes } = scanner;
  expect(source.header.totals).toMatchObject({ events, fetches, reads, writes });
  const lines = readFileSync(`${folder("tests/fixtures")}README.md`, "utf8");
  expect(lines).toContain(`| ${file} | ${english(scanner.accesses)} | `);
  expect(source.header.recorded.command).toMatch(/^recorder\/(record|bochs)\.sh /);
});
