import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import { conformKvm } from "../src/conform/kvm.js";

/* Every counter, exit, tracepoint and gauge of real kernels (tests/fixtures/kvm). */

const folder = fileURLToPath(new URL("fixtures/kvm", import.meta.url));

async function conform(...options: string[]): Promise<{ status: number; text: string }> {
  let text = "";
  const args = [`${folder}/reference.json`, `${folder}/traces`, ...options];
  const status = await conformKvm(args, (part) => {
    text += part;
  });
  return { status, text };
}

describe("the recorded counters of KVM", () => {
  it.each([
    ["shadow", "6.1", 81],
    ["shadow", "6.12", 81],
    ["nested", "6.1", 57],
    ["nested", "6.12", 57],
    ["nested-legacy", "6.1", 60],
  ])("%s, Linux %s: every phase", async (mode, kernel, phases) => {
    const { status, text } = await conform("--mode", mode, "--kernel", kernel);
    expect(text.trimEnd().split("\n").at(-1)).toBe(`${phases} passed, 0 failed`);
    expect(status).toBe(0);
  });
});

describe("other references", () => {
  const dir = mkdtempSync(join(tmpdir(), "nestwalk-kvm-"));
  afterAll(() => rmSync(dir, { recursive: true }));
  const path = join(dir, "reference.json");
  type Entry = Record<string, unknown>;
  const entries: Entry[] = JSON.parse(readFileSync(`${folder}/reference.json`, "utf8")).filter(
    (e: Entry) => e.id === "W13_n20_inv0" && e.mode === "shadow" && String(e.kernel).startsWith("6.1."),
  );
  const run = async (content: unknown, traces = `${folder}/traces`) => {
    writeFileSync(path, typeof content === "string" ? content : JSON.stringify(content));
    let text = "";
    const status = await conformKvm([path, traces], (part) => {
      text += part;
    });
    return { status, last: text.trimEnd().split("\n").at(-1), text };
  };
  const without = (...names: string[]) =>
    entries.map((e) => Object.fromEntries(Object.entries(e).filter(([name]) => !names.includes(name))));

  it("need not have every field: what is absent is not compared", async () => {
    for (const names of [
      ["params", "events", "gauges_before_after"],
      ["exits", "exits_net", "counters"],
      ["id", "workload"],
    ])
      expect((await run(without(...names))).last).toBe("4 passed, 0 failed");
  });

  it("fail in the figure that differs, or that the model does not keep", async () => {
    const [first, ...rest] = entries as [Entry, ...Entry[]];
    const wrong = { ...first, counters: { ...(first.counters as object), nx_lpage_splits: 3 } };
    const { status, last, text } = await run([wrong, ...rest]);
    expect([status, last]).toEqual([1, "3 passed, 1 failed"]);
    expect(text).toContain("nx_lpage_splits: expected 3, found 0");
    expect((await run([{ ...first, phase: "other" }])).text).toContain("the trace has no such phase");
  });

  it("of other modes and kernels are left out, and named", async () => {
    const [first, second, ...rest] = entries as [Entry, Entry, ...Entry[]];
    const other = [
      { ...first, mode: "ept" },
      { ...second, kernel: "5.10.0" },
    ];
    const { last, text } = await run([...other, ...rest]);
    expect(last).toBe("2 passed, 0 failed");
    expect(text).toContain("not modelled, left out: 2 phases of ept 6.1, shadow 5.10");
    await expect(run(other)).rejects.toThrow(/nothing of .* is chosen; not modelled/);
  });

  it.each([
    ["{", /reference\.json is not JSON/],
    [{}, /reference\.json is not a list of phases/],
    [[null], /record 0: it: .*expected object/],
    [without("trace"), /record 0: trace: .*expected string/],
    [[{ ...entries[0], trace: "none.txt.gz" }], /cannot read .*none\.txt\.gz: ENOENT/],
  ])("that are damaged are refused in one sentence: %#", async (content, message) => {
    await expect(run(content)).rejects.toThrow(message);
  });

  it("whose traces are damaged fail with the line", async () => {
    writeFileSync(join(dir, "odd.txt"), "BEGIN age1\nR ffffffff80100000\nJUMP 1\nEND age1\n");
    const { status, text } = await run([{ ...entries[0], trace: "odd.txt" }], dir);
    expect(status).toBe(1);
    expect(text).toContain('odd.txt: line 3: unknown event "JUMP"');
  });
});
