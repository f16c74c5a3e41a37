import { spawnSync } from "node:child_process";
import { readFileSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { missingCompiler } from "../examples/c/run.js";

const root = fileURLToPath(new URL("..", import.meta.url));

/** The commands that an example's README gives, without the installation. */
function commandsOf(example: string): string[] {
  const text = readFileSync(`${root}/examples/${example}/README.md`, "utf8");
  return [...text.matchAll(/^```\n(.*?)^```$/gms)].flatMap(([, block]) =>
    block!.trimEnd().replaceAll("npm ci && ", "").split("\n"),
  );
}

function shell(command: string) {
  const { status, stdout, stderr } = spawnSync(command, { cwd: root, shell: true, encoding: "utf8" });
  return { status, lines: stdout.trimEnd().split("\n"), stderr: stderr.replace(/^npm warn .*\n/gm, "") };
}

describe("the commands in the examples' pages", () => {
  test("interpreter: five machines, one guest", () => {
    const [command, ...others] = commandsOf("interpreter");
    expect(others).toEqual([]);
    const { status, lines, stderr } = shell(command!);
    expect([status, stderr]).toEqual([0, ""]);
    expect(lines).toHaveLength(7);
    for (const line of lines.slice(0, 5)) expect(line).toContain(" instructions, 98 exceptions; ");
    expect(lines[0]).toMatch(/^native +halted .*; 248 walks, 611 references, 0 exits$/);
    expect(lines[6]).toBe("a changed entry showed 29 before INVLPG and 739 after");
  });

  test("v86: no mismatch, and a trace", () => {
    const [run, trace, ...others] = commandsOf("v86");
    expect(others).toEqual([]);
    expect(shell(run!)).toEqual({
      status: 0,
      lines: ["the guest ended well", "6976 walks of v86 compared, 550 of them page faults: 0 mismatches"],
      stderr: "",
    });
    try {
      const { status, lines } = shell(trace!);
      expect(status).toBe(0);
      expect(lines.at(-1)).toContain(" 0 mismatches in every machine.");
    } finally {
      rmSync(`${root}/v86.nwt`, { force: true });
    }
  });

  const missing = missingCompiler();
  test.skipIf(missing !== undefined)("c: each value is what it must be", () => {
    const [command, ...others] = commandsOf("c");
    expect(others).toEqual([]);
    const { status, lines, stderr } = shell(command!);
    expect([status, stderr]).toEqual([0, ""]);
    expect(lines).toHaveLength(26);
    for (const line of lines) expect(line).toMatch(/^ok {2}/);
  });
});

const assembler = spawnSync("as", ["--version"], { encoding: "utf8" }).stdout ?? "";
const gnu = /^GNU assembler/.test(assembler) && /x86.64/.test(assembler);
test.skipIf(!gnu)("the guests are what their sources assemble to", async () => {
  const { assemble, guests, moduleOf } = await import(`${root}/examples/assemble.mjs`);
  expect(guests).toHaveLength(2);
  for (const guest of guests)
    expect(moduleOf(guest, assemble(guest))).toBe(readFileSync(`${root}/examples/${guest.module}`, "utf8"));
});
