import { describe, expect, it } from "vitest";
import { Cases } from "../src/conform/access/cases.js";
import { modes, Rig } from "../src/conform/access/rig.js";
import { conformAccess } from "../src/conform/access.js";

/** A prime, so that a slice takes every value of every flag together with every other. */
const STRIDE = Number(process.env.NESTWALK_ACCESS_STRIDE ?? 1201);

async function run(...args: string[]): Promise<{ code: number; text: string }> {
  let text = "";
  const code = await conformAccess(
    args,
    (piece) => {
      text += piece;
    },
    () => {},
  );
  return { code, text };
}

describe("every access of the enumeration, in a slice", () => {
  it.each(modes)("%s", async (mode) => {
    const { code, text } = await run("--mode", mode, "--stride", String(STRIDE));
    expect(code, text).toBe(0);
    expect(text.trimEnd().split("\n").at(-1)).toMatch(/^\d{5,} passed, 0 failed$/);
  });

  it.each([
    ["5 levels", "--levels", "5"],
    ["36 address bits: bits 36 and 51 are reserved", "--maxphyaddr", "36"],
    ["52 address bits: neither is", "--maxphyaddr", "52"],
  ])("%s", async (_, option, value) => {
    const { code, text } = await run(option, value, "--stride", String(STRIDE * 7));
    expect(code, text).toBe(0);
  });

  it("has as many cases as the flags make", () => {
    expect(new Cases(46).total).toBe(640 * 2 * 512 * 256);
    const rig = new Rig("cold", new Cases(46), 4);
    expect(rig.run(5, 1_000_003, 20_000_000)).toBeGreaterThanOrEqual(20_000_000);
    expect(rig.passed).toBe(20);
  });

  it("wants options it knows", async () => {
    await expect(run("--mode", "warp")).rejects.toThrow('no mode "warp"');
    await expect(run("--stride", "0")).rejects.toThrow('--stride is "0"');
    await expect(run("--levels", "3")).rejects.toThrow("--levels is 4 or 5");
  });
});
