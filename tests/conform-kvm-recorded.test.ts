import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
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
