import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { openFile, writeFileAtomic } from "../src/node/files.js";
import { convertTrace } from "../src/trace/convert.js";
import { TraceError } from "../src/trace/error.js";
import { openTrace } from "../src/trace/open.js";
import { pgrec1File, readAll, smallStream } from "./fixtures/traces.js";

const dir = mkdtempSync(join(tmpdir(), "nestwalk-"));
afterAll(() => rmSync(dir, { recursive: true }));
const stream = smallStream();

test("a file is read as often as asked", async () => {
  const path = join(dir, "a.pgrec");
  writeFileSync(path, pgrec1File(stream));
  const bytes = await openFile(path);
  for (let i = 0; i < 2; i++) expect(Buffer.compare((await readAll(bytes)).stream, stream)).toBe(0);
  expect(await bytes.read!(0, 6)).toEqual(new TextEncoder().encode("PGREC1"));
  expect((await bytes.read!(bytes.size! - 1, 100)).length).toBe(1);
});

test("what cannot be read is one sentence", async () => {
  const message = (path: string) =>
    openFile(path).then(
      () => "",
      (e: TraceError) => e.message,
    );
  const missing = join(dir, "none");
  expect(await message(missing)).toBe(`${missing} does not exist; check the path`);
  expect(await message(dir)).toBe(`${dir} is a directory; name a trace file in it`);
  const empty = join(dir, "empty");
  writeFileSync(empty, "");
  expect(await message(empty)).toBe(
    `${empty} is an empty file; a recording that was cut short leaves one, so record it again`,
  );
  expect(await message(join(empty, "x"))).toContain("does not exist, as part of its path is a file");
  rmSync(empty);
});

test("writing is whole or not at all", async () => {
  const from = join(dir, "a.pgrec");
  const to = join(dir, "a.nwt");
  writeFileSync(from, pgrec1File(stream));
  const size = await writeFileAtomic(to, convertTrace(await openTrace(await openFile(from))));
  expect(readFileSync(to).length).toBe(size);
  expect(Buffer.compare((await readAll(await openFile(to))).stream, stream)).toBe(0);
  const good = readFileSync(to);
  writeFileSync(from, pgrec1File(stream).subarray(0, -3));
  await expect(writeFileAtomic(to, convertTrace(await openTrace(await openFile(from))))).rejects.toThrow(
    TraceError,
  );
  expect(readFileSync(to).equals(good)).toBe(true);
  expect(readdirSync(dir).sort()).toEqual(["a.nwt", "a.pgrec"]);
});
