import { expect, it } from "vitest";
import { conformEpt } from "../src/conform/ept.js";
import { conformNpt } from "../src/conform/npt.js";

async function run(suite: typeof conformEpt): Promise<{ code: number; text: string }> {
  let text = "";
  const code = await suite([], (piece) => {
    text += piece;
  });
  return { code, text };
}

it("every check of the EPT tables", async () => {
  const { code, text } = await run(conformEpt);
  expect(code, text).toBe(0);
  expect(text).toMatch(/\n54147 passed, 0 failed\n$/);
});

it("every check of the nested tables", async () => {
  const { code, text } = await run(conformNpt);
  expect(code, text).toBe(0);
  expect(text).toMatch(/\n\d{5} passed, 0 failed\n$/);
});

it("take no arguments", async () => {
  await expect(conformEpt(["x"], () => {})).rejects.toThrow("takes no arguments");
  await expect(conformNpt(["x"], () => {})).rejects.toThrow("takes no arguments");
});
