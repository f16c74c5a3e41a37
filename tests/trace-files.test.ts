import {
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
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
  expect(await message("")).toBe("the path of the trace is empty; name a file, or - for standard input");
  expect(await message(`${join(dir, "a.pgrec")}/`)).toBe(
    `${join(dir, "a.pgrec")}/ does not exist, as part of its path is a file; check the path`,
  );
  expect(await message(join(dir, "n".repeat(300)))).toMatch(
    /is longer than a file's name may be; check the path$/,
  );
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

test("what is there keeps its permissions, a link leads on, a device stays one", async () => {
  const folder = join(dir, "places");
  mkdirSync(folder);
  const place = (name: string) => join(folder, name);
  const bytes = new TextEncoder().encode("new");
  const text = (name: string) => readFileSync(place(name), "utf8");
  writeFileSync(place("private"), "old");
  chmodSync(place("private"), 0o600);
  await writeFileAtomic(place("private"), [bytes]);
  expect([text("private"), statSync(place("private")).mode & 0o777]).toEqual(["new", 0o600]);
  writeFileSync(place("target"), "old");
  symlinkSync("target", place("link"));
  symlinkSync("link", place("second"));
  await writeFileAtomic(place("second"), [bytes]);
  expect(text("target")).toBe("new");
  symlinkSync("missing", place("dangling"));
  await writeFileAtomic(place("dangling"), [bytes]);
  expect(text("missing")).toBe("new");
  for (const name of ["link", "second", "dangling"])
    expect(lstatSync(place(name)).isSymbolicLink()).toBe(true);
  symlinkSync("loop", place("loop"));
  await expect(writeFileAtomic(place("loop"), [bytes])).rejects.toMatchObject({ code: "ELOOP" });
  await writeFileAtomic("/dev/null", [bytes]);
  expect(statSync("/dev/null").isCharacterDevice()).toBe(true);
  const long = `${"n".repeat(250)}.nwt`;
  await writeFileAtomic(place(long), [bytes]);
  expect(text(long)).toBe("new");
  await expect(writeFileAtomic(folder, [bytes])).rejects.toMatchObject({ code: "EISDIR" });
  await expect(writeFileAtomic(`${place("none")}/`, [bytes])).rejects.toMatchObject({ code: "EISDIR" });
  expect(readdirSync(folder).filter((name) => name.endsWith(".tmp"))).toEqual([]);
  rmSync(folder, { recursive: true });
});
