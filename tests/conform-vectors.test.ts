import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { afterAll, describe, expect, it } from "vitest";
import { readLines } from "../src/conform/vectors/load.js";
import { conformVectors } from "../src/conform/vectors.js";

const sample = fileURLToPath(new URL("./reference/vectors-sample.jsonl.gz", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "nestwalk-vectors-"));
afterAll(() => rmSync(folder, { recursive: true }));

function file(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

async function run(...args: string[]): Promise<{ code: number; text: string }> {
  let text = "";
  const code = await conformVectors(args, (piece) => {
    text += piece;
  });
  return { code, text };
}

const lines = readLines(sample);

describe("npm run conform -- vectors", () => {
  it("counts agreement by file and category, and ends with the sum", async () => {
    const plain = file("plain.jsonl", `${lines.slice(0, 20).join("\n")}\n`);
    const { code, text } = await run(sample, plain);
    expect(code).toBe(0);
    expect(text).toContain(`${plain}\n`);
    expect(text).toMatch(/perm_leaf +\d+ of \d+ agree/);
    expect(text.trimEnd().split("\n").at(-1)).toBe(`${lines.length + 20} passed, 0 failed`);
  });

  it("compares what the manuals leave open only under the option that names it", async () => {
    /* QEMU sets A on the way to a fault: a file that denies it disagrees with the eager machine only. */
    const open = lines
      .map((line) => JSON.parse(line))
      .filter((c) => c.levels && c.impl_defined?.includes("nonleaf_a_on_fault"));
    const denied = open.map((c) => JSON.stringify({ ...c, after: c.entries.map((e: string[]) => e.at(-1)) }));
    const path = file("open.jsonl.gz", gzipSync(denied.join("\n")));
    expect((await run(path)).text).toContain(", 0 failed");
    const eager = await run(path, "--nonleaf-accessed", "eager");
    expect(eager.code).toBe(1);
    expect(eager.text).toContain("DIFFERS: guest PML");
  });

  it("prefers the corrected fields to what QEMU reported", async () => {
    const quirk = lines.find((line) => JSON.parse(line).arch?.error_code !== undefined)!;
    expect((await run(file("arch.jsonl", quirk))).code).toBe(0);
    const { arch, ...raw } = JSON.parse(quirk);
    expect(arch.error_code).not.toBe(raw.expected.error_code);
    expect((await run(file("raw.jsonl", JSON.stringify(raw)))).code).toBe(1);
  });

  it("prints the first disagreements in full and fails", async () => {
    const wrong = lines
      .map((line) => JSON.parse(line))
      .filter((c) => c.expected.ok)
      .map((c) => JSON.stringify({ ...c, expected: { ok: true, pa: "0x123" } }));
    const path = file("wrong.jsonl", wrong.join("\n"));
    const some = await run(path);
    expect(some.code).toBe(1);
    expect(some.text.match(/DIFFERS: outcome ok=true hpa=0x\w+, expected ok=true hpa=0x123/g)).toHaveLength(
      10,
    );
    expect((await run(path, "--all")).text.match(/DIFFERS/g)).toHaveLength(wrong.length);
    expect(some.text.trimEnd().split("\n").at(-1)).toBe(`0 passed, ${wrong.length} failed`);
  });

  it.each([
    ["nope.jsonl.gz", undefined, "does not exist; check the path."],
    ["empty.jsonl", "", "holds no cases."],
    ["text.jsonl", "hello\n", ": line 1 is not JSON."],
    [
      "cut.jsonl.gz",
      gzipSync(lines.join("\n")).subarray(0, 500),
      "is damaged: its gzip data does not inflate.",
    ],
    [
      "kind.jsonl",
      `${lines[0]}\n${lines[1]!.replace(/"access":"."/, '"access":"q"')}`,
      ': line 2 has a field access ("q") that is none of r, w, x.',
    ],
    ["short.jsonl", '{"id":"a/1"}', ": line 1 has a field cat that is missing."],
    [
      "after.jsonl",
      JSON.stringify({ ...JSON.parse(lines[0]!), after: [] }),
      ": line 1 has a field after ([]) that is not parallel to entries.",
    ],
  ])("says what is wrong with %s", async (name, content, message) => {
    const path = content === undefined ? join(folder, name) : file(name, content);
    await expect(run(path)).rejects.toThrow(message);
    await expect(run(path)).rejects.toThrow(path);
  });

  it("wants a file and a known policy", async () => {
    await expect(run()).rejects.toThrow("give at least one vector file");
    await expect(run(sample, "--nonleaf-accessed", "lazy")).rejects.toThrow("all-or-nothing or eager");
    await expect(run(sample, "--frob")).rejects.toThrow("--frob");
  });
});
